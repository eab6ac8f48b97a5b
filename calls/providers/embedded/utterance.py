"""An utterance for the whole-utterance recogniser, and a head start for it.

The recogniser needs the utterance as a whole, and the call waits for a while before it takes a
pause for its end. Most pauses are the end: so when one begins and a worker is idle, what was said
so far is given to it. If the caller goes on, that was in vain; if not, the text is there already.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

from calls.audio.level import rms
from calls.domain.audio import CALLER
from calls.providers.embedded.job import Job
from calls.providers.embedded.pool import WorkerPool

LONGEST_MS = 60_000
SHORTEST_MS = 100

KILL_ABOVE_MS = 6_000
"""Of a longer utterance it is quicker to replace the worker than to let it finish in vain."""

PAUSE_MS = 200
"""So much quiet is a pause."""

LEAD_MS = 120
TAIL_MS = 150
"""So much quiet is left around the speech: with more of it more is misunderstood."""

LONGEST_LEAD_MS = 600

LONGEST_TAIL_MS = 2_500
"""With more quiet around it the level alone is not trusted to know where the speech was."""

_QUIETEST = 0.0005
_QUIET_RATIO = 0.06
_SMOOTHING = 0.5
_HALF_LIFE_MS = 700


class SpeechSpan:
    """Where the speech of one utterance lies, by its level: 24 dB below its loudest is quiet.

    How loud it was is forgotten with time, so that a door that slams does not make the words after
    it quiet.
    """

    def __init__(self) -> None:
        self.begin_bytes = 0
        self.end_bytes = 0
        self._level = 0.0
        self._loudest = 0.0

    def take(self, pcm: bytes, end_bytes: int) -> None:
        """The next sound, and where it ends in the utterance."""
        self._level += _SMOOTHING * (rms(pcm) - self._level)
        self._loudest *= 0.5 ** (CALLER.ms(pcm) / _HALF_LIFE_MS)
        self._loudest = max(self._loudest, self._level)
        if self._level > max(_QUIETEST, _QUIET_RATIO * self._loudest):
            self.begin_bytes = self.begin_bytes if self.end_bytes else end_bytes - len(pcm)
            self.end_bytes = end_bytes


class WholeUtterance:
    """A `Transcriber` that has the utterance understood once it is over, or seems to be."""

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool
        self._pcm = bytearray()
        self._speech = SpeechSpan()
        self._early: Job | None = None
        self._early_end_bytes = 0
        self._leases = AsyncExitStack()

    async def feed(self, pcm: bytes) -> None:
        pcm = pcm[: CALLER.bytes(LONGEST_MS) - len(self._pcm)]
        self._pcm += pcm
        self._speech.take(pcm, len(self._pcm))
        if self._early is not None and self._early_end_bytes != self._speech.end_bytes:
            await self.leave()
        if self._early is None and self._pauses():
            self._early_end_bytes = self._speech.end_bytes
            self._early = await self._begin()

    async def finish(self) -> str:
        if CALLER.ms_of(len(self._pcm)) < SHORTEST_MS:
            return ""
        job = self._early if self._quiet_ms() <= LONGEST_TAIL_MS else None
        return (await self._pool.result(job or await self._begin())).decode().strip()

    async def partials(self) -> AsyncIterator[str]:
        nothing: tuple[str, ...] = ()
        for text in nothing:
            yield text

    async def leave(self) -> None:
        """Let go of every worker. Idempotent."""
        self._early = None
        await self._leases.aclose()

    def _quiet_ms(self) -> int:
        return CALLER.ms_of(len(self._pcm) - self._speech.end_bytes)

    def _pauses(self) -> bool:
        spoken = CALLER.ms_of(self._speech.end_bytes) >= SHORTEST_MS
        return spoken and self._quiet_ms() >= PAUSE_MS and self._pool.idle

    async def _begin(self) -> Job:
        """Have what was said so far understood."""
        pcm = self._speech_pcm()
        killable = CALLER.ms(pcm) > KILL_ABOVE_MS
        return await self._leases.enter_async_context(self._pool.job(pcm, killable=killable))

    def _speech_pcm(self) -> bytes:
        """What was said, with little quiet around it."""
        begin, end = 0, len(self._pcm)
        if CALLER.ms_of(self._speech.begin_bytes) <= LONGEST_LEAD_MS:
            begin = max(begin, self._speech.begin_bytes - CALLER.bytes(LEAD_MS))
        if self._quiet_ms() <= LONGEST_TAIL_MS:
            end = min(end, self._speech.end_bytes + CALLER.bytes(TAIL_MS))
        return bytes(self._pcm[begin:end])
