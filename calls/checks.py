"""What `manage.py check` says: about `CALLS`, agents, models that end, mistakes in production."""

from collections.abc import Collection, Iterator, Sequence
from datetime import date, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError

from calls.conf import calls_settings
from calls.domain.events import Stage
from calls.models import OWN_SITE, Agent, Site, Webhook
from calls.providers.catalogue import Model, model_find
from calls.providers.code import agent_class
from calls.providers.openai.profile import profile
from calls.wiring import offers

UNUSABLE_SETTINGS = "calls.E001"
UNUSABLE_AGENT = "calls.E002"
UNKNOWN_PROFILE = "calls.E003"
PROVIDER_NOT_SET_UP = "calls.E004"
MODEL_ENDS = "calls.W001"
MODEL_ENDED = "calls.W002"
LAYER_IN_MEMORY = "calls.W003"
DEBUG_IN_PUBLIC = "calls.W004"
ANY_HOST = "calls.W005"
NO_PUBLIC_URL = "calls.W006"
TRUSTS_EVERYBODY = "calls.W007"
KEEPS_FOR_EVER = "calls.W008"
SOUND_IN_PUBLIC = "calls.E005"

_IN_MEMORY = "channels.layers.InMemoryChannelLayer"
_OWN_HOSTS = {"localhost", "127.0.0.1", "[::1]", "testserver"}

_STAGES = (Stage.STT, Stage.LLM, Stage.TTS)


def agents_check(
    app_configs: Sequence[AppConfig] | None,  # noqa: ARG001 - how Django calls checks
    **_: Any,
) -> list[CheckMessage]:
    """The settings can be read, every agent in code can be loaded, and no default model ends."""
    try:
        own = calls_settings()
    except ImproperlyConfigured as error:
        return [Error(str(error), id=UNUSABLE_SETTINGS)]
    in_code = [p for slug, path in own.agents.items() for p in _code_problems(slug, path)]
    named = [
        (name.partition(":")[0], model, f"CALLS['MODELS'][{name!r}]")
        for name, model in own.models.items()
    ]
    return [*in_code, *_profile_problems(), *_ending(named, today())]


def agents_database_check(
    app_configs: Sequence[AppConfig] | None,  # noqa: ARG001 - how Django calls checks
    databases: Collection[str] | None = None,
    **_: Any,
) -> list[CheckMessage]:
    """What agents ask for is set up, and none of their models ends. Only with `--database`."""
    if not databases:
        return []
    try:
        code = calls_settings().agents
        agents = list(Agent.objects.filter(active=True))
    except (ImproperlyConfigured, DatabaseError):
        return []  # other checks say so
    return [
        *(p for agent in agents if agent.slug not in code for p in _not_set_up(agent)),
        *_ending([entry for agent in agents for entry in _models_of(agent)], today()),
    ]


def deployment_check(
    app_configs: Sequence[AppConfig] | None,  # noqa: ARG001 - how Django calls checks
    **_: Any,
) -> list[CheckMessage]:
    """Nothing is set up that is fine on one's own machine and a mistake in public."""
    try:
        own = calls_settings()
    except ImproperlyConfigured:
        return []  # another check says so
    layer = getattr(settings, "CHANNEL_LAYERS", {}).get("default", {}).get("BACKEND", _IN_MEMORY)
    hosts = set(settings.ALLOWED_HOSTS)
    everybody = any(ip_network(entry).prefixlen == 0 for entry in own.trusted_proxies)
    found = {
        LAYER_IN_MEMORY: own.background == "worker" and layer == _IN_MEMORY,
        DEBUG_IN_PUBLIC: settings.DEBUG and not hosts <= _OWN_HOSTS,
        ANY_HOST: "*" in hosts and not settings.DEBUG,
        TRUSTS_EVERYBODY: everybody,
    }
    return [_mistake(name) for name, made in found.items() if made]


def webhooks_check(
    app_configs: Sequence[AppConfig] | None,  # noqa: ARG001 - how Django calls checks
    databases: Collection[str] | None = None,
    **_: Any,
) -> list[CheckMessage]:
    """What webhooks are told can be found from outside. Only with `--database`."""
    try:
        missing = bool(databases) and not calls_settings().public_url
        return [_mistake(NO_PUBLIC_URL)] if missing and Webhook.objects.exists() else []
    except (ImproperlyConfigured, DatabaseError):
        return []  # other checks say so


def sound_check(
    app_configs: Sequence[AppConfig] | None,  # noqa: ARG001 - how Django calls checks
    **_: Any,
) -> list[CheckMessage]:
    """No web server shows what was recorded: it lies below none of the folders they show."""
    try:
        own = calls_settings()
    except ImproperlyConfigured:
        return []  # another check says so
    shown = {
        name: Path(getattr(settings, name)).resolve()
        for name in ("MEDIA_ROOT", "STATIC_ROOT")
        if getattr(settings, name, None)
    }
    kept = {"RECORDINGS_DIR": own.recordings_dir, "DEBUG_DIR": own.debug_dir}
    return [
        Error(
            f"CALLS['{key}'] lies in {name}, which web servers show to everybody.",
            hint="Name a folder outside of it.",
            id=SOUND_IN_PUBLIC,
        )
        for key, folder in kept.items()
        for name, root in shown.items()
        if folder.resolve().is_relative_to(root)
    ]


