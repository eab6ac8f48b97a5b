"""A call in real time, of which single parts can be made to hang; and a watchdog beside it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from calls.domain.events import Stage
from calls.domain.policy import Policy
from calls.engine.clock import MonotonicClock
from calls.engine.intake import Intake
from calls.engine.registry import LiveCall, Registry
from calls.engine.runner import CallRunner, CallSetup
from calls.engine.watchdog import Watchdog
from calls.ports.tools import CallInfo
from calls.ports.usage import ServiceReport
from tests.doubles.client import RecordingClient
from tests.doubles.detector import ScriptedDetector
from tests.doubles.records import MemoryRecording, MemoryRecords
from tests.doubles.voice import ScriptedVoice


class Watched:
    """One call with caps.

    Args:
        micros: what each request to a provider costs.
    """

    def __init__(
        self,
        clock: MonotonicClock,
        *,
        cap_ms: int | None = None,
        cap_micros: int | None = None,
        micros: int = 0,
        name: str = "c1",
        **policy: Any,
    ) -> None:
        self.clock = clock
        self.voice = ScriptedVoice()
        self.records = MemoryRecords()
        self.recording = MemoryRecording()
        self.runner = CallRunner(
            CallSetup(
                info=CallInfo(call_id=name, agent="demo", language="en"),
                policy=Policy(**{"idle_ms": 0, "max_call_ms": 0} | policy),
                voice=self.voice,
                records=self.records,
                recording=self.recording,
                tools=(),
                clock=clock,
                price=lambda _report: micros,
            )
        )
        intake = Intake(
            detector=ScriptedDetector(),
            post=self.runner.post,
            now_ms=self.runner.now_ms,
            recording=self.recording,
        )
        self.live = LiveCall(self.runner, intake, "Demo", cap_ms=cap_ms, cap_micros=cap_micros)
        self.client = RecordingClient(clock, self.runner)

    def reports(self) -> None:
        """A provider says what a request came to."""
        self.voice.report(ServiceReport(stage=Stage.LLM, provider="x", began_ms=0), None)


async def until(condition: Callable[[], bool], within_ms: int = 3_000) -> None:
    """Wait for something to come true."""
    for _ in range(within_ms // 5):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never came to that")


class Rig:
    """Calls of one registry, and the watchdog that looks after them."""

    def __init__(self) -> None:
        self.clock = MonotonicClock()
        self.registry = Registry(max_calls=10)
        self.dog = Watchdog(self.registry, self.clock)
        self.blocked: list[asyncio.Event] = []

    async def begin(self, **kwargs: Any) -> Watched:
        """A call that runs, with its client."""
        call = Watched(self.clock, **kwargs)
        await self.registry.start(call.live)
        call.runner.attach(call.client)
        return call

    async def over(self, call: Watched, within_ms: int) -> int:
        """Wait until the call is gone and its client let go; its age in milliseconds."""
        await until(
            lambda: not len(self.registry) and call.client.close_code is not None, within_ms
        )
        return call.runner.now_ms()

    def never(self, *, stubborn: bool = False) -> Callable[..., Any]:
        """Something that does not return; a stubborn one not even when it is cancelled."""
        go = asyncio.Event()
        self.blocked.append(go)

        async def hang(*_: Any, **__: Any) -> None:
            while not go.is_set():
                try:
                    await go.wait()
                except asyncio.CancelledError:
                    if not stubborn:
                        raise

        return hang


@asynccontextmanager
async def watching() -> AsyncIterator[Rig]:
    rig = Rig()
    await rig.registry.keep_once("limits", rig.dog.run)
    try:
        yield rig
    finally:
        for event in rig.blocked:
            event.set()
        await rig.registry.close(within_ms=300)
