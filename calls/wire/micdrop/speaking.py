"""The agent's sound: PCM as it is made, or MP3 that waits for its words."""

from typing import Protocol

from calls.audio.framing import Framer
from calls.audio.mp3 import Mp3Encoder
from calls.audio.resample import Resampler
from calls.domain.audio import AGENT, AudioFormat

SPEAKER = AudioFormat(16_000)
"""What clients of 2 and later play."""

FRAME_MS = 240
"""Of PCM. Clients play a frame at a time, with a gap of some 9 ms after each, or with 100 ms of
sound ahead; 200 to 500 ms suit both."""

ANSWERS_KEPT = 8
"""So many answers may wait for their words at once; there is one as a rule."""

Sound = tuple[bytes, ...]


class Voice(Protocol):
    """The sound of one answer after another. Each method gives the frames that are due."""

    def feed(self, response_id: int, pcm: bytes, /) -> Sound:
        """More of the answer, `audio.AGENT`."""
        ...

    def told(self, response_id: int, /) -> Sound:
        """The client has all words of the answer."""
        ...

    def rest(self, response_id: int, /) -> Sound:
        """All of the answer is made."""
        ...

    def round(self, response_id: int, /) -> Sound:
        """All of this round of it is made, and the client has the words of it."""
        ...

    def clear(self, response_id: int, /) -> None:
        """Nothing more of it is sent."""
        ...


class PcmVoice:
    """16 kHz PCM for clients that need not have the words first."""

    def __init__(self) -> None:
        self._resampler = Resampler(AGENT.rate_hz, SPEAKER.rate_hz)
        self._framer = Framer(SPEAKER.bytes(FRAME_MS))

    def feed(self, _response_id: int, pcm: bytes) -> Sound:
        return tuple(self._framer.feed(self._resampler.feed(pcm)))

    def told(self, _response_id: int) -> Sound:
        return ()

    def rest(self, _response_id: int) -> Sound:
        frames = self._framer.feed(self._resampler.flush())
        last = self._framer.drain()
        return (*frames, last) if last else tuple(frames)

    def round(self, _response_id: int) -> Sound:
        return self.rest(_response_id)

    def clear(self, _response_id: int) -> None:
        self._resampler.flush()
        self._framer.drain()


class _Mp3Answer:
    """The sound of an answer, or of one round of it, on its way."""

    def __init__(self) -> None:
        self.encoder = Mp3Encoder(AGENT.rate_hz)
        self.waiting: list[bytes] = []
        self.told = False
        self.made = False


class Mp3Voice:
    """MP3 for clients that have the words first.

    Attributes:
        streams: frames are pieces of a stream; else each is a whole file, of one round.
    """

    def __init__(self, *, streams: bool) -> None:
        self.streams = streams
        self._answers: dict[int, _Mp3Answer] = {}

    def feed(self, response_id: int, pcm: bytes) -> Sound:
        answer = self._answer(response_id)
        if mp3 := answer.encoder.feed(pcm):
            answer.waiting.append(mp3)
        return self._due(response_id)

    def told(self, response_id: int) -> Sound:
        self._answer(response_id).told = True
        return self._due(response_id)

    def rest(self, response_id: int) -> Sound:
        answer = self._answers.get(response_id)
        if answer is None:
            return ()
        if mp3 := answer.encoder.flush():
            answer.waiting.append(mp3)
        answer.made = True
        return self._due(response_id)

    def round(self, response_id: int) -> Sound:
        if response_id not in self._answers:
            return ()
        self._answers[response_id].told = True
        return self.rest(response_id)

    def clear(self, response_id: int) -> None:
        self._answers.pop(response_id, None)

    def _answer(self, response_id: int) -> _Mp3Answer:
        if response_id not in self._answers:
            self._answers[response_id] = _Mp3Answer()
            while len(self._answers) > ANSWERS_KEPT:
                del self._answers[next(iter(self._answers))]
        return self._answers[response_id]

    def _due(self, response_id: int) -> Sound:
        answer = self._answers[response_id]
        if not answer.told or not (self.streams or answer.made):
            return ()
        waiting, answer.waiting = answer.waiting, []
        if answer.made:
            del self._answers[response_id]
        sound = b"".join(waiting)
        return (sound,) if sound else ()
