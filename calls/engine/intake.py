"""The caller's microphone: frames in; speech, its edges and its recording out."""

from collections.abc import Callable

from calls.audio.framing import Framer, PreRoll
from calls.audio.resample import Resampler
from calls.audio.vad import SpeechBegan, SpeechEnded, SpeechTracker
from calls.domain import events as ev
from calls.domain.audio import CALLER, SAMPLE_BYTES
from calls.ports.detection import SpeechDetector
from calls.ports.records import RecordingSink

PRE_ROLL_MS = 300
"""What came before the detector was sure belongs to the utterance."""

TAIL_MS = 2_000
"""Sound after the last speech that still belongs to the utterance while it is not over."""

_POSITIONS = 2**32


class Intake:
    """One call's microphone. It outlives its sockets; positions tell what is new.

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
        self._taken_samples = 0
        self._anchor_ms: int | None = None
        self._muted = False
        self._push_to_talk = False
        self._pressed = False
        self._pre_roll = PreRoll(CALLER.bytes(PRE_ROLL_MS))
        self._utterance_bytes_left = 0
        self._detection = None
        if detector is not None:
            self._framer = Framer(detector.window_samples * SAMPLE_BYTES)
            self._window_samples = detector.window_samples
            self._tracker = SpeechTracker(detector.window_samples)
            self._detection = detector.open(self._on_probability)

    @property
    def position(self) -> int:
        """The first sample, at the client's rate, that has not arrived."""
        return self._position

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
            self._push_to_talk = wanted
            self._pressed = False
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

    def take(self, position: int, pcm: bytes) -> None:
        """Take a frame, s16le mono at the client's rate; what was had before is dropped."""
        fresh = self._fresh(position, pcm)
        if not fresh:
            return
        sound = self._resampler.feed(fresh) if self._resampler is not None else fresh
        if self._muted:
            sound = bytes(len(sound))
        self._place(sound)
        if self._muted or not sound:
            return
        if self._push_to_talk:
            # What was said before the button went down was not meant for the agent.
            if self._pressed:
                self._post(ev.MicAudio(pcm=sound))
            return
        self._hand_on(sound, wanted=self._utterance_bytes_left > 0)
        if self._detection is not None:
            for window in self._framer.feed(sound):
                self._detection.submit(window)

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
            self._skip(ahead)
        self._position += samples + min(0, ahead)
        return pcm[-min(0, ahead) * SAMPLE_BYTES :]

    def _skip(self, samples: int) -> None:
        """Samples that never came: muted at the source, or lost."""
        self._position += samples
        skipped = samples * CALLER.rate_hz // self._rate_hz
        self._taken_samples += skipped
        if self._anchor_ms is not None:
            # A jump of the client's own count must not push the timeline into the future.
            latest_ms = self._now_ms() - self._media_ms()
            self._anchor_ms = min(self._anchor_ms, latest_ms)

    def _media_ms(self) -> int:
        return self._taken_samples * 1000 // CALLER.rate_hz

    def _place(self, sound: bytes) -> None:
        """Keep the timeline by the client's sample count; arrival only tells its origin."""
        began_media_ms = self._media_ms()
        self._taken_samples += len(sound) // SAMPLE_BYTES
        origin_ms = self._now_ms() - self._media_ms()
        if self._anchor_ms is None or origin_ms < self._anchor_ms:
            self._anchor_ms = origin_ms
        if self._recording is not None and sound:
            self._recording.caller(max(0, self._anchor_ms + began_media_ms), sound)

    # Speech

    def _on_probability(self, probability: float) -> None:
        if self._push_to_talk or self._muted:
            return
        match self._tracker.take(probability):
            case SpeechBegan():
                self._utterance_bytes_left = CALLER.bytes(TAIL_MS)
                self._post(ev.SpeechStarted())
                self._send_pre_roll()
            case SpeechEnded(last_samples, heard_samples):
                self._ended(ago_samples=heard_samples - last_samples)
            case None if self._tracker.speaking:
                self._utterance_bytes_left = CALLER.bytes(TAIL_MS)

    def _ended(self, *, ago_samples: int) -> None:
        ago_ms = ago_samples * 1000 // CALLER.rate_hz
        last_speech_ms = max(0, self._now_ms() - ago_ms)
        if self._anchor_ms is not None:
            last_speech_ms = min(last_speech_ms, self._anchor_ms + self._media_ms() - ago_ms)
        self._post(ev.SpeechStopped(last_speech_ms=max(0, last_speech_ms)))

    def _stop_speech(self) -> None:
        self._utterance_bytes_left = 0
        self._pre_roll.take()
        if self._detection is not None and self._tracker.finish() is not None:
            self._ended(ago_samples=0)

    def _hand_on(self, sound: bytes, *, wanted: bool) -> None:
        if not wanted:
            self._pre_roll.push(sound)
            return
        self._utterance_bytes_left -= len(sound)
        self._post(ev.MicAudio(pcm=sound))

    def _send_pre_roll(self) -> None:
        if kept := self._pre_roll.take():
            self._post(ev.MicAudio(pcm=kept))
