"""A whole call on the bench: the real engine between doubles, in a time that the test moves."""

import asyncio
import struct
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from calls.domain.audio import CALLER
from calls.domain.effects import Effect
from calls.domain.errors import EndReason
from calls.domain.events import EndAsked, HungUp, Played
from calls.domain.policy import Policy
from calls.engine.intake import Intake
from calls.engine.registry import LiveCall
from calls.engine.runner import CallRunner, CallSetup
from calls.ports.client import Client
from calls.ports.tools import CallInfo, Tool
from tests.doubles.client import RecordingClient
from tests.doubles.clock import FakeClock
from tests.doubles.detector import ScriptedDetector
from tests.doubles.records import MemoryRecording, MemoryRecords
from tests.doubles.voice import ScriptedVoice

FRAME_MS = 20
INFO = CallInfo(call_id="c1", agent="demo", language="en")
QUIET = {"idle_ms": 0, "max_call_ms": 0}
"""A policy that does nothing by itself."""


def policy(**changes: Any) -> Policy:
    return Policy(**(QUIET | changes))


def caller_sound(start_ms: int, length_ms: int) -> bytes:
    """Caller sound that says where it lies: every sample of a millisecond is its number plus 1."""
    per_ms = CALLER.samples(1)
    numbers = range(start_ms + 1, start_ms + length_ms + 1)
    return b"".join(struct.pack("<h", number) * per_ms for number in numbers)


def caller_milliseconds(pcm: bytes) -> list[int]:
    """Which milliseconds such sound is made of; silence is -1."""
    step = CALLER.bytes(1)
    return [struct.unpack_from("<h", pcm, at)[0] - 1 for at in range(0, len(pcm), step)]


class Microphone:
    """Sends frames of 20 ms, as time passes. What is said counts its milliseconds from 0."""

    def __init__(self, clock: FakeClock, intake: Intake) -> None:
        self.position = 0
        self.said_ms = 0
        self._clock = clock
        self._intake = intake

    async def speaks(self, ms: int) -> None:
        for _ in range(ms // FRAME_MS):
            await self._frame(caller_sound(self.said_ms, FRAME_MS))
            self.said_ms += FRAME_MS

    async def is_silent(self, ms: int) -> None:
        for _ in range(ms // FRAME_MS):
            await self._frame(bytes(CALLER.bytes(FRAME_MS)))

    def resend(self, ms: int) -> None:
        """Send the last sound again, as a page does that does not know what arrived."""
        start_ms = self.said_ms - ms
        position = self.position - CALLER.samples(ms)
        self._intake.take(position, caller_sound(start_ms, ms))

    async def _frame(self, pcm: bytes) -> None:
        await self._clock.advance(FRAME_MS)
        self._intake.take(self.position, pcm)
        self.position += CALLER.samples(FRAME_MS)
        await self._clock.settle()


class Call:
    """The parts of a call on the bench."""

    def __init__(self, chosen: Policy, tools: Iterable[Tool], *, asides: bool = True) -> None:
        self.clock = FakeClock()
        self.voice = ScriptedVoice()
        self.records = MemoryRecords()
        self.recording = MemoryRecording()
        self.detector = ScriptedDetector()
        self.asides: list[ScriptedVoice] = []
        """The voices of answers beside the conversation, in the order in which they were opened."""
        self.next_asides: deque[ScriptedVoice] = deque()
        """What is opened next; without, voices that say "Yes."."""
        self.effects: list[Effect] = []
        self.runner = CallRunner(
            CallSetup(
                info=INFO,
                policy=chosen,
                voice=self.voice,
                records=self.records,
                recording=self.recording,
                tools=tuple(tools),
                clock=self.clock,
                observers=(self.effects.append,),
                another_voice=self._another_voice if asides else None,
            )
        )
        self.intake = Intake(
            detector=self.detector,
            post=self.runner.post,
            now_ms=self.runner.now_ms,
            recording=self.recording,
        )
        self.live = LiveCall(self.runner, self.intake, "Demo agent")
        self.microphone = Microphone(self.clock, self.intake)
        self.running: asyncio.Task[EndReason] | None = None

    def _another_voice(self) -> ScriptedVoice:
        self.asides.append(self.next_asides.popleft() if self.next_asides else ScriptedVoice())
        return self.asides[-1]

    async def attach(self, **kwargs: Any) -> RecordingClient:
        """A client, attached; keywords as for `RecordingClient`."""
        client = RecordingClient(self.clock, self.runner, **kwargs)
        self.runner.attach(client)
        await self.clock.settle()
        return client

    async def come_back(self, page: RecordingClient, **kwargs: Any) -> RecordingClient:
        """The page's next socket: it says what it played last, then it is attached."""
        client = RecordingClient(self.clock, self.runner, page=page, **kwargs)
        for response_id in page.loudspeaker.responses[-1:]:
            played_ms = page.loudspeaker.played_ms(response_id)
            self.runner.playout.played(response_id, played_ms)
            self.runner.post(Played(response_id=response_id, played_ms=played_ms))
        self.runner.attach(client)
        await self.clock.settle()
        return client

    async def ended(self) -> EndReason:
        """How the call ended; it has to be over by now."""
        assert self.running is not None
        await self.clock.settle()
        assert self.running.done(), "the call still runs"
        return self.running.result()

    def hang_up(self) -> None:
        self.runner.post(HungUp())

    def client(self) -> Client | None:
        return self.runner.client


@asynccontextmanager
async def call(
    chosen: Policy | None = None,
    *,
    tools: Iterable[Tool] = (),
    prepare: Callable[[Call], None] = lambda _bench: None,
    asides: bool = True,
) -> AsyncIterator[Call]:
    """Run a call until the block ends, at the latest. No client is attached yet."""
    bench = Call(chosen or policy(), tools, asides=asides)
    prepare(bench)
    bench.running = asyncio.get_running_loop().create_task(bench.runner.run())
    await bench.clock.settle()
    try:
        yield bench
    finally:
        bench.records.open.set()
        bench.runner.post(EndAsked(reason=EndReason.STAFF_ENDED))
        await bench.clock.advance(4_000)
        bench.running.cancel()
        await asyncio.gather(bench.running, return_exceptions=True)
