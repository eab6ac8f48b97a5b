"""A detector of speech that hears what the test says it hears."""

import asyncio
from collections.abc import Callable

WINDOW_SAMPLES = 512
WINDOW_MS = 32
LOUD = b"\x00\x40" * WINDOW_SAMPLES


def loud(window: bytes) -> float:
    """Speech is whatever is not silent for the most part."""
    return 1.0 if window.count(0) < len(window) * 3 // 4 else 0.0


class ScriptedDetector:
    """A `SpeechDetector`. While it is `held`, windows wait for `let_go`."""

    window_samples = WINDOW_SAMPLES
    degraded = False

    def __init__(self, judge: Callable[[bytes], float] = loud) -> None:
        self.judge = judge
        self.held = False
        self.most_waiting = 0
        self.detections: list[ScriptedDetection] = []

    def open(self, on_probability: Callable[[float], None]) -> "ScriptedDetection":
        self.detections.append(ScriptedDetection(self, on_probability))
        return self.detections[-1]

    def let_go(self) -> None:
        """Judge all that waits, at once."""
        self.held = False
        for detection in self.detections:
            detection.answer()


class ScriptedDetection:
    def __init__(self, detector: ScriptedDetector, tell: Callable[[float], None]) -> None:
        self.windows: list[bytes] = []
        self.closed = False
        self._detector = detector
        self._tell = tell

    def submit(self, window: bytes) -> None:
        if len(window) != WINDOW_SAMPLES * 2:
            raise ValueError("not a window")
        self.windows.append(window)
        self._detector.most_waiting = max(self._detector.most_waiting, len(self.windows))
        if not self._detector.held:
            asyncio.get_running_loop().call_soon(self.answer)

    def answer(self) -> None:
        while self.windows and not self.closed and not self._detector.held:
            self._tell(self._detector.judge(self.windows.pop(0)))

    def close(self) -> None:
        self.closed = True
        self.windows.clear()
