"""What `manage.py check` says about `CALLS`, about the agents, and about models that end."""

from collections.abc import Collection, Iterator, Sequence
from datetime import date, timedelta
from typing import Any

from django.apps import AppConfig
from django.core import checks
from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError

from calls.conf import calls_settings
from calls.domain.events import Stage
from calls.models import Agent
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

_STAGES = (Stage.STT, Stage.LLM, Stage.TTS)


def agents_check(
    app_configs: Sequence[AppConfig] | None,  # noqa: ARG001 - how Django calls checks
    **_: Any,
) -> list[CheckMessage]:
    """The settings can be read, every agent in code can be loaded, and no default model ends."""
    try:
        settings = calls_settings()
    except ImproperlyConfigured as error:
        return [Error(str(error), id=UNUSABLE_SETTINGS)]
    in_code = [p for slug, path in settings.agents.items() for p in _code_problems(slug, path)]
    named = [
        (name.partition(":")[0], model, f"CALLS['MODELS'][{name!r}]")
        for name, model in settings.models.items()
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
        settings = calls_settings()
        agents = list(Agent.objects.filter(active=True))
    except (ImproperlyConfigured, DatabaseError):
        return []  # other checks say so
    code = settings.agents
    return [
        *(p for agent in agents if agent.slug not in code for p in _not_set_up(agent)),
        *_ending([entry for agent in agents for entry in _models_of(agent)], today()),
    ]


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
