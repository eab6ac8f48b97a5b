"""A whole call against a stand-in for one provider: real engine, adapter, socket and clock."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from calls.domain import effects as do
from calls.domain import events as ev
from calls.domain.errors import EndReason
from calls.domain.state import Caller, Policy
from calls.domain.timings import Turn
from calls.domain.usage import ServiceUse
from calls.engine.clock import MonotonicClock
from calls.engine.intake import Intake
from calls.engine.registry import LiveCall
from calls.engine.runner import CallRunner, CallSetup
from calls.ports.client import AudioFrame
from calls.ports.speech import Services
from calls.ports.tools import CallInfo, Tool
from calls.ports.voice import VoiceProfile, VoiceSession
from calls.providers.cascade.session import Cascade, Manner
from calls.providers.choice.breaker import Breakers
from calls.providers.choice.budget import Budget
from calls.providers.choice.language_model import ChosenModel
from calls.providers.choice.speech_to_text import ChosenEars
from calls.providers.choice.text_to_speech import ChosenVoice, Voiced
from tests.doubles.client import RecordingClient
from tests.doubles.clock import PASSES
from tests.doubles.detector import LOUD, WINDOW_MS, WINDOW_SAMPLES, ScriptedDetector
from tests.doubles.records import MemoryRecords
from tests.faults.others import LAST_SAMPLE, SteadyEars, SteadyMind, SteadyVoice, voice_of

PATIENCE_S = 15
FAST = 4
"""The pace of calls that nothing but the clock of the call times."""

BUDGET = Budget(first_ms=500 * FAST, stall_ms=300 * FAST, total_ms=1_500 * FAST)
SLACK_MS = 1_500 * FAST
"""What a busy machine may take on top of the budget of a stage."""

APOLOGY = "Something broke."
NOT_UNDERSTOOD = "Pardon me?"
INFO = CallInfo(call_id="c1", agent="demo", language="en")


class TestClock(MonotonicClock):
    """Real time, some of which may be skipped while nothing is under way.

    Attributes:
        pace: so many times as fast it runs: nobody has to wait for sound to be played.
    """

    __test__ = False
    skipped_ms = 0
    pace = 1

    def now_ms(self) -> int:
        return super().now_ms() * self.pace + self.skipped_ms

    def call_at(self, due_ms: int, callback: Callable[[], None]) -> Callable[[], None]:
        delay_s = max(0, due_ms - self.now_ms()) / 1000 / self.pace
        return asyncio.get_running_loop().call_later(delay_s, callback).cancel

    async def sleep(self, ms: int) -> None:
        await asyncio.sleep(max(0, ms) / 1000 / self.pace)

    def starved_ms(self) -> int:
        """How long this thread could have run, and others had the processor; Linux only."""
        try:
            _, waited_ns, _ = Path("/proc/thread-self/schedstat").read_text().split()
        except OSError:
            return 0
        return int(waited_ns) * self.pace // 1_000_000


CLOCK = TestClock()

SPEECH_WINDOWS, SILENT_WINDOWS = 20, 10
SPOKEN_MS = WINDOW_MS * (SPEECH_WINDOWS + SILENT_WINDOWS)
"""What the caller says at once has taken so long."""


def policy(**changes: Any) -> Policy:
    quiet = {"idle_ms": 0, "max_call_ms": 0, "endpoint_silence_ms": 1}
    words = {"apology_text": APOLOGY, "not_understood_text": NOT_UNDERSTOOD}
    return Policy(**(quiet | words | changes))


class Microphone:
    """The caller's, who speaks faster than time goes by: the detector counts samples."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._position = 0

    def speaks(self, windows: int = SPEECH_WINDOWS) -> None:
        self._send(LOUD * windows)

    def is_silent(self) -> None:
        self._send(bytes(len(LOUD) * SILENT_WINDOWS))

    def _send(self, pcm: bytes) -> None:
        for at in range(0, len(pcm), 2 * WINDOW_SAMPLES):
            self._intake.take(self._position, pcm[at : at + 2 * WINDOW_SAMPLES])
            self._position += WINDOW_SAMPLES


@dataclass
class Noticed:
    """What the caller noticed of one turn.

    Attributes:
        words: of the agent, as they were shown.
        voices: that were heard, in order: "first", "spare", "last".
        errors: that were shown.
        silence_ms: from the end of the caller's words to the first sound, or to the first words
            where there was no sound.
        starved_ms: of the whole turn: the machine had no time for this process.
    """

    words: str = ""
    voices: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    silence_ms: int = 0
    starved_ms: int = 0


