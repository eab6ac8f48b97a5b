"""Personal data in a text: what has a form of its own, written or spelled out.

Deterministic, for English and German. It knows forms, not people: names and what only the context
makes personal it does not find. Where it has to choose it rather takes a number too much.
"""

import re
from collections.abc import Iterator

from calls.privacy.numerals import ENGLISH, digits_of, is_date_word
from calls.privacy.passages import Kind, Passage, apart
from calls.privacy.runs import number_runs

_WORD = re.compile(r"[^\W_]+")

_EMAIL = re.compile(r"(?<![\w.+%-])[\w.+%-]{1,64}\s?@\s?[\w-]+(?:\s?\.\s?[\w-]+)+")
_ENDINGS = (
    "com net org edu gov de at ch fr uk co io eu info me us biz dev app ai nl es it pl se dk no be "
    "ie ca au nz"
).replace(" ", "|")
_SAID_AT = re.compile(r"\s(?:at|ät|klammeraffe)\s+|\s?@\s?", re.IGNORECASE)
_MARKS = frozenset(
    "dot punkt point underscore unterstrich dash hyphen minus bindestrich plus . _ + -".split()
)
_SPELLED = r"(?:[^\W_]\s){0,12}[^\W_]{1,40}"
_SAID_MARK = r"(?:\s+(?:dot|punkt|point|dash|hyphen|minus|bindestrich)\s+|\s?[.-]\s?)"
_SAID_END = rf"(?:\s+(?:dot|punkt|point)\s+|\s?\.\s?)(?:{_ENDINGS})\b"
_SAID_DOMAIN = re.compile(
    rf"(?:{_SPELLED}{_SAID_MARK}){{0,3}}?{_SPELLED}{_SAID_END}(?:{_SAID_END})?", re.IGNORECASE
)
_LOCAL = re.compile(r"[^\W_]+|[._+-]")
_LONGEST_LOCAL_CHARS = 80

_IBAN = re.compile(r"\b[A-Z]{2}\s?\d{2}(?:[\s-]?[A-Z0-9]{2,4}){3,8}\b", re.IGNORECASE)
_SAID_IBAN = re.compile(r"\b([a-z])\s?([a-z])\s+(?=\S)", re.IGNORECASE)
_FEWEST_IBAN, _MOST_IBAN = 15, 34
_MIXED = re.compile(r"\b[A-Za-z0-9]{7,20}\b")
_FEWEST_MIXED_DIGITS = 3
_LONGEST_NUMBER_CHARS = 200

_BIRTH = re.compile(
    r"\b(?:born|birth\w*|d\.?\s?o\.?\s?b\b\.?|geboren|geburts\w+|geb\.)(?=\W|$)", re.IGNORECASE
)
_BETWEEN_DATES = frozenset("of the on am der den im in and und".split())
_BIRTH_REACH_CHARS = 60

_NUMBER_HINTS = {
    Kind.ADDRESS: r"zip(?: code)?|post ?code|postal code|postleitzahl|plz",
    Kind.PHONE: r"phone|telephone|mobile|cell ?phone|fax|telefon\w*|handy\w*|rufnummer|mobilnummer",
    Kind.CARD: r"credit card|debit card|card number|kreditkart\w*|kartennummer",
    Kind.IBAN: r"iban|account number|sort code|kontonummer|bankleitzahl",
    Kind.NUMBER: r"pin|passport|social security|ssn|insurance number|tax (?:id|number)|"
    r"security code|ausweis\w*|versicherungsnummer|steuer\w*nummer|geheimzahl|prüfziffer",
}
_HINTS = {
    kind: re.compile(rf"\b(?:{words})\b", re.IGNORECASE) for kind, words in _NUMBER_HINTS.items()
}
_HINT_REACH_CHARS = 40
_ADDRESS_ASKED = re.compile(r"\b(?:address|adresse|anschrift|where do you live)\b", re.IGNORECASE)
_MOST_ANSWER_WORDS = 20
_ASKS = re.compile(
    r"\?|\b(?:what|tell|give|need|please|may|could|bitte|welche|wie|nennen)\b", re.IGNORECASE
)

