"""A whole call's sound, heard as utterances and written down one by one."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from calls.audio.framing import Framer, PreRoll
from calls.audio.resample import Resampler
from calls.audio.vad import SpeechBegan, SpeechEnded, SpeechTracker
from calls.consumers.base import Receive
from calls.consumers.classic_http import ClientGoneError
from calls.domain.audio import CALLER, SAMPLE_BYTES
from calls.ports.detection import SpeechDetector
from calls.ports.errors import ProviderError
from calls.ports.speech import SpeechToText, Transcriber
from calls.store.agents import AgentSettings
from calls.wire.avr.speaking import LINE

logger = logging.getLogger(__name__)

PRE_ROLL_MS = 300
ASKED_WINDOWS = 32
"""So many windows are with the detector at most; then reading waits."""

WAITING_CHUNKS = 3_000
"""A minute and a half of speech may wait for its transcriber; more of it is dropped."""

END = None
"""In the place of sound: the utterance is complete."""


class Ears:
    """Reads the body of one request, and writes what was said in it.

    Args:
        write: takes each utterance's text, in order.
    """

    def __init__(
        self,
        detector: SpeechDetector,
        stt: SpeechToText,
        agent: AgentSettings,
        *,
        write: Callable[[str], Awaitable[None]],
    ) -> None:
        self._stt = stt
        self._agent = agent
        self._write = write
        self._waiting: asyncio.Queue[bytes | None] = asyncio.Queue(WAITING_CHUNKS + 2)
        self._fed = False
        """Some of the utterance that goes on waits, or has waited, there."""
        self._cutting = _Utterances(detector, agent, self._take)

    async def listen(self, receive: Receive) -> None:
        """Until the body ends, and all of it is written.

        Raises:
            ClientGoneError: nobody waits for the answer any more; nothing goes on.
        """
        gone = False
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(self._write_all())
            try:
                gone = not await self._read(receive)
                await self._cutting.finish()
                await self._waiting.put(END)  # an utterance without sound: the last
            finally:
                self._cutting.close()
            if gone:
                writing.cancel()
        if gone:
            raise ClientGoneError

    async def _read(self, receive: Receive) -> bool:
        """Whether the body came to its end."""
        odd = b""
        while (message := await receive())["type"] == "http.request":
            sound = odd + message.get("body", b"")
            whole = len(sound) - len(sound) % SAMPLE_BYTES
            odd = sound[whole:]
            await self._cutting.feed(sound[:whole])
            if not message.get("more_body", False):
                return True
        return False

    def _take(self, sound: bytes | None) -> None:
        """What is too much is lost; the end of an utterance never is, if there was any of it."""
        if sound is END:
            if self._fed:
                self._waiting.put_nowait(END)
            self._fed = False
        elif self._waiting.qsize() < WAITING_CHUNKS:
            self._waiting.put_nowait(sound)
            self._fed = True

    async def _write_all(self) -> None:
        while (first := await self._waiting.get()) is not END:
            if text := await self._utterance(first):
                await self._write(text)

    async def _utterance(self, first: bytes) -> str:
        """Its text; one that a provider fails with is lost, and the next one is heard."""
        complete = False
        try:
            async with self._stt.utterance(language=self._agent.language) as transcriber:
                await transcriber.feed(first)
                await self._feed(transcriber)
                complete = True
                async with asyncio.timeout(self._agent.policy.stt_wait_ms / 1000):
                    return await transcriber.finish()
        except (ProviderError, TimeoutError) as error:
            kind = error.kind.value if isinstance(error, ProviderError) else "timeout"
            logger.warning("An utterance was lost", extra={"kind": kind})
            if not complete:
                await self._feed(None)
            return ""

    async def _feed(self, transcriber: Transcriber | None) -> None:
        """The rest of the utterance, to somebody or to nobody."""
        while (sound := await self._waiting.get()) is not END:
            if transcriber is not None:
                await transcriber.feed(sound)


class _Utterances:
    """Cuts a line's sound into utterances.

    The sound itself is the clock: what is sent faster than it was spoken is cut in the same
    places. Only when nothing comes any more does the time decide.

    Args:
        take: gets the sound of each utterance, and `END` behind it.
    """

    def __init__(
        self, detector: SpeechDetector, agent: AgentSettings, take: Callable[[bytes | None], None]
    ) -> None:
        self._policy = agent.policy
        self._take = take
        self._resampler = Resampler(LINE.rate_hz, CALLER.rate_hz)
        self._framer = Framer(detector.window_samples * SAMPLE_BYTES)
        self._window_ms = detector.window_samples * 1000 // CALLER.rate_hz
        self._tracker = SpeechTracker(detector.window_samples)
        self._pre_roll = PreRoll(CALLER.bytes(PRE_ROLL_MS))
        self._asked: deque[bytes] = deque()
        self._room = asyncio.Event()
        self._open_ms: int | None = None
        self._silent_ms = 0
        self._alarm: asyncio.TimerHandle | None = None
        self._detection = detector.open(self._judged)

    async def feed(self, pcm: bytes) -> None:
        """Take the next sound of the line; waits while too much of it is unjudged."""
        await self._detect(self._resampler.feed(pcm))
        self._watch()

    async def finish(self) -> None:
        """The sound is over: what is still being said has been said."""
        await self._detect(self._resampler.flush())
        await self._until(0)
        self._end()

    def close(self) -> None:
        self._detection.close()
        if self._alarm is not None:
            self._alarm.cancel()

    async def _detect(self, sound: bytes) -> None:
        for window in self._framer.feed(sound):
            await self._until(ASKED_WINDOWS - 1)
            self._asked.append(window)
            self._detection.submit(window)

    async def _until(self, most: int) -> None:
        while len(self._asked) > most:
            self._room.clear()
            await self._room.wait()

    def _judged(self, probability: float) -> None:
        window = self._asked.popleft()
        self._room.set()
        match self._tracker.take(probability):
            case SpeechBegan() if self._open_ms is None:
                self._open_ms, self._silent_ms = 0, 0
            case SpeechEnded(last_samples, heard_samples):
                self._silent_ms = (heard_samples - last_samples) * 1000 // CALLER.rate_hz
            case None if not self._tracker.speaking:
                self._silent_ms += self._window_ms
        self._place(window)

    def _place(self, window: bytes) -> None:
        if self._open_ms is None:
            self._pre_roll.push(window)
            return
        self._take(self._pre_roll.take() + window)
        self._open_ms += self._window_ms
        silent = not self._tracker.speaking
        if silent and self._silent_ms >= self._policy.endpoint_silence_ms:
            self._end()
        elif 0 < self._policy.max_turn_ms <= self._open_ms:
            self._end()
            self._open_ms = None if silent else 0

    def _end(self) -> None:
        if self._open_ms is not None:
            self._open_ms = None
            self._take(END)

    def _watch(self) -> None:
        """A line that sends nothing any more is silent."""
        if self._alarm is not None:
            self._alarm.cancel()
        wait_s = (self._policy.endpoint_silence_ms + 500) / 1000
        self._alarm = asyncio.get_running_loop().call_later(wait_s, self._fell_silent)

    def _fell_silent(self) -> None:
        _ = self._tracker.finish()
        self._end()