def retention_check(
    app_configs: Sequence[AppConfig] | None,  # noqa: ARG001 - how Django calls checks
    databases: Collection[str] | None = None,
    **_: Any,
) -> list[CheckMessage]:
    """What strangers say is not kept for ever by mistake. Only with `--database`."""
    if not databases:
        return []
    try:
        own = calls_settings()
        limited = own.keep_audio_days and own.keep_text_days
        strangers = Site.objects.filter(active=True, public=True).exclude(slug=OWN_SITE)
        public = not set(settings.ALLOWED_HOSTS) <= _OWN_HOSTS or strangers.exists()
    except (ImproperlyConfigured, DatabaseError):
        return []  # other checks say so
    return [_mistake(KEEPS_FOR_EVER)] if public and not limited else []


_MISTAKES = {
    LAYER_IN_MEMORY: (
        "BACKGROUND is 'worker', so there are several processes, and they cannot tell each other "
        "anything: the channel layer is in memory.",
        "Set REDIS_URL, or CHANNEL_LAYERS to a layer that all processes share.",
    ),
    DEBUG_IN_PUBLIC: (
        "DEBUG is on, and ALLOWED_HOSTS names a public host: errors show code and settings to "
        "everybody.",
        "Set DEBUG to false.",
    ),
    ANY_HOST: (
        "ALLOWED_HOSTS has '*': a page of any name that points at this server counts as its own, "
        "and may open calls.",
        "Name the hosts under which people reach this server.",
    ),
    NO_PUBLIC_URL: (
        "There are webhooks, and PUBLIC_URL is not set: what is sent without a request at hand "
        "cannot say where this server is.",
        "Set PUBLIC_URL to where the outside reaches this server, such as https://calls.example.",
    ),
    KEEPS_FOR_EVER: (
        "Strangers can call, and recordings or words are kept until somebody deletes them.",
        "Set KEEP_AUDIO_DAYS and KEEP_TEXT_DAYS; docs/privacy.md says what each removes.",
    ),
    TRUSTS_EVERYBODY: (
        "TRUSTED_PROXIES holds every address: anybody can choose the address that limits count.",
        "Name the networks of your own proxies alone.",
    ),
}


def _mistake(name: str) -> CheckMessage:
    message, hint = _MISTAKES[name]
    return checks.Warning(message, hint=hint, id=name)


def today() -> date:
    """By the machine's calendar."""
    return date.today()  # noqa: DTZ011 - announcements name days, not moments


def _code_problems(slug: str, path: str) -> list[CheckMessage]:
    try:
        agent_class(path, slug)
    except ImproperlyConfigured as error:
        return [Error(str(error), id=UNUSABLE_AGENT)]
    return []


def _profile_problems() -> Iterator[CheckMessage]:
    for stage in _STAGES:
        key = f"{stage.value}_profile"
        try:
            profile(getattr(calls_settings(), key))
        except ValueError as error:
            yield Error(f"CALLS[{key.upper()!r}]: {error}", id=UNKNOWN_PROFILE)


def _not_set_up(agent: Agent) -> Iterator[CheckMessage]:
    """Providers that the agent names and the installation has not."""
    if agent.session != "cascade":
        if not calls_settings().openai_api_key:
            yield _missing(agent, agent.session, "OPENAI_API_KEY")
        return
    for stage in _STAGES:
        named = [getattr(agent, f"{stage.value}_provider")]
        for name in (*named, *getattr(agent, f"{stage.value}_fallbacks")):
            entry = offers.offer(stage, name)
            if entry is not None and not entry.there:
                yield _missing(agent, name, entry.needs)


def _missing(agent: Agent, provider: str, needs: str) -> CheckMessage:
    return Error(
        f"Agent {agent.slug!r} uses {provider!r}, which needs {needs}.",
        hint=f"Set {needs} in the environment, or choose another provider in the admin.",
        id=PROVIDER_NOT_SET_UP,
    )


def _models_of(agent: Agent) -> Iterator[tuple[str, str, str]]:
    """Provider, model and where it is named, for every hosted model that the agent names."""
    where = f"Agent {agent.slug!r}"
    for stage in _STAGES:
        entry = offers.offer(stage, getattr(agent, f"{stage.value}_provider"))
        if entry is not None:
            yield entry.vendor, getattr(agent, f"{stage.value}_model"), where
    for name in (agent.realtime_model, agent.transcription_model):
        yield "openai", name, where


def _ending(named: list[tuple[str, str, str]], now: date) -> Iterator[CheckMessage]:
    until = now + timedelta(days=calls_settings().model_warning_days)
    for provider, name, where in named:
        model = model_find(provider, name)
        if model is not None and model.ends_on is not None and model.ends_on <= until:
            yield _ends(model, name, where, ended=model.ends_on <= now)


def _ends(model: Model, name: str, where: str, *, ended: bool) -> CheckMessage:
    when = "is not served any more since" if ended else "will not be served from"
    return checks.Warning(
        f"{where}: the model {name!r} {when} {model.ends_on} on.",
        hint=f"Use {model.replacement!r} instead." if model.replacement else None,
        id=MODEL_ENDED if ended else MODEL_ENDS,
    )
