"""Cutting a stream of text into pieces that can be spoken one after the other."""

from collections.abc import Iterator

FIRST_CLAUSE_CHARS = 20
"""The first piece may end at a clause that is this long: the caller waits for it."""

LONG_CHARS = 160
"""From here on any piece may end at a clause."""

LONGEST_CHARS = 280
"""From here on a piece ends at the next space."""

UNBROKEN_CHARS = 400
"""From here on it ends anywhere: no word is so long."""

_ENDS = frozenset(".!?…")
_WIDE_ENDS = frozenset("。！？")
_CLAUSES = frozenset(",;:–—")
_CLOSERS = frozenset("\"'”’»)]}*_`」』）")
_TITLES = frozenset({"mr", "mrs", "ms", "dr", "prof", "st", "mt", "gen", "capt", "rev", "fr", "jr"})
_SHORT_FORMS = frozenset(
    {"e.g", "i.e", "vs", "etc", "approx", "no", "nr", "a.m", "p.m", "inc", "ltd", "co", "u.s"}
)


class SentenceCutter:
    """Cuts one answer into speakable pieces.

    The pieces joined together are the text, whitespace included, however it arrived. A piece ends
    with a sentence, the first one perhaps with a clause; whether a full stop ends a sentence is
    known only when the next word begins, so the last piece waits for `flush`. White space after
    an end belongs to the piece before it.
    """

    def __init__(self) -> None:
        self._text = ""
        self._first = True

    def feed(self, delta: str) -> Iterator[str]:
        """Take the next text; yields the pieces that it completes. Run it to its end."""
        for char in delta:
            if self._text and self._ends_before(char):
                yield self._take()
            self._text += char

    def settle(self) -> str:
        """Nothing has come for a while: the piece so far if it looks finished, else nothing."""
        said = _unclosed(self._text)
        finished = said[-1:] in _ENDS | _WIDE_ENDS and not said[-2:-1].isdigit()
        return self._take() if finished and not _short_form(said, "") else ""

    def flush(self) -> str:
        """The text is complete: its last piece, empty if there is none."""
        return self._take()

    def _take(self) -> str:
        piece, self._text = self._text, ""
        self._first = self._first and not piece.strip()
        return piece

    def _ends_before(self, char: str) -> bool:
        if char.isspace() or not self._text.strip():
            return False
        if len(self._text) >= UNBROKEN_CHARS:
            return True
        if not self._text[-1].isspace():
            return _ends_wide(self._text, char)
        return self._ends_at_space(char)

    def _ends_at_space(self, char: str) -> bool:
        said = self._text.rstrip()
        if len(said) >= LONGEST_CHARS or "\n" in self._text[len(said) :]:
            return True
        clause_chars = FIRST_CLAUSE_CHARS if self._first else LONG_CHARS
        if said[-1] in _CLAUSES:
            return len(said) >= clause_chars
        return _ends_sentence(_unclosed(said), char)


def _unclosed(text: str) -> str:
    """The text without the white space, quotes and brackets that close it."""
    end = len(text)
    while end and (text[end - 1].isspace() or text[end - 1] in _CLOSERS):
        end -= 1
    return text[:end]


def _ends_wide(text: str, following: str) -> bool:
    """Whether a sentence of a script that is written without spaces ends here."""
    said = _unclosed(text)
    if said[-1:] not in _WIDE_ENDS or text[-1].isspace():
        return False
    return following not in _CLOSERS and following not in _WIDE_ENDS


def _ends_sentence(said: str, following: str) -> bool:
    if said[-1:] in _WIDE_ENDS:
        return True
    if said[-1:] not in _ENDS:
        return False
    if said.endswith(("...", "…")) and following.islower():
        return False
    return not _short_form(said, following)


def _short_form(said: str, following: str) -> bool:
    """Whether the full stop at the end belongs to the word before it."""
    if not said.endswith("."):
        return False
    line = said.rpartition("\n")[2]
    word = line.rpartition(" ")[2][:-1].lstrip("(\"'“‘[*_").lower()
    if word in _TITLES or (len(word) == 1 and word.isalpha() and word != "i"):
        return True
    if word in _SHORT_FORMS:
        return not following.isupper()
    return word.isdigit() and line.strip()[:-1].isdigit()
