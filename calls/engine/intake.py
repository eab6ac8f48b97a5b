"""The caller's microphone: frames in; speech, its edges and its recording out."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from calls.audio.framing import Framer, PreRoll
from calls.audio.resample import Resampler
from calls.audio.vad import SpeechBegan, SpeechEnded, SpeechRules, SpeechTracker
from calls.domain import events as ev
from calls.domain.audio import CALLER, SAMPLE_BYTES
from calls.engine.timeline import Timeline
from calls.ports.detection import SpeechDetector
from calls.ports.records import RecordingSink

PRE_ROLL_MS = 300
"""What came before the detector was sure belongs to the utterance."""

LONGEST_PRE_ROLL_MS = 2_000

TAIL_MS = 2_000
"""Sound after the last speech that still belongs to the utterance while it is not over."""

ASKED_WINDOWS = 32
"""So many windows are with the detector at most; what a client sends in a burst waits here."""

WAITING_WINDOWS = 1_000
"""Half a minute. Beyond that the process is overloaded, and the oldest sound goes."""

_POSITIONS = 2**32


class _Window(NamedTuple):
    pcm: bytes
    end: int
    """Where it ends on the time line, in samples."""


class Intake:
    """One call's microphone. It outlives its sockets; positions tell what is new.

    Sound is handed on in its own order, window by window, once the detector has judged it: a
    burst that arrives at once is heard as it was spoken.

    Args:
        detector: None when the client or the voice session says when somebody speaks.
        post: tells the call what was heard.
        now_ms: milliseconds since the call began.
    """

    def __init__(
        self,
        *,
        detector: SpeechDetector | None,
        post: Callable[[ev.Event], None],
        now_ms: Callable[[], int],
        recording: RecordingSink | None,
    ) -> None:
        self._post = post
        self._now_ms = now_ms
        self._recording = recording
        self._rate_hz = CALLER.rate_hz
        self._resampler: Resampler | None = None
        self._position = 0
        self._timeline = Timeline(now_ms)
        self._muted = False
        self._push_to_talk = False
        self._pressed = False
        self._listened: Callable[[], bool] = lambda: True
        self._pre_roll = PreRoll(CALLER.bytes(PRE_ROLL_MS))
        self._tail_bytes = 0
        self._waiting: deque[_Window] = deque(maxlen=WAITING_WINDOWS)
        self._asked: deque[_Window] = deque()
        self.dropped = 0
        """Windows that nobody judged: the process was overloaded."""
        self._spent = 0
        """So many of the windows asked for are dealt with already."""
        self._detection = None
        if detector is not None:
            self._framer = Framer(detector.window_samples * SAMPLE_BYTES)
            self._window_samples = detector.window_samples
            self._tracker = SpeechTracker(detector.window_samples)
            self._detection = detector.open(self._on_probability)

    def hand_to(self, listened: Callable[[], bool], /) -> None:
        """Learn from the call whether it takes sound at present: whether an utterance is open.

        What it would not take is kept as the beginning of the next utterance.
        """
        self._listened = listened

    @property
    def position(self) -> int:
        """The first sample, at the client's rate, that has not arrived."""
        return self._position % _POSITIONS

    @property
    def waiting(self) -> int:
        """How many windows the detector has not judged yet."""
        return len(self._waiting) + len(self._asked)

    @property
    def push_to_talk(self) -> bool:
        return self._push_to_talk

    def use_rate(self, rate_hz: int) -> None:
        """The client's microphone runs at this rate from now on.

        A client that comes back with another rate counts on in samples of the new one.
        """
        if rate_hz != self._rate_hz:
            self._position = self._position * rate_hz // self._rate_hz
            self._rate_hz = rate_hz
            self._resampler = (
                None if rate_hz == CALLER.rate_hz else Resampler(rate_hz, CALLER.rate_hz)
            )

    def use_push_to_talk(self, wanted: bool, /) -> None:
        if wanted is not self._push_to_talk:
            self.talk(False)
            self._push_to_talk = wanted
            self._stop_speech()

    def talk(self, pressed: bool, /) -> None:
        """Push-to-talk pressed or released; means nothing in the automatic mode."""
        if not self._push_to_talk or pressed is self._pressed:
            return
        self._pressed = pressed
        self._post(ev.TalkStarted() if pressed else ev.TalkStopped())

    def mute(self, muted: bool, /) -> None:
        """While muted, sound is thrown away: not heard, not recorded, not kept."""
        self._muted = muted
        if muted:
            self._stop_speech()
        self._post(ev.Muted(muted=muted))

    def take_next(self, pcm: bytes) -> None:
        """Take a frame of a client that counts no samples: it follows what came before."""
        self.take(self._position, pcm, counted=False)

    def take(self, position: int, pcm: bytes, *, counted: bool = True) -> None:
        """Take a frame, s16le mono at the client's rate; what was had before is dropped."""
        fresh = self._fresh(position, pcm)
        if not fresh:
            return
        sound = self._resampler.feed(fresh) if self._resampler is not None else fresh
        if self._muted:
            sound = bytes(len(sound))
        self._place(sound, counted=counted)
        if self._muted or not sound:
            return
        if self._push_to_talk:
            # What was said before the button went down was not meant for the agent.
            if self._pressed:
                self._post(ev.MicAudio(pcm=sound))
        elif self._detection is None:
            self._post(ev.MicAudio(pcm=sound))
        else:
            self._window(sound)

    def drop(self) -> None:
        """Forget the utterance that goes on: what comes now begins another one.

        A voice that is still speaking has to be noticed anew; a button has to be pressed anew.
        """
        self._pressed = False
        if self._detection is not None:
            self._take_unjudged()
            _ = self._tracker.finish()
            self._tail_bytes = 0
            self._pre_roll.take()

    def tune(self, *, threshold: float | None, prefix_ms: int | None) -> None:
        """Tell speech from silence differently from now on; None keeps what is.

        A voice session that says itself when somebody speaks is not told.

        Args:
            threshold: 0 to 1, what the detector has to be sure of that speech begins; that it
                goes on needs less of it, in the usual relation.
            prefix_ms: sound before the detector was sure that belongs to the utterance; at most
                `LONGEST_PRE_ROLL_MS`.
        """
        if threshold is not None and self._detection is not None:
            self._tracker.rules = SpeechRules().scaled(threshold)
        if prefix_ms is not None:
            kept_ms = min(max(prefix_ms, 0), LONGEST_PRE_ROLL_MS)
            self._pre_roll.resize(CALLER.bytes(kept_ms))

    def close(self) -> None:
        if self._detection is not None:
            self._detection.close()

    # Position and time

    def _fresh(self, position: int, pcm: bytes) -> bytes:
        """The part of the frame that lies at or after `position`; a gap is stepped over."""
        ahead = (position - self._position + _POSITIONS // 2) % _POSITIONS - _POSITIONS // 2
        samples = len(pcm) // SAMPLE_BYTES
        if ahead + samples <= 0:
            return b""
        if ahead > 0:
            self._position += ahead
            self._timeline.skip(ahead * CALLER.rate_hz // self._rate_hz)
        self._position += samples + min(0, ahead)
        return pcm[-min(0, ahead) * SAMPLE_BYTES :]

    def _place(self, sound: bytes, *, counted: bool) -> None:
        began_ms = self._timeline.take(len(sound) // SAMPLE_BYTES, counted=counted)
        if not counted:
            # What a client kept until the call began has no place in it.
            sound = sound[CALLER.bytes(max(0, -began_ms)) :]
        if self._recording is not None and sound:
            self._recording.caller(max(0, began_ms), sound)

    # Detection

    def _window(self, sound: bytes) -> None:
        if not (windows := self._framer.feed(sound)):
            return
        end = self._timeline.samples - self._framer.rest_bytes // SAMPLE_BYTES
        end -= self._window_samples * len(windows)
        for window in windows:
            end += self._window_samples
            self.dropped += len(self._waiting) == WAITING_WINDOWS
            self._waiting.append(_Window(window, end))
        self._ask()

    def _ask(self) -> None:
        if self._detection is None:
            return
        while self._waiting and len(self._asked) < ASKED_WINDOWS:
            self._asked.append(self._waiting.popleft())
            self._detection.submit(self._asked[-1].pcm)

    def _on_probability(self, probability: float) -> None:
        window = self._asked.popleft()
        if self._waiting:
            # Not from within the detector's own call.
            asyncio.get_running_loop().call_soon(self._ask)
        if self._spent:
            self._spent -= 1
            return
        match self._tracker.take(probability):
            case SpeechBegan(first_samples, heard_samples):
                self._tail_bytes = CALLER.bytes(TAIL_MS)
                self._began(window.end - (heard_samples - first_samples))
                self._hand_on(window.pcm)
            case SpeechEnded(last_samples, heard_samples):
                self._hand_on(window.pcm)
                self._ended(window.end - (heard_samples - last_samples))
            case None:
                if self._tracker.speaking:
                    self._tail_bytes = CALLER.bytes(TAIL_MS)
                self._hand_on(window.pcm)

    def _began(self, first_samples: int) -> None:
        first_speech_ms = min(self._now_ms(), self._timeline.ms_at(first_samples))
        position_ms = CALLER.ms_of(first_samples * SAMPLE_BYTES)
        self._post(ev.SpeechStarted(first_speech_ms=first_speech_ms, position_ms=position_ms))

    def _ended(self, last_samples: int) -> None:
        last_speech_ms = min(self._now_ms(), self._timeline.ms_at(last_samples))
        position_ms = CALLER.ms_of(last_samples * SAMPLE_BYTES)
        self._post(ev.SpeechStopped(last_speech_ms=last_speech_ms, position_ms=position_ms))

    def _stop_speech(self) -> None:
        """The sound stops here: an utterance gets what has come of it, silence is forgotten."""
        if self._detection is None:
            return
        rest = self._take_unjudged()
        if self._tracker.finish() is not None:
            self._hand_on(rest)
            self._ended(self._timeline.samples)
        self._tail_bytes = 0
        self._pre_roll.take()

    def _take_unjudged(self) -> bytes:
        """The sound that the detector has not judged yet; its judgement is not waited for."""
        unjudged = [*list(self._asked)[self._spent :], *self._waiting]
        self._spent = len(self._asked)
        self._waiting.clear()
        return b"".join(window.pcm for window in unjudged) + self._framer.drain()

    def _hand_on(self, sound: bytes) -> None:
        """To the call, if it listens, after what it has missed; else it is kept for a moment."""
        if self._tail_bytes > 0 and self._listened():
            self._tail_bytes -= len(sound)
            self._post(ev.MicAudio(pcm=self._pre_roll.take() + sound))
        else:
            self._pre_roll.push(sound)
