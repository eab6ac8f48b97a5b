"""Runs of digits, written in groups or said one by one, with what they are likely to be."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from calls.privacy.numerals import SCALES, TENS, TIMES, digits_of, is_unit
from calls.privacy.passages import Kind, Passage

FEWEST_DIGITS = 6
FEWEST_HINTED = 3
_FEWEST_PHONE, _MOST_PHONE = 7, 15
_FEWEST_CARD, _MOST_CARD = 13, 19

_TOKEN = re.compile(r"\d+|[^\W\d_]+|[^\w\s]")
_JOINS = frozenset("-/.()+–—·")
_FILLERS = frozenset("uh um er erm äh ähm hm dash minus hyphen space strich plus dann then".split())
_MOST_FILLERS = 2

_UNITS_OF = (
    r"euros?|eur|dollars?|usd|pounds?|gbp|cents?|percent|prozent|francs?|franken|"
    r"km|kilometers?|kilometres?|miles?|meters?|metres?|kg|grams?|seconds?|minutes?|hours?|days?|"
    r"weeks?|months?|years?|people|times|sekunden|minuten|stunden|tage|wochen|monate|jahre"
)
_PLAIN = re.compile(
    r"[$€£]\s?\d[\d.,]*"
    rf"|(?<![\d.,])\d[\d.,]*\s?(?:[€$£%]|(?:{_UNITS_OF})\b)"
    r"|\b\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\d-])"
    r"|\b\d{1,2}[:h]\d{2}(?::\d{2})?(?:\s?[ap]\.?m\b|\s?uhr\b)?"
    r"|\b\d{1,2}\.\d{2}\s?(?:[ap]\.?m\b|uhr\b)"
    r"|\b(?:19|20)\d{2}-\d{2}-\d{2}(?:T[\d:.]+Z?)?\b"
    r"|\b\d{1,2}([./-])\d{1,2}\1(?:(?:19|20)\d{2}|\d{2})\b"
    r"|(?<![\d.])\d+\.\d+\b(?![.\d])(?!\s?[-/]?\s?\d)",
    re.IGNORECASE,
)
"""Prices, amounts, times and dates: numbers that are nobody's."""


@dataclass(slots=True)
class _Run:
    start: int
    end: int
    digits: str = ""
    groups: int = 0
    plus: bool = False


def number_runs(text: str, *, hinted: Kind | None = None) -> Iterator[Passage]:
    """Telephone numbers, cards and other numbers of many digits.

    Args:
        hinted: what a number is expected to be, by what was asked or said before; then few digits
            are enough, and commas may part them.
    """
    for run in _runs(text, commas=hinted is not None):
        kind = _kind(run, hinted)
        if kind is not None:
            yield Passage(run.start, run.end, kind)


def _kind(run: _Run, hinted: Kind | None) -> Kind | None:
    count = len(run.digits)
    if _FEWEST_CARD <= count <= _MOST_CARD and luhn(run.digits):
        return Kind.CARD
    if hinted is not None and count >= FEWEST_HINTED:
        return hinted
    if count < FEWEST_DIGITS:
        return None
    dialled = run.plus or run.digits.startswith("0") or run.groups > 1
    if dialled and _FEWEST_PHONE <= count <= _MOST_PHONE:
        return Kind.PHONE
    return Kind.PHONE if count in (10, 11) else Kind.NUMBER


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 * (value > 9)
    return total % 10 == 0


def _runs(text: str, *, commas: bool) -> Iterator[_Run]:
    plain = bytearray(len(text))
    for match in _PLAIN.finditer(text):
        plain[match.start() : match.end()] = b"\1" * len(match[0])
    tokens = [token for token in _TOKEN.finditer(text) if not plain[token.start()]]
    at = 0
    while at < len(tokens):
        at, run = _run(tokens, at, commas=commas)
        if run is not None:
            yield run


def _run(tokens: Sequence[re.Match[str]], at: int, *, commas: bool) -> tuple[int, _Run | None]:
    """The run that begins at a token, if one does, and where to look on."""
    first = tokens[at]
    if not _digits(tokens, at):
        return at + 1, None
    run = _Run(first.start(), first.end())
    if at and tokens[at - 1][0] == "+" and tokens[at - 1].end() == first.start():
        run.start, run.plus = tokens[at - 1].start(), True
    while at < len(tokens):
        step, digits = _digits(tokens, at) or (0, "")
        if not step:
            gap = _gap(tokens, at, commas=commas)
            if not gap:
                break
            at += gap
            continue
        run.digits += digits
        run.end = tokens[at + step - 1].end()
        run.groups += 1
        at += step
    if at < len(tokens) and tokens[at][0].lower() in SCALES:
        return at + 1, None
    return at, run


def _digits(tokens: Sequence[re.Match[str]], at: int) -> tuple[int, str] | None:
    """How many tokens from here on are one number, and its digits."""
    word = tokens[at][0].lower()
    following = tokens[at + 1][0] if at + 1 < len(tokens) else ""
    if word in TIMES and (digits := digits_of(following)):
        return 2, digits * TIMES[word]
    if word in TENS and is_unit(following) and len(following) > 1:
        return 2, TENS[word] + digits_of(following)
    if digits := digits_of(word):
        return 1, digits
    return None


def _gap(tokens: Sequence[re.Match[str]], at: int, *, commas: bool) -> int:
    """How many tokens may be passed over here: marks and fillers, with a number behind them."""
    for count in range(1, 2 + _MOST_FILLERS):
        if at + count >= len(tokens):
            return 0
        word = tokens[at + count - 1][0].lower()
        single = word == "," and (commas or _single(tokens, at + count))
        if word not in _JOINS and word not in _FILLERS and not single:
            return 0
        if _digits(tokens, at + count):
            return count
    return 0


def _single(tokens: Sequence[re.Match[str]], at: int) -> bool:
    """Whether the numbers on both sides of a comma are single digits."""
    before, after = digits_of(tokens[at - 2][0]), digits_of(tokens[at][0])
    return len(before) == 1 and len(after) == 1
