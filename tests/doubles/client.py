"""A client as the engine sees it: takes messages, plays sound like a page, reports like one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from calls.domain import effects as do
from calls.domain import events as ev
from calls.domain.audio import AGENT
from calls.engine.runner import CallRunner
from calls.ports.client import AudioEnd, AudioFrame, Outgoing, Pace, Playback
from calls.ports.clock import Clock
from tests.doubles.voice import milliseconds

M = TypeVar("M")

REPORT_MS = 200
LONGEST_PLAYED_MS = 10


@dataclass(frozen=True)
class Heard:
    """A millisecond of a response that came out of the loudspeaker, and when."""

    at_ms: int
    response_id: int
    ms: int


class Loudspeaker:
    """Plays one response after another in steps of 10 ms and tells how far it has come.

    `tell` takes playback reports: response, played and buffered milliseconds.

    Args:
        jitter_ms: how much sound has to be there before it begins.
    """

    def __init__(self, clock: Clock, jitter_ms: int) -> None:
        self.heard: list[Heard] = []
        self.stalled = False
        self.tell: Callable[[int, int, int], None] = lambda *_: None
        self._clock = clock
        self._jitter_ms = jitter_ms
        self._buffers: dict[int, dict[int, int]] = {}
        self._ends: dict[int, int] = {}
        self._played: dict[int, int] = {}
        self._playing: int | None = None
        self._since_report_ms = 0
        self._forget: Callable[[], None] | None = None

    @property
    def responses(self) -> list[int]:
        """Those that have been heard, oldest first."""
        return list(self._played)

    def played_ms(self, response_id: int) -> int:
        return self._played.get(response_id, 0)

    def buffered_ms(self, response_id: int) -> int:
        played_ms = self.played_ms(response_id)
        return sum(ms >= played_ms for ms in self._buffers.get(response_id, {}))

    def push(self, frame: AudioFrame) -> None:
        buffer = self._buffers.setdefault(frame.response_id, {})
        for offset, number in enumerate(milliseconds(frame.pcm)):
            buffer[frame.start_ms + offset] = number
        self._go()

    def end(self, response_id: int, length_ms: int) -> None:
        self._ends[response_id] = length_ms
        self._go()

    def clear(self, response_id: int) -> int:
        """Forget the rest; how much was heard."""
        self._buffers.pop(response_id, None)
        if self._playing == response_id:
            self._stop()
        return self.played_ms(response_id)

    def forget(self) -> None:
        """The socket is gone: be silent, forget everything that lies here."""
        self._stop()
        self._buffers.clear()
        self._ends.clear()

    def _stop(self) -> None:
        self._playing = None
        if self._forget is not None:
            self._forget()
            self._forget = None

    def _go(self) -> None:
        if self._playing is not None:
            return
        for response_id in self._buffers:
            buffered_ms = self.buffered_ms(response_id)
            ended = response_id in self._ends
            if buffered_ms and (ended or buffered_ms > self._jitter_ms):
                self._playing = response_id
                self._report(response_id)
                self._wait()
                return

    def _wait(self) -> None:
        self._forget = self._clock.call_at(self._clock.now_ms() + LONGEST_PLAYED_MS, self._play)

    def _play(self) -> None:
        response_id = self._playing
        assert response_id is not None
        if self.stalled:
            self._wait()
            return
        began_ms = self._clock.now_ms() - LONGEST_PLAYED_MS
        played_ms = self.played_ms(response_id)
        buffer = self._buffers[response_id]
        for step in range(LONGEST_PLAYED_MS):
            if played_ms not in buffer:
                break
            self.heard.append(Heard(began_ms + step, response_id, buffer[played_ms]))
            played_ms += 1
        self._played[response_id] = played_ms
        self._since_report_ms += LONGEST_PLAYED_MS
        if played_ms not in buffer:
            self._stop()
            self._report(response_id)
            self._go()
            return
        if self._since_report_ms >= REPORT_MS:
            self._report(response_id)
        self._wait()

    def _report(self, response_id: int) -> None:
        self._since_report_ms = 0
        self.tell(response_id, self.played_ms(response_id), self.buffered_ms(response_id))


class RecordingClient:
    """A `Client` that records every message, with the time and in the order of arrival.

    With `reports_playback` it plays sound like the page and reports it; otherwise it only
    listens.

    Args:
        page: the client of the same page that lost its socket; what was heard there counts on.
        pace: how it wants sound; else as `reports_playback` says, with the usual lead.
    """

    def __init__(
        self,
        clock: Clock,
        runner: CallRunner,
        *,
        reports_playback: bool = True,
        jitter_ms: int = 0,
        page: "RecordingClient | None" = None,
        pace: Pace | None = None,
    ) -> None:
        if pace is None:
            pace = Pace(playback=Playback.REPORTED if reports_playback else Playback.PACED)
        self.reports_playback = pace.playback is Playback.REPORTED
        self.pace = pace
        self.messages: list[Outgoing] = []
        self.times_ms: list[int] = []
        self.close_code: int | None = None
        self.silent = False
        """It goes on playing and says nothing of it."""
        self.gate: Callable[[Outgoing], Any] | None = None
        """Awaited before a message is taken."""
        self.loudspeaker = Loudspeaker(clock, jitter_ms) if page is None else page.loudspeaker
        self.loudspeaker.tell = self._tell
        self.ahead_of_ear_ms = 0
        """The most that ever lay here beyond what had come out of the loudspeaker."""
        self.ahead_of_report_ms = 0
        self._reported: dict[int, int] = {}
        self._clock = clock
        self._runner = runner

    async def send(self, message: Outgoing) -> None:
        if self.gate is not None:
            await self.gate(message)
        if self.close_code is not None:
            return
        self.messages.append(message)
        self.times_ms.append(self._clock.now_ms())
        self._take(message)

    async def close(self, code: int) -> None:
        if self.close_code is None:
            self.close_code = code
            self.loudspeaker.forget()

    def drop(self) -> None:
        """The network is gone: the server notices at once, the page is silent."""
        self.loudspeaker.forget()
        self.close_code = 1006
        self._runner.detach(self)

    # What was received

    def of(self, kind: type[M]) -> list[M]:
        return [message for message in self.messages if isinstance(message, kind)]

    def sound(self, response_id: int) -> list[int]:
        """Which milliseconds of that response have arrived, in the order of arrival."""
        frames = [frame for frame in self.of(AudioFrame) if frame.response_id == response_id]
        return [ms for frame in frames for ms in milliseconds(frame.pcm)]

    def phases(self) -> list[str]:
        return [str(effect.phase) for effect in self.of(do.SendPhase)]

    def errors(self) -> list[str]:
        return [str(effect.code) for effect in self.of(do.SendError)]

    @property
    def end_reason(self) -> str | None:
        ends = self.of(do.EndCall)
        return str(ends[-1].reason) if ends else None

    # The page's part

    def _take(self, message: Outgoing) -> None:
        match message:
            case AudioFrame(response_id, start_ms, pcm):
                self._measure(response_id, start_ms + AGENT.ms(pcm))
                if self.reports_playback:
                    self.loudspeaker.push(message)
            case AudioEnd(response_id, length_ms) if self.reports_playback:
                self.loudspeaker.end(response_id, length_ms)
            case do.ClearAudio(response_id) if self.reports_playback:
                self._cut(response_id)

    def _measure(self, response_id: int, end_ms: int) -> None:
        reported_ms = self._reported.get(response_id, 0)
        self.ahead_of_report_ms = max(self.ahead_of_report_ms, end_ms - reported_ms)
        played_ms = self.loudspeaker.played_ms(response_id)
        self.ahead_of_ear_ms = max(self.ahead_of_ear_ms, end_ms - played_ms)

    def _cut(self, response_id: int) -> None:
        played_ms = self.loudspeaker.clear(response_id)
        if not self.silent:
            self._runner.post(ev.PlaybackCut(response_id=response_id, played_ms=played_ms))

    def _tell(self, response_id: int, played_ms: int, buffered_ms: int) -> None:
        if self.silent or self._runner.client is not self:
            return
        self._reported[response_id] = played_ms
        self._runner.playout.played(response_id, played_ms)
        self._runner.post(
            ev.Played(response_id=response_id, played_ms=played_ms, buffered_ms=buffered_ms)
        )
