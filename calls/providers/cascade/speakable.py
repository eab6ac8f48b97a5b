"""What of a displayed text is said aloud, and where each spoken word stands in the display."""

import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from calls.domain.items import Mark
from calls.providers.cascade.wording import expansions

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
    `_display`: set where these words replace others, which have a display of their own.
    """

    text: str
    in_code: bool
    _spoken_ends: tuple[int, ...]
    _shown_ends: tuple[int, ...]
    _display: "Spoken | None" = None

    @property
    def audible(self) -> bool:
        return any(char.isalnum() for char in self.text)

    def shown(self, marks: Iterable[Mark]) -> tuple[Mark, ...]:
        """The same marks, counted in characters of the display."""
        return tuple(Mark(self._shown_end(mark.end_char), mark.at_ms) for mark in marks)

    def _shown_end(self, spoken_end: int) -> int:
        """How much of the display has been said with the first `spoken_end` characters."""
        shown_end = self._own_shown_end(spoken_end)
        return shown_end if self._display is None else self._display._shown_end(shown_end)

    def _own_shown_end(self, spoken_end: int) -> int:
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

    def spoken(self, *, in_code: bool, display: Spoken | None = None) -> Spoken:
        """What was collected; of `display`, if that is what it was collected from."""
        ends = tuple(self.spoken_ends), tuple(self.shown_ends)
        return Spoken("".join(self.texts), in_code, *ends, display)

    def _add_hidden(self, text: str) -> None:
        if text:
            self._add(text, 0)

    def _add(self, text: str, shown_chars: int) -> None:
        self.texts.append(text)
        self.spoken_ends.append(self.spoken_ends[-1] + len(text))
        self.shown_ends.append(self.shown_ends[-1] + shown_chars)


def speakable(piece: str, *, in_code: bool = False, language: str = "en") -> Spoken:
    """What is said for a displayed piece: no markup, pictures or code, addresses by their host.

    Abbreviations, signs and figures become words, as far as the language has tables for them;
    whole numbers are left to the voice.

    Args:
        piece: as displayed.
        in_code: a fenced block of code is open from the piece before.
        language: BCP 47 tag.
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
    return _worded(runs.spoken(in_code=in_code), language)


def _worded(plain: Spoken, language: str) -> Spoken:
    """The same with words for what is none, whatever markup there was in its midst."""
    found = expansions(plain.text, language)
    if not found:
        return plain
    runs = _Runs()
    at = 0
    for each in found:
        runs.copy(plain.text[at : each.start])
        runs.replace(each.said, each.end - each.start)
        at = each.end
    runs.copy(plain.text[at:])
    return runs.spoken(in_code=plain.in_code, display=plain)


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
