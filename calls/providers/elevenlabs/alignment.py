"""Where the words of a text lie in its sound, from what ElevenLabs says of single characters.

What it says is not clean: times may count from the beginning of a chunk or of the whole, be absent
from a chunk, begin again, or belong to a text that was spelled out. A mark is given only where its
characters agree with the text.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard
from unicodedata import east_asian_width

from calls.domain.items import Mark

SLACK_MS = 1
"""Times are rounded, so chunks may overlap by as much."""

_LONGEST_MS = 1e9
"""What is not less is no time; nor is what is no number."""


@dataclass(frozen=True, slots=True)
class Aligned:
    """Characters, and where each begins and ends, in ms."""

    chars: Sequence[str]
    starts_ms: Sequence[float]
    ends_ms: Sequence[float]


@dataclass(frozen=True, slots=True)
class Timing:
    """What a chunk of sound came with. None: it says nothing, or nothing that can be used.

    `given` is about the text as it was sent, `spelled` about what was made of it to be read aloud.
    """

    given: Aligned | None
    spelled: Aligned | None


def socket_timing(message: Mapping[str, Any]) -> Timing:
    """What a message of a socket says; names come in more than one spelling."""
    spelled = _first(message, "normalizedAlignment", "normalized_alignment")
    return Timing(_of_socket(message.get("alignment")), _of_socket(spelled))


def line_timing(line: Mapping[str, Any]) -> Timing:
    """What a line of an answer with timestamps says."""
    return Timing(_of_line(line.get("alignment")), _of_line(line.get("normalized_alignment")))


class WordMarks:
    """Follows the sound of one text and marks the ends of its words.

    Marks count characters of `text`, ascend, and never go beyond its end.
    """

    def __init__(self, text: str) -> None:
        self._given = _Follower(text)
        self._spelled = _Follower(text)
        self._last = Mark(0, 0)

    @property
    def left(self) -> str:
        """What of the text's letters has not been said, as far as that is known for certain."""
        return "" if self._given.unsure else self._given.left

    def take(self, timing: Timing, begin_ms: float, end_ms: float) -> tuple[Mark, ...]:
        """Follow the next chunk, whose sound lies between these times; give its marks."""
        given = self._given.take(timing.given, begin_ms, end_ms)
        spelled = self._spelled.take(timing.spelled, begin_ms, end_ms)
        usable = timing.given is not None and not self._given.lost
        return tuple(self._ascending(given if usable else spelled))

    def _ascending(self, marks: Sequence[Mark]) -> Iterator[Mark]:
        for mark in marks:
            if mark.end_char > self._last.end_char:
                self._last = Mark(mark.end_char, max(mark.at_ms, self._last.at_ms))
                yield self._last


