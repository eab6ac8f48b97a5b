"""Dates, times, prices and other figures, as they are said.

Every quantifier is bounded or begins where nothing else can: a hostile text costs linear time.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from calls.providers.cascade.spelling import CURRENCIES, CURRENCY_CODES, UNIT_SIGNS, Wording

GROUP_DIGITS = 3
SPACES = " \xa0\u202f"
"""The common one, and those that break no line."""
LONG_DIGITS = 5
"""A number with a name of its own, such as "#12345", is read digit by digit from here on."""


@dataclass(frozen=True, slots=True)
class Expansion:
    """What is said for `text[start:end]`."""

    start: int
    end: int
    said: str


Say = Callable[[re.Match[str], Wording], str | None]
"""What is said for a match; None if it is to stay as it is."""


@dataclass(frozen=True, slots=True)
class Rule:
    pattern: re.Pattern[str]
    say: Say
    group: int | str = 0

    def expansions(self, text: str, words: Wording) -> Iterator[Expansion]:
        for found in self.pattern.finditer(text):
            said = self.say(found, words)
            if said is not None:
                yield Expansion(*found.span(self.group), said)


_NUMBER = r"(?:\d{1,3}(?:[.,’'\u202f\xa0]\d{3}){1,5}(?:[.,]\d{1,2})?|\d{1,12}(?:[.,]\d{1,2})?)"
_SPACE = r"[ \xa0\u202f]?"
_DASH = rf"(?:-|{_SPACE}[–—]{_SPACE})"
_BEFORE = r"(?<![\w.,:/+-])"
_AFTER = r"(?![\w/-]|[.,:]\d)"
_CURRENCY = "|".join(re.escape(sign) for sign in (*CURRENCIES, *CURRENCY_CODES))
_LARGE = (
    r"(?:[ \xa0](?:thousand|million|billion|trillion|Million(?:en)?|Milliarden?|Mio\.|Mrd\.|"
    r"millions|milliards?|millones|millón|milioni|milione|miliard[io]|milhões|milhão|bilhões|miljoen|"
    r"miljard)(?!\w))"
)
_PHONE = (
    r"\+\d{1,15}(?:[ ./-]\(?\d{1,8}\)?){0,6}"
    r"|\(\d{2,5}\)[ -]?\d{2,8}(?:[ -]\d{1,8}){0,4}"
    r"|0\d{1,5}(?:[ /-]\d{2,8}){1,5}"
    r"|\d{3}[ .-]\d{3}[ .-]\d{4}|\d-\d{3}-\d{3}-\d{4}|\d{3}-\d{4}"
)
_SPACED_UNITS = "|".join(
    re.escape(sign) for sign in UNIT_SIGNS if len(sign) == 1 and sign.isalpha()
)
_CLOSE_UNITS = "|".join(
    re.escape(sign) for sign in UNIT_SIGNS if len(sign) > 1 or not sign.isalpha()
)


def one_by_one(digits: str) -> str:
    """Digits in groups of three or four, with a breath between the groups."""
    groups = []
    while len(digits) > GROUP_DIGITS + 1:
        groups.append(digits[:GROUP_DIGITS])
        digits = digits[GROUP_DIGITS:]
    return ", ".join(" ".join(group) for group in (*groups, digits))


def _date(year: str, month: str, day: str, words: Wording) -> str | None:
    if not (1 <= int(month) <= 12 and 1 <= int(day) <= 31):
        return None
    name = words.months[int(month) - 1]
    return words.phrases["date"].format(d=int(day), month=name, y=year)


def _iso_date(found: re.Match[str], words: Wording) -> str | None:
    return _date(found[1], found[2], found[3], words)


def _written_date(found: re.Match[str], words: Wording) -> str | None:
    day, month = found[1], found[3]
    if words.phrases.get("month_first") and found[2] != ".":
        day, month = month, day
    return _date(found[4], month, day, words)


def _clock(found: re.Match[str], words: Wording) -> str | None:
    hour, minute = int(found["h"]), int(found["m"] or 0)
    half = (found.groupdict().get("half") or "").strip(SPACES).replace(".", "").upper()
    phrases, named = words.phrases, half in ("AM", "PM")
    form = phrases["time"] if minute else "{h}" if named else phrases["hour"]
    one, _, many = phrases.get("hours", "").partition("|")
    oh = phrases.get("oh", "") if minute < 10 else ""
    said = form.format(h=hour, m=f"{oh}{minute}", hours=one if hour == 1 else many)
    return f"{said} {half}" if named else said


def _half_day(found: re.Match[str], words: Wording) -> str | None:
    return f"{found[1]} {found[2].upper()}M" if "oh" in words.phrases else None


def _price(found: re.Match[str], words: Wording) -> str | None:
    sign = found["sign"].strip()
    money = words.money[CURRENCY_CODES.get(sign, sign)]
    number, large = found["number"], found["large"]
    if large:
        many = money.whole.many
        between = words.phrases.get("of", "")
        if many[0] in "aeiou":
            between = words.phrases.get("of_vowel", between)
        size = large.strip()
        return f"{number} {words.abbreviations.get(size, size)} {between}{many}"
    whole, part = (number[:-3], number[-2:]) if number[-3:-2] in (".", ",") else (number, "")
    coins = str(int(part or 0))
    said = f"{whole} {money.whole.of(whole)}"
    if coins == "0":
        return said
    cents = money.part.of(coins)
    if whole == "0":
        return f"{coins} {cents}"
    return words.phrases["price"].format(whole=said, part=coins, cents=cents)


def _lone_currency(found: re.Match[str], words: Wording) -> str | None:
    return f" {words.money[found[1]].whole.many}"


def _phone(found: re.Match[str], words: Wording) -> str | None:
    groups = re.findall(r"\d+", found[0])
    if sum(map(len, groups)) < 7:
        return None
    digits = ", ".join(map(one_by_one, groups))
    return f"{words.signs['+']} {digits}" if found[0].startswith("+") else digits


def _range(found: re.Match[str], words: Wording) -> str | None:
    low, dash, high = found.groups()
    if dash == "-" and int(low) >= int(high):
        return None
    return f"{low} {words.phrases['to']} {high}"


def _to(_found: re.Match[str], words: Wording) -> str | None:
    return f" {words.phrases['to']} "


def _version(found: re.Match[str], words: Wording) -> str | None:
    parts = found["parts"].split(".")
    thousands = len(parts[0]) <= 3 and all(len(part) == 3 for part in parts[1:])
    if not found["v"] and (len(parts) < 3 or thousands):
        return None
    said = f" {words.phrases['point']} ".join(parts)
    return f"{words.phrases['version']} {said}" if found["v"] else said


def _numbered(found: re.Match[str], words: Wording) -> str | None:
    digits = found[1]
    said = digits if len(digits) < LONG_DIGITS else one_by_one(digits)
    return f"{words.phrases['number']} {said}"


def _digits(found: re.Match[str], _words: Wording) -> str | None:
    # Millions that are written without separators end so; the voice knows how to say them.
    return None if found[0].endswith("000") else one_by_one(found[0])


def _unit(found: re.Match[str], words: Wording) -> str | None:
    text, at = found.string, found.start()
    lone = at < 2 or not (text[at - 2].isalnum() or text[at - 2] in ".,")
    unit = words.units[found[0].strip(SPACES)]
    return " " + unit.of(text[at - 1] if lone else "")


def rules(words: Wording) -> Iterable[Rule]:
    """What finds figures, the most particular first."""
    hours = _SPACE + r"(?P<half>h)" + _SPACE + r"(?P<m>[0-5]\d)?(?!\w)"
    clock = r"(?P<h>[01]?\d|2[0-4])"
    half = rf"(?P<half>{_SPACE}(?:[AaPp]\.[Mm]\.|[AaPp][Mm]|Uhr|uur|h)(?!\w))?"
    amount = rf"(?P<number>{_NUMBER})(?P<large>{_LARGE})?"
    table: list[tuple[str, Say]] = [
        (rf"{_BEFORE}(\d{{4}})-(\d\d)-(\d\d){_AFTER}", _iso_date),
        (rf"{_BEFORE}(\d\d?)([./-])(\d\d?)\2(\d{{4}}){_AFTER}", _written_date),
        (rf"(?<![\w.,:/+-])(?:{_PHONE}){_AFTER}", _phone),
        (rf"(?<![\w.,])(?P<sign>{_CURRENCY}){_SPACE}{amount}{_AFTER}", _price),
        (rf"(?<![\w.,]){amount}{_SPACE}(?P<sign>{_CURRENCY})(?!\w)", _price),
        (rf"{_BEFORE}{clock}:(?P<m>[0-5]\d){half}(?![\w:]|[.,]\d)", _clock),
        (rf"(?<=[\d–—-]){clock}:(?P<m>[0-5]\d){half}(?![\w:]|[.,]\d)", _clock),
        (rf"(?<=:\d\d){_SPACE}[–—-]{_SPACE}(?=\d\d?:\d\d)", _to),
        (rf"(?<=[ap]m){_SPACE}[–—-]{_SPACE}(?=\d\d?(?::\d\d)?{_SPACE}[ap]m)", _to),
        (rf"(?<![\w:.,])(1?\d){_SPACE}([AaPp])(?:\.[Mm]\.|[Mm])(?!\w)", _half_day),
        (rf"(?<![\w.,:/+$€£-])(\d{{1,6}})({_DASH})(\d{{1,6}}){_AFTER}", _range),
        (r"(?<![\w.,-])(?P<v>[vV])?(?P<parts>\d{1,4}(?:\.\d{1,4}){0,5})(?!\w|[.,]\d)", _version),
        (r"(?<![\w&])#(\d{1,20})(?!\w)", _numbered),
        (r"(?<![\w.,])\d{7,}(?!\w|[.,]\d)", _digits),
        (r"(?<![\w.,:/-])0\d{2,}(?![\w/:-]|[.,]\d)", _digits),
        (rf"(?<=\d){_SPACE}([€$£])(?!\w)", _lone_currency),
        (
            rf"(?<=\d)(?:{_SPACE}(?:{_CLOSE_UNITS})|[ \xa0\u202f](?:{_SPACED_UNITS}))(?![\w²³/°])",
            _unit,
        ),
    ]
    if "hours" in words.phrases:
        table.insert(0, (rf"(?<![\w:.,]){clock}{hours}", _clock))
    return [Rule(re.compile(pattern), say) for pattern, say in table]
