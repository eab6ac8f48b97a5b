"""An answer whose words and sound come side by side, given out so that it is known what was heard.

The model tells its words ahead of their sound, and not where they lie in it. A word is given out
when the sound before it has been: that place is put no earlier than where the sound had come to
when the word arrived, and, while the answer is still growing, no earlier than anybody could say
what lies before it. Once all is there, the share of the whole decides.
"""

from bisect import bisect_right
from collections import deque
from dataclasses import replace
from unicodedata import east_asian_width

from calls.domain.audio import AGENT, SAMPLE_BYTES
from calls.domain.events import (
    Event,
    ResponseAudio,
    ResponseDone,
    ResponseText,
    ToolRequested,
    VoiceFailed,
)

Tail = ResponseDone | VoiceFailed

FASTEST_CHAR_MS = 50
FASTEST_WIDE_MS = 120
"""Nobody says a letter, or a sign of a spaceless script, in less time at the normal pace."""

CHUNK_BYTES = AGENT.bytes(200)
UNNAMED_BYTES = AGENT.bytes(300)
"""So much sound waits for its word."""

LONGEST_BYTES = AGENT.bytes(10 * 60_000)
"""More sound than this of one answer is dropped: no caller listens for so long."""

NO_ID = -1


class Speech:
    """Takes words and sound of one response, and gives out its events.

    Args:
        response_id: `NO_ID` until it is known.
        speed: of the voice.
        script: the words that are said, where they are given; what comes as words then only says
            how far the voice has come in it.
    """

    def __init__(
        self, response_id: int, *, provider: str, speed: float = 1.0, script: str | None = None
    ) -> None:
        self.response_id = response_id
        self._provider = provider
        self._speed = speed
        self._script = script
        self._text = ""
        self._come: list[tuple[int, int]] = []
        """Characters before a delta, and how many milliseconds of sound had come by then."""
        self._sound = bytearray()
        self._received = 0
        self._given = 0
        self._given_chars = 0
        self._orders: deque[ToolRequested] = deque()
        self._tail: Tail | None = None
        self._over = False

    # In

    @property
    def received_ms(self) -> int:
        return AGENT.ms_of(self._received)

    @property
    def shown(self) -> int:
        """So many characters were given out."""
        return self._given_chars

    @property
    def empty(self) -> bool:
        """Whether neither words nor sound came."""
        return not (self._text or self._received)

    @property
    def finished(self) -> bool:
        return self._tail is not None

    @property
    def failed(self) -> bool:
        return isinstance(self._tail, VoiceFailed)

    @property
    def over(self) -> bool:
        return self._over

    def add_text(self, delta: str) -> None:
        if self._script is not None:
            at = len(self._text)
            delta = self._script[at : at + len(delta)]
        if delta:
            self._come.append((len(self._text), self.received_ms))
            self._text += delta

    def add_sound(self, pcm: bytes) -> None:
        """The next bytes; a sample may be cut in two."""
        room = LONGEST_BYTES - len(self._sound)
        self._sound += pcm[: max(0, room)]
        self._received += min(len(pcm), max(0, room))

    def order(self, tool: ToolRequested) -> None:
        self._orders.append(tool)

    def finish(self, tail: Tail) -> None:
        """All there is has come. Idempotent.

        Of an answer that failed, words without sound are forgotten; given words are all shown.
        """
        if self._tail is None:
            self._tail = tail
            self._text = self._script or self._text

    @property
    def _broken(self) -> bool:
        return self.failed and self._script is None

    # Out

    def take(self, *, held: bool) -> Event | None:
        event = self._orders.popleft() if self._orders else self._next(held=held)
        return None if event is None else replace(event, response_id=self.response_id)  # type: ignore[call-arg] # all of these carry it

    def _next(self, *, held: bool) -> Event | None:
        if held:
            return None
        waiting = len(self._sound) // SAMPLE_BYTES * SAMPLE_BYTES
        if self._given_chars < len(self._text):
            return self._word_or_sound(waiting)
        unnamed = not self._text and not self.finished
        if unnamed and waiting < UNNAMED_BYTES:
            return None
        return self._take_sound(waiting) if waiting else self._end()

    def _word_or_sound(self, waiting: int) -> Event | None:
        ahead = AGENT.bytes(max(0, self._place_ms(self._given_chars))) - self._given
        if ahead > 0 and waiting:
            return self._take_sound(min(waiting, ahead))
        if ahead > 0 and not self.finished:
            return None
        if not waiting and self._given and not self.finished:
            # Its sound will show how many words belong together.
            return None
        if not waiting and self._broken:
            return self._end()
        return self._take_words(waiting)

    def _take_words(self, waiting: int) -> ResponseText | None:
        end = self._word_end(self._given_chars, waiting)
        while end and end < len(self._text) and self._said(end):
            further = self._word_end(end, waiting)
            if not further:
                break
            end = further
        if not end:
            return None
        text, self._given_chars = self._text[self._given_chars : end], end
        return ResponseText(response_id=NO_ID, text=text, provider=self._provider)

    def _said(self, chars: int) -> bool:
        """Whether the word that begins there belongs to what has been given out."""
        no_more = self.finished and len(self._sound) < SAMPLE_BYTES
        return no_more or AGENT.bytes(self._place_ms(chars)) <= self._given

    def _word_end(self, at: int, waiting: int) -> int:
        """Where the word that begins there ends, with the space after it; 0: not known yet."""
        text, end = self._text, at
        while end < len(text) and text[end].isspace():
            end += 1
        while end < len(text) and not text[end].isspace():
            end += 1
            if east_asian_width(text[end - 1]) in "WF":
                break
        while end < len(text) and text[end].isspace():
            end += 1
        growing = end == len(text) and not text[end - 1 :].isspace() and not self.finished
        return 0 if growing and waiting < UNNAMED_BYTES else end

    def _take_sound(self, size: int) -> ResponseAudio:
        size = max(SAMPLE_BYTES, min(size, CHUNK_BYTES) // SAMPLE_BYTES * SAMPLE_BYTES)
        pcm = bytes(self._sound[:size])
        del self._sound[:size]
        self._given += size
        return ResponseAudio(response_id=NO_ID, pcm=pcm, provider=self._provider)

    def _end(self) -> Event | None:
        self._over = self._tail is not None
        return self._tail

    def _place_ms(self, chars: int) -> int:
        """Where in the sound the character at `chars` lies."""
        if not chars:
            return 0
        came = bisect_right(self._come, chars, key=lambda come: come[0]) - 1
        came_ms = self._come[came][1] if came >= 0 else 0
        if self.finished and not self._broken:
            share_ms = self.received_ms * chars // len(self._text)
            return min(max(came_ms, share_ms), self.received_ms)
        wide = east_asian_width(self._text[chars - 1]) in "WF"
        fastest_ms = (FASTEST_WIDE_MS if wide else FASTEST_CHAR_MS) / self._speed
        return max(came_ms, round(chars * fastest_ms))


class Recital:
    """Events that are ready as they are: given words in another voice."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._over = False

    @property
    def over(self) -> bool:
        return self._over

    def put(self, *events: Event) -> None:
        self._events.extend(events)

    def take(self, *, held: bool) -> Event | None:
        if held or not self._events:
            return None
        event = self._events.popleft()
        self._over = isinstance(event, ResponseDone | VoiceFailed)
        return event
