"""The one setting of the app, `CALLS`, typed and with its defaults.

A project names only what it wants different. A new key is one line in `CallsSettings`: its name in
`CALLS` is the attribute's in capitals. `docs/install.md` lists them.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

Reader = Callable[[Any], Any]

PROTOCOLS = ("browser", "micdrop", "avr", "socketio", "realtime", "twilio")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("must be text")
    return value


def _address(value: Any) -> str:
    text = _text(value).rstrip("/")
    if text and not text.startswith(("http://", "https://")):
        raise ValueError("must begin with http:// or https://")
    return text


def _one_of(*known: str) -> Reader:
    def read(value: Any) -> str:
        if value not in known:
            raise ValueError(f"must be one of {', '.join(known)}")
        return str(value)

    return read


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("must be True or False")
    return value


def _folder(value: Any) -> Path:
    if not isinstance(value, str | os.PathLike):
        raise TypeError("must be a path")
    return (Path(getattr(settings, "BASE_DIR", "")) / Path(value).expanduser()).absolute()


def _words(value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not all(isinstance(word, str) for word in value):
        raise TypeError("must be a list of texts")
    return tuple(value)


def _protocols(value: Any) -> tuple[str, ...]:
    known = _words(value)
    if strangers := set(known) - set(PROTOCOLS):
        raise ValueError(f"knows no {', '.join(sorted(strangers))}: {', '.join(PROTOCOLS)}")
    return known


def _networks(value: Any) -> tuple[str, ...]:
    return tuple(str(ip_network(entry)) for entry in _words(value))


def _names(value: Any) -> dict[str, str]:
    named = dict(value)
    if not all(isinstance(text, str) for entry in named.items() for text in entry):
        raise TypeError("must be a dictionary of texts")
    return named


def _number(least: int) -> Reader:
    def read(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise TypeError(f"must be a whole number, {least} or more")
        return value

    return read


def _key(read: Reader, default: Any, *, secret: bool = False) -> Any:
    """A key of `CALLS`; a callable default is asked when the settings are read."""
    return field(metadata={"read": read, "default": default}, repr=not secret)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallsSettings:
    """What `CALLS` says. A relative path counts from `BASE_DIR`.

    Attributes:
        agents: agents written in code: slug to the dotted path of the class.
        agent_threads: threads for the synchronous functions of agents in code.
        default_agent: slug of the agent that answers where none is named.
        recordings_dir: where recordings lie. Never below a folder that a web server shows.
        journal_dir: where records wait while the database is away.
        debug_dir: where agents with `debug_save_speech` keep the last utterance of each call.
        local_models_dir: where downloaded speech models lie.
        speech_workers: worker processes for the embedded speech engines.
        max_calls: live calls of one process; one more is answered "busy".
        resume_ms: how long a call waits for its client, unless its agent says otherwise.
        free_space_floor_bytes: a recording ends early rather than leave less free than this.
        openai_api_key: for OpenAI's services; empty: agents cannot use them.
        openai_base_url: where they are, `/v1` included; a residency of its own, or a stand-in.
        elevenlabs_api_key: for ElevenLabs; empty: agents cannot use it.
        elevenlabs_base_url: where it is, without `/v1`.
        llm_base_url: an OpenAI-compatible server that answers, `/v1` included; empty: none.
        llm_model: the model to ask for there.
        llm_api_key: its key, which a project reads from its environment and never writes down.
        llm_profile: what that server is, so that it gets only what it takes; `ollama`, for one.
        stt_base_url: an OpenAI-compatible server that hears, `/v1` included; empty: none.
        stt_model: the model to ask for there.
        stt_api_key: its key.
        stt_profile: what that server is.
        tts_base_url: an OpenAI-compatible server that speaks, `/v1` included; empty: none.
        tts_model: the model to ask for there.
        tts_api_key: its key.
        tts_profile: what that server is.
        tts_format: `pcm` or `wav`, whichever it sends.
        tts_rate_hz: samples a second of its `pcm`; 0: it says so itself, or it is 24000.
        models: models for agents that name none, by provider and role: `{"openai:llm": "gpt-5.5"}`.
        model_warning_days: so long before a model ends `manage.py check` says so.
        allowed_origins: other origins whose pages may open calls.
        allow_missing_origin: whether programs, which name no origin, may open calls in the
            browser's protocol; in the others, most of whose clients are programs, they may.
        protocols: which protocols are served.
        avr_secret: what AVR's addresses must carry as `?secret=`; empty: nothing.
        avr_url_instructions: asked for an AVR call's instructions, with its id; empty: the agent's.
        avr_ami_url: AVR's service for hanging up and transferring; empty: no transfers.
        avr_http: whether AVR's interfaces for the three single stages are served.
        twilio_auth_token: Twilio's connections must be signed with it; empty: none needs to be.
        realtime_open: whether pages of the allowed origins get a secret for OpenAI Realtime
            clients without an API key, as they get a call in the browser's protocol.
        public_url: where the outside reaches this server, for links and snippets; empty: as the
            request at hand says.
        trusted_proxies: networks of the proxies whose `X-Forwarded-For` names the caller's
            address; of all others the header counts for nothing.
        token_seconds: how long a token for one call may wait to be used.
        currency: of prices, limits and costs; three letters.
        background: who writes summaries, tells webhooks and removes what is too old: `process`,
            every process that serves; `worker`, only those that `manage.py worker` starts.
        lease_seconds: how long nothing may be heard of whoever does a piece of such work; then, as
            after a crash, another one does it.
        keep_audio_days: how long recordings are kept, unless their agent says otherwise; 0: until
            somebody deletes them.
        keep_text_days: the same for words: transcripts, summaries, what was picked out.
        keep_figures_days: the same for the conversations themselves, with all their figures.
        metrics_token: `/metrics` is answered to `Authorization: Bearer` with it; empty: to nobody.
        webhooks_to_private: whether webhooks may go to addresses that only this network reaches.
        drain_ms: what the turns that go on get to come to an end when the server has to.
    """

    agents: Mapping[str, str] = _key(_names, dict)
    agent_threads: int = _key(_number(1), 32)
    default_agent: str = _key(_text, "demo")
    recordings_dir: Path = _key(_folder, "var/recordings")  # noqa: RUF009 - it makes a field
    journal_dir: Path = _key(_folder, "var/journal")  # noqa: RUF009 - it makes a field
    debug_dir: Path = _key(_folder, "var/debug")  # noqa: RUF009 - it makes a field
    local_models_dir: Path = _key(_folder, "var/models")  # noqa: RUF009 - it makes a field
    speech_workers: int = _key(_number(1), lambda: max(1, min(4, os.cpu_count() or 1)))
    max_calls: int = _key(_number(1), 100)
    resume_ms: int = _key(_number(0), 30_000)
    free_space_floor_bytes: int = _key(_number(0), 64 * 1024 * 1024)
    openai_api_key: str = _key(_text, "", secret=True)
    openai_base_url: str = _key(_address, "https://api.openai.com/v1")
    elevenlabs_api_key: str = _key(_text, "", secret=True)
    elevenlabs_base_url: str = _key(_address, "https://api.elevenlabs.io")
    llm_base_url: str = _key(_address, "")
    llm_model: str = _key(_text, "")
    llm_api_key: str = _key(_text, "", secret=True)
    llm_profile: str = _key(_text, "generic")
    stt_base_url: str = _key(_address, "")
    stt_model: str = _key(_text, "whisper-1")
    stt_api_key: str = _key(_text, "", secret=True)
    stt_profile: str = _key(_text, "generic")
    tts_base_url: str = _key(_address, "")
    tts_model: str = _key(_text, "kokoro")
    tts_api_key: str = _key(_text, "", secret=True)
    tts_profile: str = _key(_text, "generic")
    tts_format: str = _key(_one_of("pcm", "wav"), "pcm")
    tts_rate_hz: int = _key(_number(0), 0)
    models: Mapping[str, str] = _key(_names, dict)
    model_warning_days: int = _key(_number(0), 60)
    allowed_origins: tuple[str, ...] = _key(_words, tuple)
    allow_missing_origin: bool = _key(_flag, False)
    protocols: tuple[str, ...] = _key(_protocols, PROTOCOLS)
    avr_secret: str = _key(_text, "", secret=True)
    avr_url_instructions: str = _key(_address, "")
    avr_ami_url: str = _key(_address, "")
    avr_http: bool = _key(_flag, False)
    twilio_auth_token: str = _key(_text, "", secret=True)
    realtime_open: bool = _key(_flag, True)
    public_url: str = _key(_address, "")
    trusted_proxies: tuple[str, ...] = _key(_networks, tuple)
    token_seconds: int = _key(_number(1), 90)
    currency: str = _key(_text, "USD")
    background: str = _key(_one_of("process", "worker"), "process")
    lease_seconds: int = _key(_number(1), 120)
    keep_audio_days: int = _key(_number(0), 0)
    keep_text_days: int = _key(_number(0), 0)
    keep_figures_days: int = _key(_number(0), 0)
    metrics_token: str = _key(_text, "", secret=True)
    webhooks_to_private: bool = _key(_flag, False)
    drain_ms: int = _key(_number(0), 20_000)


@cache
def calls_settings() -> CallsSettings:
    """What `settings.CALLS` says, with the defaults for all that it does not.

    Raises:
        ImproperlyConfigured: a key is unknown or its value unusable; the message names it.
    """
    given: Mapping[str, Any] = getattr(settings, "CALLS", {})
    keys = {entry.name.upper(): entry for entry in fields(CallsSettings)}
    if unknown := sorted(set(given) - set(keys)):
        raise ImproperlyConfigured(
            f"CALLS has no key {', '.join(unknown)}. It knows: {', '.join(sorted(keys))}."
        )
    return CallsSettings(
        **{entry.name: _read(key, entry.metadata, given) for key, entry in keys.items()}
    )


def _read(key: str, how: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
    default = how["default"]
    value = given[key] if key in given else default() if callable(default) else default
    try:
        return how["read"](value)
    except (TypeError, ValueError) as error:
        raise ImproperlyConfigured(f"CALLS[{key!r}] {error}.") from error


def _forget(*, setting: str, **_: Any) -> None:
    if setting in ("CALLS", "BASE_DIR"):
        calls_settings.cache_clear()


setting_changed.connect(_forget, dispatch_uid="calls.conf")
