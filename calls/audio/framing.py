"""Cutting a stream of PCM into windows, and keeping its last moments."""

from collections import deque


class Framer:
    """Cuts a stream into windows of equal size; what does not fill one waits for more.

    Args:
        window_bytes: size of a window, positive.
    """

    def __init__(self, window_bytes: int) -> None:
        if window_bytes <= 0:
            raise ValueError("a window needs at least one byte")
        self._window_bytes = window_bytes
        self._rest = b""

    def feed(self, pcm: bytes) -> list[bytes]:
        """Take a chunk of any length; return the windows that it completes, oldest first."""
        if not self._rest and len(pcm) == self._window_bytes:
            return [pcm]
        stream = self._rest + pcm if self._rest else pcm
        whole = len(stream) - len(stream) % self._window_bytes
        self._rest = stream[whole:]
        step = self._window_bytes
        return [stream[at : at + step] for at in range(0, whole, step)]

    @property
    def rest_bytes(self) -> int:
        """How much waits for the rest of its window."""
        return len(self._rest)

    def drain(self) -> bytes:
        """What is left over, shorter than a window. The next chunk begins a window."""
        rest, self._rest = self._rest, b""
        return rest


class PreRoll:
    """The last moments of a stream: what came just before speech was certain.

    Args:
        capacity_bytes: how much is kept at most; a whole number of samples.
    """

    def __init__(self, capacity_bytes: int) -> None:
        self._capacity_bytes = capacity_bytes
        self._chunks: deque[bytes] = deque()
        self._size_bytes = 0

    def resize(self, capacity_bytes: int) -> None:
        """Keep so much at most from now on."""
        self._capacity_bytes = capacity_bytes
        self.push(b"")

    def push(self, pcm: bytes) -> None:
        """Keep `pcm`, and let go of the oldest sound beyond the capacity."""
        self._chunks.append(pcm)
        self._size_bytes += len(pcm)
        while (excess := self._size_bytes - self._capacity_bytes) > 0:
            oldest = self._chunks.popleft()
            if len(oldest) > excess:
                self._chunks.appendleft(oldest[excess:])
            self._size_bytes -= min(excess, len(oldest))

    def take(self) -> bytes:
        """Everything kept, oldest first; nothing is kept afterwards."""
        pcm = b"".join(self._chunks)
        self._chunks.clear()
        self._size_bytes = 0
        return pcm
