"""Where speech begins and ends, from how likely each window of sound holds speech.

Positions count samples since the first window: whoever needs a time derives it from them, and
never from the moment at which a result happened to arrive.
"""

from dataclasses import dataclass, replace

LEAST_PROBABILITY, MOST_PROBABILITY = 0.05, 0.95


@dataclass(frozen=True, slots=True)
class SpeechRules:
    """When to believe that speech began, and when that it ended.

    Two thresholds, so that a voice that wavers around one does not flicker. With windows of
    32 ms, speech has begun after two likely windows in a row, and ended after seven unlikely
    ones: 224 ms, longer than the pauses within words, shorter than any wait for a turn's end.
    """

    start_probability: float = 0.5
    stop_probability: float = 0.35
    start_windows: int = 2
    stop_windows: int = 7

    def scaled(self, start_probability: float) -> "SpeechRules":
        """The same with another threshold; the lower one keeps its relation to it.

        At 0 everything would be speech, at 1 nothing: both are kept away from.
        """
        start = min(max(start_probability, LEAST_PROBABILITY), MOST_PROBABILITY)
        stop = start * self.stop_probability / self.start_probability
        return replace(self, start_probability=start, stop_probability=stop)


@dataclass(frozen=True, slots=True)
class SpeechBegan:
    first_samples: int
    """Where its first window begins."""
    heard_samples: int
    """The end of the window that made it certain."""


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    last_samples: int
    """Where the last window with speech ends."""
    heard_samples: int
    """The end of the window that made it certain."""


class SpeechTracker:
    """Turns probabilities into the beginnings and ends of speech, strictly in turns.

    Args:
        window_samples: length of the windows, in samples.
        rules: the thresholds; may be changed at any time.
    """

    def __init__(self, window_samples: int, rules: SpeechRules = SpeechRules()) -> None:
        self._window_samples = window_samples
        self.rules = rules
        self._windows = 0
        self._likely_windows = 0
        self._last_speech_window = 0
        self.speaking = False

    def take(self, probability: float) -> SpeechBegan | SpeechEnded | None:
        """Take the next window's probability, 0 to 1; say what it made certain."""
        self._windows += 1
        return (
            self._while_speaking(probability) if self.speaking else self._while_silent(probability)
        )

    def finish(self) -> SpeechEnded | None:
        """The sound stops here, as when the caller mutes: whatever was being said has ended."""
        self._likely_windows = 0
        return self._end() if self.speaking else None

    def _while_silent(self, probability: float) -> SpeechBegan | None:
        likely = probability >= self.rules.start_probability
        self._likely_windows = self._likely_windows + 1 if likely else 0
        if self._likely_windows < self.rules.start_windows:
            return None
        self.speaking = True
        self._last_speech_window = self._windows
        first = self._windows - self._likely_windows
        return SpeechBegan(first * self._window_samples, self._windows * self._window_samples)

    def _while_speaking(self, probability: float) -> SpeechEnded | None:
        if probability >= self.rules.stop_probability:
            self._last_speech_window = self._windows
        silent_windows = self._windows - self._last_speech_window
        return self._end() if silent_windows >= self.rules.stop_windows else None

    def _end(self) -> SpeechEnded:
        self.speaking = False
        self._likely_windows = 0
        last, heard = self._last_speech_window, self._windows
        return SpeechEnded(last * self._window_samples, heard * self._window_samples)
