"""What of a displayed text is said aloud, and where each spoken word stands in the display."""

import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from calls.domain.items import Mark

_URL = r"(?P<url>https?://[^\s<>()\[\]{}\"'`*]*[^\s<>()\[\]{}\"'`*.,;:!?])"
_LINK = r"!?\[(?P<label>[^\]\n]*)\]\([^)\s]*\)"
_EMAIL = r"(?P<email>[\w.+-]+@[\w-]+\.[\w.-]*\w)"
_LINE_MARKUP = r"(?m:^[ \t]*(?:#{1,6}[ \t]+|>[ \t]?|[-*+•][ \t]+|(?:[-*_][ \t]*){3,}$))"
_INLINE_MARKUP = r"(?<!\s)\*{1,3}|\*{1,3}(?!\s)|~~|`+|(?<!\w)_{1,3}(?=\w)|(?<=\w)_{1,3}(?!\w)|\|"
_PICTURES = "[\U0001f000-\U0001faff☀-➿⬀-⯿⌀-⏿\U000e0000-\U000e007f←-⇿■-◿️︎‍⃣]+"
_MARKUP = re.compile(
    f"(?P<code>```)|{_LINK}|{_URL}|{_EMAIL}|(?P<drop>{_LINE_MARKUP}|{_INLINE_MARKUP}|{_PICTURES})"
)
_FENCE = "```"


@dataclass(frozen=True, slots=True)
class Spoken:
    """The words to say for one displayed piece.

    `in_code`: the piece leaves a fenced block of code open, and so does what follows begin.
    """

    text: str
    in_code: bool
    _spoken_ends: tuple[int, ...]
    _shown_ends: tuple[int, ...]

    @property
    def audible(self) -> bool:
        return any(char.isalnum() for char in self.text)

    def shown(self, marks: Iterable[Mark]) -> tuple[Mark, ...]:
        """The same marks, counted in characters of the display."""
        return tuple(Mark(self._shown_end(mark.end_char), mark.at_ms) for mark in marks)

    def _shown_end(self, spoken_end: int) -> int:
        """How much of the display has been said with the first `spoken_end` characters."""
        if spoken_end >= len(self.text):
            return self._shown_ends[-1]
        run = bisect_right(self._spoken_ends, spoken_end) - 1
        shown = self._shown_ends[run] + spoken_end - self._spoken_ends[run]
        return min(shown, self._shown_ends[run + 1])


class _Runs:
    """Collects what is said, and after each run how much was said and how much was shown.

    A run is either copied, character for character, or replaced; what is replaced counts as said
    when all of it is.
    """

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.spoken_ends = [0]
        self.shown_ends = [0]

    def copy(self, text: str) -> None:
        if text:
            self._add(text, len(text))

    def replace(self, text: str, shown_chars: int) -> None:
        if text:
            # All but the last character of a replacement shows nothing yet.
            self._add_hidden(text[:-1])
            self._add(text[-1], shown_chars)
        else:
            self.shown_ends[-1] += shown_chars

    def _add_hidden(self, text: str) -> None:
        if text:
            self._add(text, 0)

    def _add(self, text: str, shown_chars: int) -> None:
        self.texts.append(text)
        self.spoken_ends.append(self.spoken_ends[-1] + len(text))
        self.shown_ends.append(self.shown_ends[-1] + shown_chars)


def speakable(piece: str, *, in_code: bool = False) -> Spoken:
    """What is said for a displayed piece: no markup, pictures or code, addresses by their host.

    Numbers and abbreviations are left to the voice.

    Args:
        piece: as displayed.
        in_code: a fenced block of code is open from the piece before.
    """
    runs = _Runs()
    at = 0
    while at < len(piece):
        if in_code:
            at, in_code = _skip_code(piece, at, runs)
            continue
        found = _MARKUP.search(piece, at)
        runs.copy(piece[at : found.start() if found else len(piece)])
        if found is None:
            break
        runs.replace(_said(found), len(found.group()))
        in_code = found.group("code") is not None
        at = found.end()
    return Spoken("".join(runs.texts), in_code, tuple(runs.spoken_ends), tuple(runs.shown_ends))


def _skip_code(piece: str, at: int, runs: _Runs) -> tuple[int, bool]:
    closed = piece.find(_FENCE, at)
    end = len(piece) if closed < 0 else closed + len(_FENCE)
    runs.replace("", end - at)
    return end, closed < 0


def _said(found: re.Match[str]) -> str:
    if found.group("url"):
        return _host(found.group("url"))
    if found.group("email"):
        return found.group("email").replace("@", " at ")
    return found.group("label") or ""


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").removeprefix("www.")
    except ValueError:  # an address only by its looks
        return ""
