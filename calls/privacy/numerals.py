"""Numbers as people say and write them, in English and German, one digit string a word."""

import re

_UNITS = {
    "zero": "0", "oh": "0", "o": "0", "nought": "0", "one": "1", "two": "2", "three": "3",
    "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9",
    "null": "0", "eins": "1", "ein": "1", "eine": "1", "zwei": "2", "zwo": "2", "drei": "3",
    "vier": "4", "fünf": "5", "fuenf": "5", "sechs": "6", "sieben": "7", "acht": "8",
    "neun": "9",
}  # fmt: skip
_TEENS = {
    "ten": "10", "eleven": "11", "twelve": "12", "thirteen": "13", "fourteen": "14",
    "fifteen": "15", "sixteen": "16", "seventeen": "17", "eighteen": "18", "nineteen": "19",
    "zehn": "10", "elf": "11", "zwölf": "12", "zwoelf": "12", "dreizehn": "13", "vierzehn": "14",
    "fünfzehn": "15", "sechzehn": "16", "siebzehn": "17", "achtzehn": "18", "neunzehn": "19",
}  # fmt: skip
TENS = {
    "twenty": "2", "thirty": "3", "forty": "4", "fourty": "4", "fifty": "5", "sixty": "6",
    "seventy": "7", "eighty": "8", "ninety": "9",
}  # fmt: skip
_GERMAN_TENS = {
    "zwanzig": "2", "dreißig": "3", "dreissig": "3", "vierzig": "4", "fünfzig": "5",
    "sechzig": "6", "siebzig": "7", "achtzig": "8", "neunzig": "9",
}  # fmt: skip
TIMES = {"double": 2, "triple": 3, "treble": 3, "doppel": 2, "dreimal": 3, "zweimal": 2}
ENGLISH = "|".join([*(word for word in _UNITS if len(word) > 2), *_TEENS, *TENS])
"""All words for numbers that stand before a street's name, for a pattern."""

SCALES = frozenset(
    "hundred thousand million billion hundert tausend million millionen milliarde".split()
)
_GERMAN_COMPOUND = re.compile(rf"({'|'.join(_UNITS)})und({'|'.join(_GERMAN_TENS)})", re.IGNORECASE)
_GERMAN_YEAR = re.compile(r"(neunzehn|zwei)(hundert|tausend)\w*", re.IGNORECASE)

_ORDINALS = frozenset(
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth "
    "fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth thirtieth "
    "erste zweite dritte vierte fünfte sechste siebte achte neunte zehnte elfte zwölfte "
    "dreizehnte vierzehnte fünfzehnte sechzehnte siebzehnte achtzehnte neunzehnte zwanzigste "
    "dreißigste".split()
)
_GERMAN_ORDINAL_ENDS = ("r", "n", "s")
MONTHS = frozenset(
    "january february march april may june july august september october november december jan "
    "feb mar apr jun jul aug sep sept oct nov dec januar februar märz mai juni juli oktober "
    "dezember".split()
)


def digits_of(word: str) -> str:
    """The digits that a written or spoken word stands for; empty: it is no number."""
    word = word.lower()
    if word.isdecimal():
        return "".join(str(int(each)) for each in word)
    if found := _UNITS.get(word) or _TEENS.get(word):
        return found
    if found := TENS.get(word) or _GERMAN_TENS.get(word):
        return f"{found}0"
    if compound := _GERMAN_COMPOUND.fullmatch(word):
        unit, tens = compound.groups()
        return _GERMAN_TENS[tens.lower()] + _UNITS[unit.lower()]
    return ""


def is_unit(word: str) -> bool:
    return word.lower() in _UNITS and word.lower() not in ("o", "oh")


def is_date_word(word: str) -> bool:
    """Whether a word can be part of a date: a number, an ordinal, a month."""
    word = word.lower()
    stem = word.removesuffix(word[-1]) if word.endswith(_GERMAN_ORDINAL_ENDS) else word
    return (
        bool(digits_of(word))
        or word in MONTHS
        or word in _ORDINALS
        or stem in _ORDINALS
        or word in SCALES
        or bool(_GERMAN_YEAR.fullmatch(word))
    )