class Call:
    """A call that goes on. The caller speaks, and waits for the end of every answer."""

    def __init__(self, voice: VoiceSession, chosen: Policy, tools: Sequence[Tool]) -> None:
        self.records = MemoryRecords()
        self._news = asyncio.Event()
        self.runner = CallRunner(
            CallSetup(
                info=INFO,
                policy=chosen,
                voice=voice,
                records=self.records,
                recording=None,
                tools=tuple(tools),
                clock=CLOCK,
                observers=(lambda _effect: self._news.set(),),
            )
        )
        listening = not voice.profile.all_audio
        self.intake = Intake(
            detector=ScriptedDetector() if listening else None,
            post=self.runner.post,
            now_ms=self.runner.now_ms,
            recording=None,
        )
        self.live = LiveCall(self.runner, self.intake, "Demo agent")
        self.microphone = Microphone(self.intake)
        self.client = RecordingClient(CLOCK, self.runner)
        self.running: asyncio.Task[EndReason] | None = None
        self._since = 0

    # The caller

    async def says_something(self) -> Noticed:
        """A turn, from the caller's words to the end of the answer to them."""
        await self.asks()
        spoke_ms, starved_ms = CLOCK.now_ms(), CLOCK.starved_ms()
        await self.until(self.quiet)
        await self.decided()
        noticed = self._noticed(spoke_ms)
        noticed.starved_ms = CLOCK.starved_ms() - starved_ms
        return noticed

    async def begins_to_speak(self) -> None:
        """Speaks into whatever the agent is doing."""
        self.microphone.speaks()
        await self.until(lambda: self.runner.state.caller is Caller.SPEAKING)

    async def asks(self) -> None:
        """Says something, and does not wait for the answer."""
        CLOCK.skipped_ms += SPOKEN_MS
        turn = self.runner.state.turn + 1
        self.microphone.speaks()
        self.microphone.is_silent()
        await self.until(lambda: self.runner.state.turn >= turn)

    async def hangs_up(self) -> EndReason:
        self.runner.post(ev.HungUp())
        return await self.ended()

    async def ended(self) -> EndReason:
        assert self.running is not None
        async with asyncio.timeout(PATIENCE_S):
            return await asyncio.shield(self.running)

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until this is so.

        Raises:
            TimeoutError: it never is.
        """
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self._news.clear()
                await _either(self._news)

    def quiet(self) -> bool:
        """Nobody speaks, and nothing is under way; or the call is over."""
        state = self.runner.state
        waiting = state.awaiting or state.unanswered or state.response is not None
        return self.runner.over or not (waiting or state.caller is not Caller.SILENT)

    async def decided(self) -> None:
        """What was decided has reached the client and the session."""
        for _ in range(PASSES):
            await asyncio.sleep(0)

    def _noticed(self, spoke_ms: int) -> Noticed:
        messages = self.client.messages[self._since :]
        times_ms = self.client.times_ms[self._since :]
        self._since = len(self.client.messages)
        noticed, at_ms = Noticed(), {}
        for message, came_ms in zip(messages, times_ms, strict=True):
            at_ms.setdefault(type(message), came_ms)
            match message:
                case do.SendResponseText(text=text):
                    noticed.words += text
                case do.SendError(code):
                    noticed.errors.append(str(code))
                case AudioFrame(pcm=pcm) if noticed.voices[-1:] != [voice_of(pcm)]:
                    noticed.voices.append(voice_of(pcm))
        first_ms = at_ms.get(AudioFrame, at_ms.get(do.SendResponseText, spoke_ms))
        noticed.silence_ms = first_ms - spoke_ms
        return noticed

    # The record

    def uses(self, stage: str, turn: int | None = None) -> list[ServiceUse]:
        kept = [use for _, use in sorted(self.records.uses.items()) if use.stage == stage]
        return [use for use in kept if turn is None or use.turn == turn]

    def turn(self, number: int) -> Turn:
        return self.records.turns[number]


async def _either(news: asyncio.Event) -> None:
    """Something has happened, or a moment has gone by."""
    try:
        async with asyncio.timeout(0.02):
            await news.wait()
    except TimeoutError:
        pass


@asynccontextmanager
async def calling(
    voice: VoiceSession, chosen: Policy | None = None, tools: Sequence[Tool] = ()
) -> AsyncIterator[Call]:
    """A call with a client; ended with the block at the latest."""
    call = Call(voice, chosen or policy(), tools)
    async with asyncio.TaskGroup() as group:
        call.running = group.create_task(call.runner.run())
        try:
            await asyncio.sleep(0)
            call.runner.attach(call.client)
            yield call
        finally:
            call.runner.post(ev.EndAsked(reason=EndReason.STAFF_ENDED))
            await call.ended()
            call.intake.close()


def cascade(
    *,
    stt: Sequence[Any] = (),
    llm: Sequence[Any] = (),
    tts: Sequence[Any] = (),
    breakers: Breakers | None = None,
    tools: Sequence[Tool] = (),
    budget: Budget = BUDGET,
) -> Cascade:
    """The session that wiring puts together, with small budgets.

    A stage that is left out works without fail. Behind every list of voices is the last resort.
    """
    shared: dict[str, Any] = {"clock": CLOCK, "budget": budget}
    shared["breakers"] = breakers or Breakers(CLOCK)
    voices = [*(tts or (SteadyVoice(),)), SteadyVoice(LAST_SAMPLE, "last:voice")]
    return Cascade(
        Services(
            stt=ChosenEars(stt or (SteadyEars("something"),), **shared),
            llm=ChosenModel(llm or (SteadyMind(),), **shared),
            tts=ChosenVoice([Voiced(voice) for voice in voices], **shared),
        ),
        Manner(language="en", tools=tuple(tool.spec for tool in tools)),
        profile=VoiceProfile("", "", ""),
        clock=CLOCK,
    )