_STREET = (
    r"street|st|road|rd|avenue|ave|lane|ln|drive|court|boulevard|blvd|way|square|terrace|crescent|"
    r"close|highway|parkway"
)
_NO_NAME = frozenset(
    "a an the on in of at to this that these those my your our his her their is are was for from "
    "and or with by as it i you we they one no any some all more most other same such each every "
    "days hours minutes weeks people times o'clock am pm half long only right very".split()
)
_STREET_AFTER = re.compile(
    rf"\b(\d{{1,5}}[a-z]?|(?:{ENGLISH})(?:[ -](?:{ENGLISH}))?)\s+"
    rf"((?:[^\W\d_]+\s+){{1,3}}?)(?:{_STREET})\b"
    r"\.?(?:,?\s+(?:[a-z]{1,2}\d[a-z\d]?\s?\d[a-z]{2}|[a-z]{2}\s\d{5}|\d{5})\b)?",
    re.IGNORECASE,
)
_STREET_BEFORE = re.compile(
    r"\b(?:(?:am|an der|auf der|im|in der|zum|zur)\s+)?(?:[^\W\d_-]+-){0,6}"
    r"(?:[^\W\d_]{2,}(?:straße|strasse|str\.|weg|platz|allee|gasse|ring|damm|ufer|stieg)"
    r"|[^\W\d_]{3,}\s(?:straße|strasse|allee|platz|weg|gasse|ring|damm|ufer))"
    r"\s*(\d{1,4}\s?[a-h]?\b|[^\W\d_]+)"
    r"(?:,?\s*(?:in\s)?\d{5}(?:\s[^\W\d_]+)?)?",
    re.IGNORECASE,
)
_POSTCODE = re.compile(r"\b[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}\b")


def personal(text: str, *, asked: str = "") -> list[Passage]:
    """The passages of `text` that hold personal data, in order and apart.

    Args:
        asked: what the other side said last: whoever was asked for a number or a date of birth
            answers without saying what it is.
    """
    return apart([*_emails(text), *_ibans(text), *_addresses(text, asked), *_births(text, asked),
                  *_numbers(text, asked), *_mixed(text)])  # fmt: skip


def _emails(text: str) -> Iterator[Passage]:
    for found in _EMAIL.finditer(text):
        yield Passage(found.start(), found.end(), Kind.EMAIL)
    for found in _SAID_AT.finditer(text):
        domain = _SAID_DOMAIN.match(text, found.end())
        start = _local_start(text, found.start()) if domain else None
        if domain and start is not None:
            yield Passage(start, domain.end(), Kind.EMAIL)


def _local_start(text: str, end: int) -> int | None:
    """Where the name before an “at” begins; None: there is none."""
    parts = list(_LOCAL.finditer(text, max(0, end - _LONGEST_LOCAL_CHARS), end))
    at = len(parts) - 1
    if at < 0 or parts[at][0] in _MARKS:
        return None
    while at > 0:
        before = parts[at - 1][0].lower()
        if before in _MARKS and at > 1:
            at -= 2
        elif len(before) == 1 == len(parts[at][0]) and before.isalnum():
            at -= 1
        else:
            break
    return parts[at].start()


def _ibans(text: str) -> Iterator[Passage]:
    for found in _IBAN.finditer(text):
        for end in range(found.end(), found.start() + _FEWEST_IBAN - 1, -1):
            if text[end - 1].isalnum() and iban(text[found.start() : end]):
                yield Passage(found.start(), end, Kind.IBAN)
                break
    for found in _SAID_IBAN.finditer(text):
        ahead = text[found.end() : found.end() + _LONGEST_NUMBER_CHARS]
        first = _WORD.match(ahead)
        if first is None or not digits_of(first[0]):
            continue
        run = next(number_runs(ahead, hinted=Kind.IBAN), None)
        if run is not None and run.start == 0:
            said = "".join(map(digits_of, _WORD.findall(ahead[: run.end])))
            if iban("".join(found.groups()) + said):
                yield Passage(found.start(), found.end() + run.end, Kind.IBAN)


