"""The fault table: whole calls, one for each row, against a stand-in that fails so."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from calls.domain.errors import EndReason
from calls.domain.events import Stage
from calls.domain.usage import ServiceUse
from tests.faults.bench import Call, Noticed, calling, cascade
from tests.faults.leaks import freed, nothing_left
from tests.faults.others import SteadyMind
from tests.faults.providers import SPOKEN
from tests.faults.rows import ROWS
from tests.faults.table import Notice, Row

pytestmark = pytest.mark.usefixtures("fast")


TRIES = 3
STARVED_MS = 1_000
"""Without a processor for so long, the first choice may have been late for another reason."""


@pytest.mark.asyncio
@pytest.mark.parametrize("row", ROWS, ids=str)
async def test_fault(row: Row) -> None:
    """Once more where it failed and the machine had no time; then once more, and no more."""
    for left in reversed(range(TRIES)):
        turns = await told_of(row)
        try:
            check(row, turns)
        except AssertionError:
            if not left or max(turns.noticed.starved_ms, turns.after.starved_ms) < STARVED_MS:
                raise
        else:
            return


@dataclass(frozen=True)
class Turns:
    """A call with a fault: its first turn, the one after it, and how it ended."""

    call: Call
    noticed: Noticed
    after: Noticed
    reason: EndReason
    name: str


async def told_of(row: Row) -> Turns:
    provider = row.provider
    double = provider.double()
    async with nothing_left(double) as sockets:
        row.prepare(double)
        await provider.ready(double)
        adapter = provider.build(double)
        double.fail(provider.path, *row.all_strikes)
        line = [adapter] if row.alone else [adapter, provider.spare()]
        stages = {provider.stage.value: line}
        if provider.stage is Stage.TTS:
            stages["llm"] = [SteadyMind(SPOKEN)]
        async with calling(cascade(**stages)) as call:
            if row.early:
                await call.until(lambda: double.asked)
                await freed(double)
                await sockets.gone()
            noticed = await call.says_something()
            double.works_again()
            if row.slow:
                await call.until(double.asked[0].over.is_set)
            after = await call.says_something()
            reason = await call.hangs_up()
        await freed(double)
    return Turns(call, noticed, after, reason, adapter.name)


def check(row: Row, turns: Turns) -> None:
    check_noticed(row, turns.noticed)
    check_after(row, turns.after)
    assert turns.reason is EndReason.CALLER_HUNG_UP
    check_record(row, turns.call, turns.name)


def check_noticed(row: Row, noticed: Noticed) -> None:
    assert noticed.words.split() == row.words.split()
    assert noticed.voices == row.voices
    assert noticed.errors == ([row.shown_error] if row.shown_error else [])
    assert noticed.silence_ms - noticed.starved_ms < row.wait.ms


def check_after(row: Row, after: Noticed) -> None:
    """The call goes on as if nothing had been, or with the next in line at once."""
    usual = Notice.NOTHING if row.after == "first" else Notice.NEXT
    wanted = Row(provider=row.provider, fault="", notice=usual, record=())
    assert after.words.split() == wanted.words.split()
    assert after.voices == wanted.voices
    assert after.errors == []


def check_record(row: Row, call: Call, name: str) -> None:
    stage, turn = row.provider.stage.value, call.turn(1)
    vendor = row.provider.vendor
    assert [told(use, vendor) for use in call.uses(stage, 1)] == list(row.record)
    assert turn.error == row.error
    served = {"spare": f"spare:{_KINDS[stage]}", "last": "last:voice"}
    by = served["last" if row.alone and stage == "tts" else "spare"]
    expected = {Notice.NEXT: by, Notice.APOLOGY: ""}.get(row.notice, name)
    assert getattr(turn, stage) == expected
    assert [item.role.value for item in call.records.items.values()] == list(_roles(row))


_KINDS = {"stt": "ears", "llm": "mind", "tts": "voice"}


def _roles(row: Row) -> Iterator[str]:
    unheard = row.provider.stage is Stage.STT and row.notice in (
        Notice.APOLOGY,
        Notice.NOT_UNDERSTOOD,
    )
    yield from () if unheard else ("user",)
    yield from ("agent", "user", "agent")


def told(use: ServiceUse, vendor: str) -> str:
    """A request as the rows have it."""
    who = {vendor: "", "spare": "next", "last": "last"}[use.provider]
    known = "id" if use.request_id else ""
    guessed = "estimated" if use.estimated and use.provider == vendor else ""
    return " ".join(filter(None, (who, use.outcome, known, guessed)))