class _Follower:
    """Keeps its place in a text, by characters other than spaces."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._places = [place for place, char in enumerate(text) if not char.isspace()]
        self._letters = "".join(text[place] for place in self._places)
        self._at = 0
        self._end_ms = 0.0
        self._relative = False
        self._gap: tuple[float, float] | None = None
        self.lost = False

    @property
    def unsure(self) -> bool:
        """Whether it does not know how far the text has been said."""
        return self.lost or self._gap is not None

    @property
    def left(self) -> str:
        return self._letters[self._at :]

    def take(self, aligned: Aligned | None, begin_ms: float, end_ms: float) -> list[Mark]:
        """Follow a chunk; gives marks of it, and of chunks before it that said nothing."""
        if self.lost:
            return []
        if aligned is None:
            self._silent(begin_ms, end_ms)
            return []
        shift_ms = self._shift_ms(aligned, begin_ms)
        ends_ms = [end_ms + shift_ms for end_ms in aligned.ends_ms]
        said = [
            ("".join(char.split()), char_end_ms)
            for char, char_end_ms in zip(aligned.chars, ends_ms, strict=True)
            if char.strip()
        ]
        self._end_ms = max(self._end_ms, *ends_ms)
        if not said:
            return []
        found = self._find("".join(char for char, _ in said))
        if found < 0:
            self.lost = True
            return []
        return [*self._skipped(found), *self._said(said)]

    def _silent(self, begin_ms: float, end_ms: float) -> None:
        """A chunk that has sound but tells nothing."""
        if end_ms > begin_ms:
            self._gap = (self._gap[0] if self._gap else begin_ms, end_ms)

    def _shift_ms(self, aligned: Aligned, begin_ms: float) -> float:
        """What to add to the chunk's times. Whoever counts from the chunk once does so always."""
        least_ms = self._end_ms - SLACK_MS
        if self._gap is not None:
            least_ms = max(least_ms, sum(self._gap) / 2)
        self._relative = self._relative or aligned.starts_ms[0] < least_ms
        return begin_ms if self._relative else 0.0

    def _find(self, letters: str) -> int:
        """Where the letters are: after the last ones, or anywhere behind a gap; -1: nowhere."""
        if self._gap is None:
            return self._at if self._letters.startswith(letters, self._at) else -1
        found = self._letters.find(letters, self._at)
        # What is there twice could be either.
        return found if found == self._letters.rfind(letters) else -1

    def _skipped(self, found: int) -> Iterator[Mark]:
        """Marks of letters that a gap has swallowed, spread evenly over its sound."""
        gap, self._gap = self._gap or (0.0, 0.0), None
        begin, self._at = self._at, found
        for letters in range(begin + 1, found + 1):
            if self._is_word_end(letters):
                share = (letters - begin) / (found - begin)
                yield self._mark(letters, gap[0] + (gap[1] - gap[0]) * share)

    def _said(self, said: Sequence[tuple[str, float]]) -> Iterator[Mark]:
        for char, end_ms in said:
            self._at += len(char)
            if self._is_word_end(self._at):
                yield self._mark(self._at, end_ms)

    def _is_word_end(self, letters: int) -> bool:
        """Whether a word ends with so many letters; scripts without spaces end one everywhere."""
        place = self._places[letters - 1]
        after = self._text[place + 1 : place + 2]
        return not after.strip() or east_asian_width(self._text[place]) in "WF"

    def _mark(self, letters: int, at_ms: float) -> Mark:
        return Mark(self._places[letters - 1] + 1, max(0, round(at_ms)))


def _of_socket(value: Any) -> Aligned | None:
    if not isinstance(value, Mapping):
        return None
    starts = _first(value, "charStartTimesMs", "char_start_times_ms")
    durations = _first(
        value,
        "charDurationsMs",
        "charsDurationsMs",
        "char_durations_ms",
        "chars_durations_ms",
    )
    if not _numbers(starts) or not _numbers(durations) or len(starts) != len(durations):
        return None
    ends = [start + duration for start, duration in zip(starts, durations, strict=True)]
    return _aligned(value.get("chars"), starts, ends)


def _of_line(value: Any) -> Aligned | None:
    if not isinstance(value, Mapping):
        return None
    starts = value.get("character_start_times_seconds")
    ends = value.get("character_end_times_seconds")
    if not _numbers(starts) or not _numbers(ends):
        return None
    return _aligned(value.get("characters"), [s * 1000 for s in starts], [e * 1000 for e in ends])


def _aligned(chars: Any, starts: Sequence[float], ends: Sequence[float]) -> Aligned | None:
    if not isinstance(chars, list) or not chars or not len(chars) == len(starts) == len(ends):
        return None
    if not all(isinstance(char, str) for char in chars):
        return None
    return Aligned(chars, starts, ends)


def _numbers(values: Any) -> TypeGuard[list[float]]:
    return isinstance(values, list) and all(
        isinstance(value, int | float) and abs(value) < _LONGEST_MS for value in values
    )


def _first(value: Mapping[str, Any], *names: str) -> Any:
    return next((value[name] for name in names if value.get(name) is not None), None)
