"""What a session is set to: read from either dialect, with nothing applied of what is wrong."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from calls.domain.policy import Policy
from calls.wire.realtime.dialect import Dialect
from calls.wire.realtime.reading import Fields
from calls.wire.realtime.refusal import invalid
from calls.wire.realtime.sound import SoundFormat
from calls.wire.realtime.tools import Tools, read_tool_choice, read_tools

MOST_TOKENS = 4_096
_LONGEST_SILENCE_MS = 10_000
_LONGEST_PREFIX_MS = 5_000
_IDLE_MS = (1_000, 600_000)
_EAGERNESS = ("low", "medium", "high", "auto")
_INPUT_FORMATS = {
    "pcm16": SoundFormat.PCM,
    "g711_ulaw": SoundFormat.ULAW,
    "g711_alaw": SoundFormat.ALAW,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnDetection:
    """How the server tells when the caller speaks, and what it does then."""

    semantic: bool = False
    eagerness: str = "auto"
    threshold: float = 0.5
    prefix_ms: int = 300
    silence_ms: int = 500
    idle_timeout_ms: int | None = None
    create_response: bool = True
    interrupt_response: bool = True


@dataclass(frozen=True, slots=True)
class Transcription:
    """The caller's words are told to the client. Model and prompt are shown, and not used."""

    model: str | None = None
    language: str | None = None
    prompt: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Of one session. `given` names what the client has set itself."""

    instructions: str = ""
    text_only: bool = False
    voice: str = "alloy"
    speed: float = 1.0
    input_format: SoundFormat = SoundFormat.PCM
    output_format: SoundFormat = SoundFormat.PCM
    transcription: Transcription | None = None
    turns: TurnDetection | None = TurnDetection()
    tools: Tools = ()
    tool_choice: str = ""
    max_output_tokens: int = 0
    given: frozenset[str] = frozenset()


def settings_for(policy: Policy, settings: Settings) -> Settings:
    """With the agent's own ways where the client has not said how turns are to be detected."""
    if "turns" in settings.given:
        return settings
    turns = TurnDetection(
        silence_ms=policy.endpoint_silence_ms,
        create_response=policy.answers,
        interrupt_response=policy.interruptible,
    )
    return replace(settings, turns=turns)


def read_session(
    fields: Mapping[str, Any], dialect: Dialect, base: Settings | None = None
) -> Settings:
    """`base` with what the client's session object changes; unknown fields are ignored.

    Raises:
        Refusal: a value is wrong.
    """
    session = Fields(fields, "session")
    base = base or Settings()
    changes = _shared(session, base)
    changes |= _nested(session, base) if dialect is Dialect.GA else _flat(session, base)
    return replace(base, **changes, given=base.given | changes.keys())


def _shared(session: Fields, base: Settings) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if (instructions := session.text("instructions")) is not None:
        changes["instructions"] = instructions
    if (tools := read_tools(session)) is not None:
        changes["tools"] = tools
    if session.has("tool_choice"):
        known = changes.get("tools", base.tools)
        changes["tool_choice"] = read_tool_choice(session, known)
    elif "tools" in changes and base.tool_choice not in _names(changes["tools"]):
        changes["tool_choice"] = ""
    return changes


def _names(tools: Tools) -> set[str]:
    return {"", "none", "required", *(str(tool["name"]) for tool in tools)}


def _nested(session: Fields, base: Settings) -> dict[str, Any]:
    if session.one_of("type", ("realtime", "transcription")) == "transcription":
        raise invalid("session.type", "`realtime`: sessions that only transcribe are not served")
    changes: dict[str, Any] = {}
    _modalities(session, "output_modalities", changes, (["audio"], ["text"]))
    _tokens(session, "max_output_tokens", changes)
    audio = session.inner_or_empty("audio")
    heard, said = audio.inner_or_empty("input"), audio.inner_or_empty("output")
    if heard.inner("format") is not None:
        changes["input_format"] = _format(heard)
    if said.inner("format") is not None:
        changes["output_format"] = _format(said)
    _transcription(heard, "transcription", changes)
    _turns(heard, changes, base)
    _voice(said, changes)
    return changes


