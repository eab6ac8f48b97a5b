"""What every request to a provider came to, told beside the streams that carry its results.

Adapters say what they learn of a request with `note`; whoever makes the request wraps it in
`metered` and tells the result with `report`; the voice session says with `reporting` whom to tell.
All of it follows the task that works, and tasks that it starts: nothing has to be passed along.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from calls.domain.events import Stage

OK = "ok"
CANCELLED = "cancelled"
"""Stopped by us, as a rule because the caller spoke."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceReport:
    """One request to one provider, however it ended.

    Attributes:
        provider: the adapter's name, such as "openai".
        model: as it was asked for; empty where there is none.
        outcome: `OK`, `CANCELLED`, or a `ProviderFault`'s value.
        began_ms: on the clock of the session.
        first_ms: from the beginning to the first part of the result; None: nothing came.
        duration_ms: from the beginning to the end.
        request_id: the provider's own.
        usage: what is paid for or worth knowing, by name. Names in use: input_tokens,
            cached_tokens, output_tokens, reasoning_tokens, input_audio_tokens,
            cached_audio_tokens, output_audio_tokens (each a part of the total before it),
            characters, character_cost, audio_ms (of the caller, as sent), spoken_ms.
        estimated: the provider never said, and `usage` is our own guess.
    """

    stage: Stage
    provider: str
    model: str = ""
    outcome: str = OK
    began_ms: int
    first_ms: int | None = None
    duration_ms: int = 0
    request_id: str = ""
    usage: Mapping[str, int] = field(default_factory=dict)
    estimated: bool = False


@dataclass(slots=True)
class Meter:
    """A request in progress, as its adapter tells of it."""

    model: str = ""
    request_id: str = ""
    usage: dict[str, int] = field(default_factory=dict)


_METER: ContextVar[Meter | None] = ContextVar("meter", default=None)
_REPORT: ContextVar[Callable[[ServiceReport], None] | None] = ContextVar("report", default=None)


def note(*, model: str = "", request_id: str = "", **usage: int | None) -> None:
    """Add to what is known of the request that goes on; without one nothing happens.

    A name that was noted before gets the new figure; None says nothing.
    """
    if (meter := _METER.get()) is None:
        return
    meter.model = model or meter.model
    meter.request_id = request_id or meter.request_id
    meter.usage.update({name: figure for name, figure in usage.items() if figure is not None})


@contextmanager
def metered() -> Iterator[Meter]:
    """A request begins: what is noted within belongs to it."""
    before, meter = _METER.get(), Meter()
    _METER.set(meter)
    try:
        yield meter
    finally:
        # Not by token: a generator may be closed in another context than it was begun in.
        _METER.set(before)


def report(result: ServiceReport) -> None:
    """Tell of a request that is over. Never waits; without a listener nothing happens."""
    if (take := _REPORT.get()) is not None:
        take(result)


@contextmanager
def reporting(take: Callable[[ServiceReport], None]) -> Iterator[None]:
    """Requests made within are told to `take`, which must neither wait nor raise."""
    before = _REPORT.get()
    _REPORT.set(take)
    try:
        yield
    finally:
        _REPORT.set(before)
