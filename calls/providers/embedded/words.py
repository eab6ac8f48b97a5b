"""Finding known words in what a recogniser may have misheard."""

import re
from collections.abc import Sequence
from functools import lru_cache

Words = tuple[str, ...]

_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?|\d+(?::\d\d)?")
_ENDINGS = ("'s", "ings", "ing", "ies", "es", "ed", "s")
_LONGEST_GAP = 2

MOST_WORDS = 60
"""Of one utterance; whoever says more is not understood by a script anyway."""


@lru_cache(maxsize=2_000)
def words_of(text: str) -> Words:
    """The words of a text, lower case; times like 3:30 are one word, 3pm is two."""
    return tuple(_WORD.findall(text.lower().replace("’", "'"))[:MOST_WORDS])


@lru_cache(maxsize=4_000)
def has(words: Words, phrases: tuple[str, ...]) -> bool:
    """Whether one of the phrases is there."""
    return any(strength(words, phrase) for phrase in phrases)


def strength(words: Words, phrase: str) -> int:
    """How much of a sign the phrase is: its letters if it is there, else 0.

    Its words have to come in order, with at most two others between them; inflected forms and, of
    longer words, forms that are a letter or two off count as well.
    """
    wanted = words_of(phrase)
    for start in range(len(words)):
        if _matches(words[start:], wanted):
            return sum(map(len, wanted))
    return 0


def _matches(words: Words, wanted: Words) -> bool:
    at = 0
    for number, word in enumerate(wanted):
        reach = words[at : at + 1 + (_LONGEST_GAP if number else 0)]
        found = next((n for n, heard in enumerate(reach) if alike(word, heard)), None)
        if found is None:
            return False
        at += found + 1
    return True


@lru_cache(maxsize=20_000)
def alike(word: str, heard: str) -> bool:
    """Whether `heard` may be that word."""
    if word == heard or (len(word) > 3 and _stem(word) == _stem(heard)):
        return True
    tolerance = (len(word) >= 6) + (len(word) >= 9)
    return bool(tolerance) and word[0] == heard[0] and _distance(word, heard) <= tolerance


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word.removesuffix(ending)
    return word


def _distance(one: Sequence[str], other: Sequence[str]) -> int:
    """How many letters have to be changed, added or left out."""
    row = list(range(len(other) + 1))
    for number, letter in enumerate(one, 1):
        before, row[0] = row[0], number
        for at, against in enumerate(other, 1):
            change = before + (letter != against)
            before, row[at] = row[at], min(row[at] + 1, row[at - 1] + 1, change)
    return row[-1]
