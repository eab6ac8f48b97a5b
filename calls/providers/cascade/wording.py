"""Abbreviations, signs and figures of a plain text, as they are said in its language."""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, partial

from calls.providers.cascade import figures
from calls.providers.cascade.figures import Expansion, Rule
from calls.providers.cascade.spelling import SIGNS, Wording, base_language, wording

_CAPITAL = "[A-ZÀ-ÖØ-Þ]"
_LETTERS = r"[^\W\d_]{1,30}"
_CLOSERS = " \t\r\n\"'”’»)]}"


def expansions(text: str, language: str) -> list[Expansion]:
    """What of a text without markup is said otherwise than it is written, in order.

    Whole numbers stay as they are, as every voice can read them. In a language without tables
    everything stays.

    Args:
        language: BCP 47 tag.
    """
    base = base_language(language)
    words = wording(base)
    if words is None:
        return []
    found = [
        (each.start, rank, each)
        for rank, rule in enumerate(_rules(base))
        for each in rule.expansions(text, words)
    ]
    found.sort(key=lambda entry: entry[:2])
    return list(_apart(text, (each for _, _, each in found)))


def _apart(text: str, found: Iterable[Expansion]) -> Iterator[Expansion]:
    """Those that overlap none before them, with room between words."""
    at, before = 0, ""
    for each in found:
        if each.start >= at and each.end > each.start:
            before = before if each.start == at else text[each.start - 1]
            said = _roomy(text, each, before)
            at, before = each.end, said[-1:]
            yield Expansion(each.start, each.end, said)


def _roomy(text: str, each: Expansion, before: str) -> str:
    said = each.said
    if before.isalnum() and said[:1].isalnum():
        said = f" {said}"
    if each.end < len(text) and text[each.end].isalnum() and said[-1:].isalnum():
        said = f"{said} "
    return said


@cache
def _rules(base: str) -> tuple[Rule, ...]:
    words = wording(base)
    assert words is not None
    return (*_abbreviation_rules(words), *figures.rules(words), *_sign_rules(words))


def _abbreviation_rules(words: Wording) -> Iterator[Rule]:
    kinds: list[tuple[Mapping[str, str], str, str]] = [
        (words.before_number, "", r"(?=[ \xa0]?\d)"),
        (words.before_name, "", rf"(?=[ \xa0]?{_CAPITAL})"),
        (words.after_name, rf"(?<!\w){_CAPITAL}\w{{1,30}}[ ]", r"(?!\w)"),
        (words.abbreviations, "", r"(?!\w)"),
    ]
    for table, before, after in kinds:
        if table:
            written = "|".join(_written(short) for short in sorted(table, key=len, reverse=True))
            said = {_bare(short): full for short, full in table.items()}
            pattern = rf"(?<![\w.]){before}(?P<short>{written}){after}"
            yield Rule(re.compile(pattern), partial(_abbreviated, said), "short")
    if "street" in words.phrases:
        yield Rule(re.compile(r"(?<!\w)(\w{1,30})str\.(?!\w)"), _street)


def _written(short: str) -> str:
    """A pattern for an abbreviation: with a capital or not, with its spaces or not."""
    first, rest = short[0], re.escape(short[1:]).replace(r"\ ", r"[ \xa0\u202f]?")
    both = {first, first.upper()}
    return f"[{''.join(sorted(both))}]{rest}" if first.isalpha() else re.escape(first) + rest


def _bare(short: str) -> str:
    return re.sub(r"[ \xa0\u202f]", "", short)


def _abbreviated(table: Mapping[str, str], found: re.Match[str], _words: Wording) -> str | None:
    short = _bare(found["short"])
    full = table.get(short)
    if full is None:
        full = table[short[0].lower() + short[1:]]
        full = full[0].upper() + full[1:]
    return full + _full_stop(found)


def _street(found: re.Match[str], words: Wording) -> str | None:
    return found[1] + words.phrases["street"] + _full_stop(found)


def _full_stop(found: re.Match[str]) -> str:
    """The full stop of an abbreviation at the very end is the sentence's as well."""
    rest = found.string[found.end() : found.end() + len(_CLOSERS)]
    ends = found[0].endswith(".") and not rest.strip(_CLOSERS)
    return "." if ends and found.end() + len(rest) == len(found.string) else ""


def _sign_rules(words: Wording) -> Iterator[Rule]:
    signs = words.signs

    def sign(found: re.Match[str], _words: Wording) -> str | None:
        return signs[found[0]]

    def minus(_found: re.Match[str], _words: Wording) -> str | None:
        return f"{signs['−']} "

    def times(_found: re.Match[str], _words: Wording) -> str | None:
        return signs["×"]

    anywhere = "".join(re.escape(each) for each in SIGNS if each not in "=<>~")
    yield Rule(re.compile(f"[{anywhere}]"), sign)
    yield Rule(re.compile(r"(?<![=<>!:+*/-])=(?![=>])"), sign)
    yield Rule(re.compile(r"(?<=[\d\s])[<>](?=[\d\s])"), sign)
    yield Rule(re.compile(r"(?<![\w~])~(?=\d)"), sign)
    yield Rule(re.compile(r"(?<![\w)\]}.-])-(?=\d)"), minus)
    yield Rule(re.compile(r"(?<=\d )\*(?= \d)"), times)
    between = (
        rf"(?<![\w/.:@-])(?P<left>{_LETTERS})(?P<stroke> ?/ ?)(?P<right>{_LETTERS})(?![\w/:@])"
    )
    yield Rule(re.compile(between), _stroke, "stroke")


def _stroke(found: re.Match[str], words: Wording) -> str | None:
    left, right = found["left"], found["right"]
    silent = (left.isupper() and right.isupper()) or not words.joins.isdisjoint({left, right})
    return " " if silent else f" {words.phrases['either']} "
