"""What a row of the fault table is, and what it says."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import Any

from calls.domain.events import Stage
from tests.doubles.providers.base import Fault
from tests.faults.bench import APOLOGY, BUDGET, NOT_UNDERSTOOD, SLACK_MS
from tests.faults.providers import FIRST_TEXT, FIRST_WORDS, SPARE_TEXT, SPOKEN, Provider

HEALED = 8
"""So often a fault strikes that lasts: more than one turn can ask."""


class Notice(StrEnum):
    """What the caller notices of a turn."""

    NOTHING = "nothing"
    NEXT = "the next in line does it"
    BROKEN_OFF = "whole sentences that had come, then the apology"
    STOPS = "the voice breaks off; the words are on the screen"
    PART = "an answer to what was understood so far"
    NOT_UNDERSTOOD = "that he was not understood"
    APOLOGY = "the apology"


class Wait(StrEnum):
    """How long the silence before it is, at most."""

    NONE = "none"
    FIRST = "the patience for a first part"
    STALL = "the patience between parts"
    TOTAL = "the budget"

    @property
    def ms(self) -> int:
        """In the tests, whose budgets are small; a busy machine is forgiven."""
        times = {
            Wait.FIRST: BUDGET.first_ms,
            Wait.STALL: BUDGET.stall_ms,
            Wait.TOTAL: BUDGET.total_ms,
        }
        return times.get(self, 0) + SLACK_MS


@dataclass(frozen=True, kw_only=True)
class Row:
    """A fault, and what comes of it.

    Attributes:
        strikes: one for each request or handshake, from the beginning of the call.
        early: the strike is over before the caller says a word.
        lasts: the strike is repeated until the turn is over; then all is well again.
        slow: its socket takes a while to be let go of, as a call has one at a time: the caller
            speaks again once it is gone.
        prepare: what else is wrong with the stand-in.
        alone: there is no next in line (of voices: only the last resort).
        record: requests of the stage in order: outcome, "id" where the provider's own id of the
            request is known, "estimated"; "next" in front for the next in line.
        after: who serves the turn after it.
    """

    provider: Provider
    fault: str
    strikes: tuple[Fault, ...] = ()
    early: bool = False
    lasts: bool = False
    slow: bool = False
    prepare: Callable[[Any], None] = lambda _double: None
    alone: bool = False
    notice: Notice = Notice.NOTHING
    wait: Wait = Wait.NONE
    record: tuple[str, ...]
    after: str = "first"

    @property
    def all_strikes(self) -> tuple[Fault, ...]:
        return self.strikes * HEALED if self.lasts else self.strikes

    @property
    def words(self) -> str:
        return _WORDS[self.provider.stage](self.notice)

    @property
    def voices(self) -> list[str]:
        if self.provider.stage is not Stage.TTS:
            return ["spare"]
        if self.notice is not Notice.NEXT:
            return ["first"]
        return ["last" if self.alone else "spare"]

    @property
    def error(self) -> str:
        """Of the turn, on the record."""
        failed = self.notice in (Notice.BROKEN_OFF, Notice.STOPS, Notice.APOLOGY)
        return f"{self.provider.stage.value}_failed" if failed else ""

    @property
    def shown_error(self) -> str:
        """To the caller: of a provider that is busy he may be told so."""
        busy = self.error and self.record[-1].startswith("busy")
        return "speech_busy" if busy else self.error

    def cells(self) -> tuple[str, ...]:
        record = ", ".join(self.record) + (f"; turn: `{self.error}`" if self.error else "")
        fault = f"{self.fault}; nobody is next in line" if self.alone else self.fault
        return fault, self.notice.value, self.wait.value, record, _AFTER[self.after]

    def __str__(self) -> str:
        fault, notice, *_ = self.cells()
        return f"{self.provider.title}: {fault} -> {notice}"


_AFTER = {"first": "the first choice", "next": "the next in line"}

_WORDS: dict[Stage, Callable[[Notice], str]] = {
    Stage.LLM: lambda notice: {
        Notice.NOTHING: FIRST_TEXT,
        Notice.NEXT: SPARE_TEXT,
        Notice.BROKEN_OFF: FIRST_WORDS[0] + APOLOGY,
        Notice.APOLOGY: APOLOGY,
    }[notice],
    Stage.STT: lambda notice: {
        Notice.NOTHING: "You said the first.",
        Notice.NEXT: "You said the second.",
        Notice.PART: "You said the.",
        Notice.NOT_UNDERSTOOD: NOT_UNDERSTOOD,
        Notice.APOLOGY: APOLOGY,
    }[notice],
    Stage.TTS: lambda _notice: SPOKEN,
}

_HEAD = ("Fault", "The caller notices", "Silence, at most", "On the record", "The turn after")


def markdown(rows: Iterable[Row]) -> Iterator[str]:
    """The tables, one for each provider."""
    for title, of_one in groupby(rows, key=lambda row: row.provider.title):
        yield from table(title, [row.cells() for row in of_one])


def table(title: str, cells: Iterable[Iterable[str]]) -> Iterator[str]:
    """The lines of one table."""
    yield f"## {title}\n"
    yield _line(_HEAD)
    yield _line("---" for _ in _HEAD)
    yield from map(_line, cells)
    yield ""


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
