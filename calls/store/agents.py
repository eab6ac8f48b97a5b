"""Agents as a call takes them: one frozen value with everything that shapes the call."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from calls.conf import calls_settings
from calls.domain.policy import Policy
from calls.models import Agent, FirstMessage
from calls.models.choosing import ServiceChoice
from calls.models.text import clean_text

DEMO_SLUG = "demo"
DEMO_PROMPT = (
    "You answer the phone for a small practice. Speak in short sentences. "
    "Help with opening hours, directions and appointments."
)
_OF_THE_CALL = ("first_message", "generate_first", "greets", "answers")
_POLICY_COLUMNS = tuple(entry.name for entry in fields(Policy) if entry.name not in _OF_THE_CALL)
_CHOICE_COLUMNS = tuple(column.name for column in ServiceChoice._meta.local_fields)


class AgentNotFoundError(LookupError):
    """No active agent has that slug."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """Everything that shapes a call, as it was when the call began.

    Attributes:
        agent_id: of the row; None for an agent that exists in code only.
        code_path: dotted path of the agent's class; empty for an agent without code.
        recorded: whether the sound is kept.
        summarized: whether a summary is asked for at the end.
    """

    agent_id: int | None
    slug: str
    name: str
    code_path: str
    language: str
    system_prompt: str
    tools: tuple[str, ...]
    session: str
    stt_provider: str
    stt_model: str
    stt_fallbacks: tuple[str, ...]
    llm_provider: str
    llm_model: str
    llm_fallbacks: tuple[str, ...]
    temperature: float | None
    tts_provider: str
    tts_model: str
    tts_fallbacks: tuple[str, ...]
    voice: str
    fallback_voices: Mapping[str, str]
    speed: float
    tts_disabled: bool
    realtime_model: str
    turn_detection: str
    vad_threshold: float
    vad_prefix_ms: int
    vad_silence_ms: int
    vad_eagerness: str
    max_output_tokens: int | None
    transcription_model: str
    noise_reduction: str
    tracing: bool
    language_instruction: bool
    extraction_schema: Mapping[str, Any] | None
    consent_text: str
    consent_mode: str
    recorded: bool
    redacted: bool
    summarized: bool
    token_required: bool
    micdrop_version: str
    policy: Policy

    def snapshot(self) -> Mapping[str, Any]:
        """These settings as JSON, for the record."""
        return asdict(self) | {"tools": list(self.tools)}


def agent_get(slug: str) -> AgentSettings:
    """The settings of an active agent.

    An agent in code needs no row; where it has one, the row says how it behaves.

    Raises:
        AgentNotFoundError: there is no such agent, or it is switched off.
        DatabaseError: the database cannot be asked.
    """
    code_path = calls_settings().agents.get(slug, "")
    row = Agent.objects.filter(slug=clean_text(slug)).first()
    if row is None and code_path:
        row = _unsaved(slug)
    if row is None or not row.active:
        raise AgentNotFoundError(slug)
    return agent_settings(row, code_path)


def agent_settings(row: Agent, code_path: str = "") -> AgentSettings:
    return AgentSettings(
        agent_id=row.pk,
        slug=row.slug,
        name=row.name,
        code_path=code_path,
        language=row.language,
        system_prompt=row.system_prompt,
        tools=tuple(row.tools),
        **{name: _frozen(getattr(row, name)) for name in _CHOICE_COLUMNS},
        consent_text=row.consent_text,
        consent_mode=row.consent_mode,
        recorded=row.recorded,
        redacted=row.redacted,
        summarized=row.summarized,
        token_required=row.token_required,
        micdrop_version=row.micdrop_version,
        policy=_policy(row),
    )


def demo_agent_ensure() -> AgentSettings:
    """The demo agent, made the first time and left alone afterwards."""
    row, _ = Agent.objects.get_or_create(
        slug=DEMO_SLUG,
        defaults={
            "name": "Demo agent",
            "system_prompt": DEMO_PROMPT,
            "first_message_mode": FirstMessage.GENERATED,
            "tools": ["book_appointment", "opening_hours"],
        },
    )
    return agent_settings(row, calls_settings().agents.get(DEMO_SLUG, ""))


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _policy(row: Agent) -> Policy:
    fixed = row.first_message_mode == FirstMessage.FIXED
    return Policy(
        first_message=row.first_message if fixed else None,
        generate_first=row.first_message_mode == FirstMessage.GENERATED,
        **{name: getattr(row, name) for name in _POLICY_COLUMNS},
    )


def _unsaved(slug: str) -> Agent:
    name = slug.replace("-", " ").replace("_", " ").capitalize()
    return Agent(
        slug=slug,
        name=name,
        first_message_mode=FirstMessage.GENERATED,
        resume_ms=calls_settings().resume_ms,
    )
