"""What requests to providers come to is told beside their results."""

import asyncio

import pytest

from calls.domain.events import Stage
from calls.ports.usage import OK, ServiceReport, metered, note, report, reporting

REPORT = ServiceReport(stage=Stage.LLM, provider="p", outcome=OK, began_ms=1)


def test_without_anybody_who_listens_nothing_happens():
    note(model="m", input_tokens=3)
    report(REPORT)


def test_notes_belong_to_the_innermost_request():
    with metered() as outer:
        note(input_tokens=3, output_tokens=None)
        with metered() as inner:
            note(model="b", request_id="r2", output_tokens=5)
        note(input_tokens=4, model="a")
    assert (outer.model, outer.request_id, outer.usage) == ("a", "", {"input_tokens": 4})
    assert (inner.model, inner.request_id, inner.usage) == ("b", "r2", {"output_tokens": 5})


@pytest.mark.asyncio
async def test_tasks_tell_whoever_listened_when_they_began():
    told: list[ServiceReport] = []
    other: list[ServiceReport] = []

    async def work() -> None:
        await asyncio.sleep(0)
        report(REPORT)

    async with asyncio.TaskGroup() as group:
        with reporting(told.append):
            group.create_task(work())
        with reporting(other.append):
            pass
    report(REPORT)
    assert told == [REPORT]
    assert other == []
