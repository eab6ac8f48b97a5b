"""Many calls at once while everything around them fails at random.

Faults, callers and answers come from one seed, which is in the name of the test. Time does not: two
runs of a seed are alike, not the same.
"""

import asyncio
import gc
import os
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from calls.domain.errors import EndReason
from calls.domain.state import Caller
from calls.domain.usage import ServiceUse
from calls.engine.runner import CallRunner
from calls.ports.errors import ProviderFault
from calls.ports.tools import CallInfo, ToolSpec
from calls.ports.usage import CANCELLED, OK
from calls.ports.voice import VoiceSession
from calls.providers.cascade.session import Cascade
from calls.providers.choice.budget import Budget
from calls.providers.openai.realtime.session import RealtimeSession
from calls.sockets import JsonSocket
from tests.faults.bench import Call, calling, cascade, policy
from tests.faults.leaks import held_by, nothing_left
from tests.faults.shaky import FINAL_WAIT_MS, PROVIDERS, StandIns

CALLS = 20
TINY = Budget(first_ms=350, stall_ms=250, total_ms=800)
REASONS = {EndReason.CALLER_HUNG_UP, EndReason.PROVIDER_FAILED}
OUTCOMES = {OK, CANCELLED, *ProviderFault}
GROWTH_KIB = 24 * 1024
"""What a process may keep of twenty calls: caches of libraries fill up, and memory splinters."""


class Clock:
    """A tool that takes its time, or fails."""

    spec = ToolSpec("clock", "Tells the time.", {"type": "object", "properties": {}})
    timeout_ms = 1_000

    def __init__(self, random: Random) -> None:
        self._random = random

    async def run(self, _call: CallInfo, _arguments: dict[str, Any]) -> str:
        await asyncio.sleep(self._random.uniform(0, 0.1))
        if self._random.random() < 0.2:
            raise RuntimeError("The clock has stopped.")
        return "16:00"


def session(random: Random, stand_ins: StandIns, tool: Clock) -> VoiceSession:
    """One model for all, or a cascade with one or two candidates for each stage."""
    if random.random() < 0.25:
        return stand_ins.realtime(tool.spec)
    line: dict[str, Any] = {}
    for stage, providers in PROVIDERS.items():
        chosen = random.sample(providers, random.choice((1, 2)))
        line[stage] = [provider.build(stand_ins) for provider in chosen]
    return cascade(**line, tools=[tool], budget=TINY)


class Talk:
    """What one caller does, until he hangs up."""

    def __init__(self, call: Call, random: Random) -> None:
        self._call = call
        self._random = random

    async def run(self) -> None:
        for _ in range(self._random.randint(1, 4)):
            if self._random.random() < 0.35:
                await self._speaks()
                await asyncio.sleep(self._random.uniform(0, 0.5))  # and then interrupts
            await self._speaks()
            await self._call.until(lambda: self._answered)
        if self._random.random() < 0.4:
            await self._speaks()
            await asyncio.sleep(self._random.uniform(0, 0.3))

    async def _speaks(self) -> None:
        turn = self._call.runner.state.turn
        self._call.microphone.speaks()
        self._call.microphone.is_silent()
        await self._call.until(
            lambda: self._call.runner.over or self._call.runner.state.turn > turn
        )

    @property
    def _answered(self) -> bool:
        state = self._call.runner.state
        busy = state.awaiting or state.unanswered or state.response is not None
        return self._call.runner.over or not (busy or state.caller is not Caller.SILENT)


async def one_call(random: Random, stand_ins: StandIns) -> Call:
    tool = Clock(random)
    voice = session(random, stand_ins, tool)
    await asyncio.sleep(random.uniform(0, 0.3))
    async with calling(voice, policy(), [tool]) as call:  # type: ignore[list-item]
        await Talk(call, random).run()
        await call.hangs_up()
    return call


async def soak(seed: int) -> None:
    """One round. What it raises where a promise was broken names the seed."""
    try:
        await _soak(Random(seed))
    except BaseException as broken:
        broken.add_note(f"The seed was {seed}.")
        raise


async def _soak(random: Random) -> None:
    stand_ins = StandIns(random)
    async with nothing_left(*stand_ins.all):
        await stand_ins.ready()
        async with asyncio.TaskGroup() as group:
            work = [one_call(Random(random.random()), stand_ins) for _ in range(CALLS)]
            tasks = [group.create_task(part) for part in work]
        calls = [task.result() for task in tasks]
    for call in calls:
        check_record(call)
    check_requests(calls, stand_ins)
    gc.collect()
    for double in stand_ins.all:
        assert double.broken_rules == [], type(double).__name__


def check_record(call: Call) -> None:
    """It is closed, and what was asked of providers belongs to its turns."""
    records = call.records
    assert records.finishes == 1
    assert records.reason in REASONS
    for use in records.uses.values():
        assert use.outcome in OUTCOMES
        assert use.turn in records.turns, (use, sorted(records.turns))


def check_requests(calls: list[Call], stand_ins: StandIns) -> None:
    """As many are on the records as were made, but for those that never arrived."""
    uses = [use for call in calls for use in call.records.uses.values()]
    for provider in providers():
        key = (provider.stage, provider.vendor, provider.model)
        told = [use for use in uses if (use.stage, use.provider, use.model) == key]
        seen = provider.requests(stand_ins)
        if provider.socket:
            served = sum(use.outcome == OK and not by_partial(use) for use in told)
            assert served <= seen <= 2 * len(told), (key, seen, told)
        else:
            arrived = sum(use.outcome == OK or bool(use.request_id) for use in told)
            again = {"llm": stand_ins.models.mute, "stt": stand_ins.audio.mute}
            most = len(told) + again.get(provider.stage, 0)
            assert arrived <= seen <= most, (key, seen, len(told))


def by_partial(use: ServiceUse) -> bool:
    """Whether what was understood so far may have had to do, since the final text took too long.

    The wait for that begins with the end of the utterance; the first words may come after it.
    """
    return use.stage == "stt" and use.duration_ms >= FINAL_WAIT_MS - 10


def providers() -> Iterator[Any]:
    for of_stage in PROVIDERS.values():
        yield from of_stage


@pytest.mark.asyncio
@pytest.mark.parametrize("seed", [1, 2])
async def test_calls_keep_their_promises_whatever_fails(seed: int) -> None:
    await soak(seed)


@pytest.mark.timeout(300)
def test_a_process_does_not_grow_with_its_calls() -> None:
    sizes_kib = []
    others = living()  # of tests that failed, or keep something for those to come
    for seed in (3, 4, 5):  # in the first the libraries make themselves at home
        asyncio.run(soak(seed))
        gc.collect()
        left = [thing for thing in living() if thing not in others]
        assert not left, held_by(left[0])
        sizes_kib.append(resident_kib())
    assert sizes_kib[-1] - sizes_kib[1] < GROWTH_KIB, sizes_kib


def living() -> list[object]:
    """What of calls has not been let go of."""
    kinds = (CallRunner, Cascade, RealtimeSession, JsonSocket)
    return [thing for thing in gc.get_objects() if isinstance(thing, kinds)]


def resident_kib() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024