def iban(text: str) -> bool:
    """Whether `text` is an IBAN with the right check digits."""
    plain = re.sub(r"[\s-]", "", text).upper()
    if not _FEWEST_IBAN <= len(plain) <= _MOST_IBAN or not plain.isascii() or not plain.isalnum():
        return False
    turned = plain[4:] + plain[:4]
    return int("".join(str(int(each, 36)) for each in turned)) % 97 == 1


def _mixed(text: str) -> Iterator[Passage]:
    """Numbers with letters among them, as on documents."""
    for found in _MIXED.finditer(text):
        count = sum(map(str.isdecimal, found[0]))
        if _FEWEST_MIXED_DIGITS <= count < len(found[0]):
            yield Passage(found.start(), found.end(), Kind.NUMBER)


def _numbers(text: str, asked: str) -> Iterator[Passage]:
    expected = _expected(asked)
    if expected is not None:
        yield from number_runs(text, hinted=expected)
    for kind, hint in _HINTS.items():
        for found in hint.finditer(text):
            at = found.end()
            for run in number_runs(text[at : at + _LONGEST_NUMBER_CHARS], hinted=kind):
                if run.start <= _HINT_REACH_CHARS:
                    yield Passage(at + run.start, at + run.end, run.kind)
    yield from number_runs(text)


def _expected(asked: str) -> Kind | None:
    if not _ASKS.search(asked):
        return None
    return next((kind for kind, hint in _HINTS.items() if hint.search(asked)), None)


def _births(text: str, asked: str) -> Iterator[Passage]:
    if _BIRTH.search(asked) and _ASKS.search(asked):
        yield from _dates(text, 0, len(text))
    for found in _BIRTH.finditer(text):
        reach = text[found.end() : found.end() + _BIRTH_REACH_CHARS]
        yield from list(_dates(text, found.end(), found.end() + len(reach)))[:1]
        if found[0].lower() == "geboren":  # which follows the date in German
            yield from list(
                _dates(text[: found.start()], max(0, found.start() - 40), found.start())
            )


def _dates(text: str, start: int, end: int) -> Iterator[Passage]:
    """Words side by side that make a date: at least two of them, or a number of four digits."""
    run: list[re.Match[str]] = []
    for word in _WORD.finditer(text, start, end + _BIRTH_REACH_CHARS):
        plain = re.sub(r"(?<=\d)(?:st|nd|rd|th)$", "", word[0].lower())
        if is_date_word(plain) and (run or word.start() < end):
            run.append(word)
        elif plain not in _BETWEEN_DATES or not run:
            yield from _date(run)
            run = []
    yield from _date(run)


def _date(run: list[re.Match[str]]) -> Iterator[Passage]:
    if len(run) > 1 or (run and len(run[0][0]) >= 4):
        yield Passage(run[0].start(), run[-1].end(), Kind.BIRTH)


def _addresses(text: str, asked: str) -> Iterator[Passage]:
    said = _WORD.findall(text)
    wanted = _ADDRESS_ASKED.search(asked) and _ASKS.search(asked)
    if wanted and len(said) <= _MOST_ANSWER_WORDS and any(map(digits_of, said)):
        yield Passage(0, len(text), Kind.ADDRESS)
        return
    for found in _STREET_AFTER.finditer(text):
        names = found[2]
        if not _NO_NAME.intersection(names.lower().split()):
            yield Passage(found.start(), found.end(), Kind.ADDRESS)
    for found in _STREET_BEFORE.finditer(text):
        if found[1][0].isdigit() or digits_of(found[1]):
            yield Passage(found.start(), found.end(), Kind.ADDRESS)
    for found in _POSTCODE.finditer(text):
        yield Passage(found.start(), found.end(), Kind.ADDRESS)
