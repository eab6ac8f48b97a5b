"""What goes in and out, as OpenAPI shows it."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from calls.models import WebhookEvent
from calls.store.seen import CURSOR_CHARS

Json = dict[str, Any]
SLUG = r"^[-a-zA-Z0-9_]+$"
MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
Slug = Annotated[str, Field(min_length=1, max_length=64, pattern=SLUG)]
CallId = Annotated[str, Field(min_length=1, max_length=64)]
Caller = Annotated[str, Field(max_length=200)]
Money = Annotated[str, Field(description="In units of the currency, with six places: 0.012300.")]


def _written_out(value: object) -> object:
    """Numbers are no moments, though a date might be counted in them."""
    if not isinstance(value, str) or not MOMENT.fullmatch(value):
        raise ValueError("a date and a time with its zone, such as 2026-11-20T00:00:00Z")
    return value


def _in_utc(at: datetime) -> datetime:
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise ValueError("beyond all calendars") from None


Moment = Annotated[AwareDatetime, BeforeValidator(_written_out), AfterValidator(_in_utc)]


class In(BaseModel):
    """What clients send: nothing that is not known."""

    model_config = ConfigDict(extra="forbid")


class Out(BaseModel):
    """What they get, made from rows."""

    model_config = ConfigDict(from_attributes=True)


def _example(**fields: Any) -> Any:
    return {"example": fields}


class ErrorBody(Out):
    code: str
    message: str


class Error(Out):
    """Every error has this shape."""

    model_config = ConfigDict(
        json_schema_extra=_example(error={"code": "not_found", "message": "There is no such call."})
    )
    error: ErrorBody


# Tokens


class TokenIn(In):
    """Who may call whom, once, soon."""

    model_config = ConfigDict(
        json_schema_extra=_example(
            agent="support", caller="customer-4711", max_call_seconds=600, max_cost="0.50"
        )
    )
    agent: Slug
    caller: Caller = Field("", description="Who calls, in your words; erase and export find it.")
    metadata: Json = Field(default_factory=dict, description="At most 2048 bytes as JSON.")
    max_call_seconds: int | None = Field(None, ge=1, le=86_400)
    max_cost: Decimal | None = Field(
        None, ge=0, max_digits=12, decimal_places=6, description="Money for the call."
    )
    origin: str = Field("", max_length=200, description="Of the page that shows the call.")


class TokenOut(Out):
    model_config = ConfigDict(
        json_schema_extra={"example": {"token": "eyJp...:1vM...", "expires_in": 90}}
    )
    token: str = Field(description="For the first message of one call; never put it into a URL.")
    expires_in: int = Field(description="Seconds until it has to be used.")


# Agents


class AgentOut(Out):
    slug: str
    name: str
    language: str
    recorded: bool
    consent_text: str
    consent_mode: str
    token_required: bool


class AgentFull(AgentOut):
    settings: Json | None = Field(
        None, description="Everything that shapes its calls; for keys with the scope `agents`."
    )


class Agents(Out):
    data: list[AgentOut]


# Conversations


class Status(StrEnum):
    ACTIVE = "active"
    ENDED = "ended"


class OfSite(BaseModel):
    site: str = Field("", max_length=64)


class Filters(OfSite):
    """Which conversations, and how many at once."""

    agent: str = Field("", max_length=64)
    caller: Caller = ""
    status: Status | None = None
    started_after: Moment | None = None
    started_before: Moment | None = None
    q: str = Field("", max_length=200)
    limit: int = Field(20, ge=1, le=100)
    cursor: str = Field("", max_length=CURSOR_CHARS)


class ConversationOut(Out):
    call_id: str
    site: str
    agent: str
    caller: str
    metadata: Any
    protocol: str
    language: str
    status: Status
    end_reason: str = Field(description="Empty while the call goes on.")
    started_at: datetime
    ended_at: datetime | None
    duration_ms: int | None
    turn_count: int
    interruption_count: int
    latency_ms: int | None = Field(description="Median silence before an answer.")
    cost: Money
    currency: str
    title: str = Field(description="Of the summary; empty: there is none yet.")
    recorded: bool


class Conversations(Out):
    data: list[ConversationOut]
    next_cursor: str | None = Field(description="For the next page; null: this is the last one.")


class ItemOut(Out):
    item_id: int
    turn: int
    role: str
    status: str
    source: str
    text: str = Field(description="What was said; of the agent's words, what was heard.")
    unheard: str
    started_ms: int
    ended_ms: int | None
    tool_name: str
    arguments: str
    metadata: Any


class TurnOut(Out):
    turn: int
    latency_ms: int | None
    speech_stopped_ms: int | None
    committed_ms: int | None
    transcript_ms: int | None
    first_text_ms: int | None
    first_audio_ms: int | None
    first_heard_ms: int | None
    ended_ms: int | None
    interrupted: bool
    heard_ms: int
    spoken_ms: int
    error: str
    stt: str
    llm: str
    tts: str


class UseOut(Out):
    number: int
    turn: int
    stage: str
    provider: str
    model: str
    outcome: str
    began_ms: int
    first_ms: int | None
    duration_ms: int
    usage: Any
    estimated: bool
    cost_micros: int | None = Field(description="In millionths of the currency.")


class SummaryOut(Out):
    state: str
    title: str
    summary: str
    key_points: Any
    next_steps: Any
    outcome: str
    language: str
    extracted: Any = Field(description="By the agent's schema; null: nothing.")
    extraction_error: str


class ConversationFull(ConversationOut):
    items: list[ItemOut]
    turns: list[TurnOut]
    uses: list[UseOut]
    summary: SummaryOut | None


class LinkOut(Out):
    url: str = Field(description="Good by itself until it expires, within a minute.")
    expires_at: datetime


# Erasures


class ErasureIn(In):
    model_config = ConfigDict(json_schema_extra=_example(caller="customer-4711"))
    caller: str = Field(min_length=1, max_length=200)


class ErasureOut(Out):
    id: int
    state: str = Field(description="pending, running, done or failed.")
    requested_at: datetime
    done_at: datetime | None
    conversations: int = Field(description="How many were erased so far.")
    recordings: int


# Webhooks


class WebhookIn(In):
    model_config = ConfigDict(
        json_schema_extra=_example(
            url="https://www.example.com/calls", events=["call.ended", "summary.ready"]
        )
    )
    url: str = Field(min_length=1, max_length=500)
    events: list[WebhookEvent] = Field(min_length=1, max_length=20)
    active: bool = True


class WebhookPatch(In):
    url: str | None = Field(None, min_length=1, max_length=500)
    events: list[WebhookEvent] | None = Field(None, min_length=1, max_length=20)
    active: bool | None = None


class WebhookOut(Out):
    id: int
    site: str | None = Field(description="Null: it is told of the calls of every site.")
    url: str
    events: list[str]
    active: bool
    created_at: datetime


class WebhookMade(WebhookOut):
    secret: str = Field(description="What its messages are signed with.")


class Webhooks(Out):
    data: list[WebhookOut]


class SecretOut(Out):
    secret: str


# Usage


class Limits(Out):
    max_calls: int | None
    max_calls_per_hour: int | None
    max_call_seconds: int | None
    max_minutes_per_day: int | None
    max_call_cost: Decimal | None
    max_day_cost: Decimal | None


class UsageOut(Out):
    site: str
    day: str = Field(description="Of UTC, as 2026-11-21.")
    calls: int
    live_calls: int
    seconds: int
    cost: Money
    currency: str
    limits: Limits | None = Field(description="Null: there are none. A limit of null: not by that.")