def _flat(session: Fields, base: Settings) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    both = (["text", "audio"], ["audio", "text"], ["text"])
    _modalities(session, "modalities", changes, both)
    _tokens(session, "max_response_output_tokens", changes)
    for key in ("input", "output"):
        if (name := session.one_of(f"{key}_audio_format", tuple(_INPUT_FORMATS))) is not None:
            changes[f"{key}_format"] = _INPUT_FORMATS[name]
    _transcription(session, "input_audio_transcription", changes)
    _turns(session, changes, base)
    _voice(session, changes)
    return changes


def _modalities(
    session: Fields, key: str, changes: dict[str, Any], allowed: tuple[list[str], ...]
) -> None:
    text_only = read_modalities(session, key, allowed)
    if text_only is not None:
        changes["text_only"] = text_only


def read_modalities(session: Fields, key: str, allowed: tuple[list[str], ...]) -> bool | None:
    """Whether no sound is wanted; None: nothing is said of it."""
    value = session.values.get(key)
    if value is not None and value not in allowed:
        raise invalid(session.at(key), " or ".join(f"`{choice}`" for choice in allowed))
    return None if value is None else value == ["text"]


def _tokens(session: Fields, key: str, changes: dict[str, Any]) -> None:
    if (most := read_tokens(session, key)) is not None:
        changes["max_output_tokens"] = most


def read_tokens(session: Fields, key: str) -> int | None:
    """0: no limit; None: nothing is said of it."""
    if session.values.get(key) == "inf":
        return 0
    return session.whole(key, least=1, most=MOST_TOKENS)


def _format(audio: Fields) -> SoundFormat:
    inner = audio.inner_or_empty("format")
    name = inner.one_of("type", tuple(SoundFormat)) or SoundFormat.PCM
    rate = inner.values.get("rate")
    if name == SoundFormat.PCM and rate not in (None, 24_000):
        raise invalid(inner.at("rate"), "24000")
    return SoundFormat(name)


def _transcription(audio: Fields, key: str, changes: dict[str, Any]) -> None:
    if not audio.has(key):
        return
    inner = audio.inner(key)
    if inner is None:
        changes["transcription"] = None
    else:
        language = inner.text("language", most=35)
        prompt, model = inner.text("prompt", most=10_000), inner.text("model", most=200)
        changes["transcription"] = Transcription(model, language or None, prompt)


def _voice(audio: Fields, changes: dict[str, Any]) -> None:
    voice = audio.values.get("voice")
    if isinstance(voice, dict):
        voice = audio.inner_or_empty("voice").required("id", most=100)
    elif voice is not None:
        voice = audio.text("voice", most=100)
    if voice:
        changes["voice"] = voice
    if (speed := audio.number("speed", least=0.25, most=1.5)) is not None:
        changes["speed"] = float(speed)


def _turns(audio: Fields, changes: dict[str, Any], base: Settings) -> None:
    """Omitted keeps what is; null leaves the turns to the client."""
    if not audio.has("turn_detection"):
        return
    inner = audio.inner("turn_detection")
    changes["turns"] = None if inner is None else _detection(inner, base.turns)


def _detection(inner: Fields, before: TurnDetection | None) -> TurnDetection:
    kind = inner.one_of("type", ("server_vad", "semantic_vad"))
    base = before or TurnDetection()
    semantic = base.semantic if kind is None else kind == "semantic_vad"
    threshold = inner.number("threshold", least=0, most=1)
    changes: dict[str, Any] = {
        "eagerness": inner.one_of("eagerness", _EAGERNESS),
        "threshold": None if threshold is None else float(threshold),
        "prefix_ms": inner.whole("prefix_padding_ms", most=_LONGEST_PREFIX_MS),
        "silence_ms": inner.whole("silence_duration_ms", most=_LONGEST_SILENCE_MS),
        "create_response": inner.flag("create_response"),
        "interrupt_response": inner.flag("interrupt_response"),
    }
    kept = {name: value for name, value in changes.items() if value is not None}
    if inner.has("idle_timeout_ms"):
        least, most = _IDLE_MS
        kept["idle_timeout_ms"] = inner.whole("idle_timeout_ms", least=least, most=most)
    return replace(base, semantic=semantic, **kept)
