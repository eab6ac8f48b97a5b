"""Days, times and names in what somebody said."""

import re

from calls.providers.embedded.words import Words, has

OPENS_HOUR = 9
CLOSES_HOUR = 17
WEEKEND = ("Saturday", "Sunday")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", *WEEKEND)

_DAY_SIGNS = {
    "the day after tomorrow": ("day after tomorrow",),
    "tomorrow": ("tomorrow", "to morrow"),
    "today": ("today", "this morning", "this afternoon"),
    "Tuesday": ("to stay", "choose day", "two days", "tues"),
    "Wednesday": ("when's day", "wins day"),
    "Thursday": ("thirsty", "thurs"),
    "Friday": ("fry day", "fried day"),
    "Monday": ("mundane",),
}
"""Besides the names of days themselves: other ways to say them, and how they are misheard."""

_NUMBERS = (
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve",
)  # fmt: skip
_MINUTES = {"fifteen": 15, "twenty": 20, "thirty": 30, "forty": 40, "forty five": 45, "fifty": 50}
_HOUR = rf"(?P<hour>{'|'.join(_NUMBERS)}|\d\d?)"
_MINUTE = rf"(?P<minute>{'|'.join(sorted(_MINUTES, key=len, reverse=True))}|\d\d)"
_TIMES = tuple(
    re.compile(rf"\b{pattern}\b")
    for pattern in (
        rf"(?P<half>half) past {_HOUR}",
        rf"(?P<past>quarter) past {_HOUR}",
        rf"(?P<to>quarter) to {_HOUR}",
        rf"{_HOUR}:{_MINUTE}",
        rf"{_HOUR} {_MINUTE}",
        rf"{_HOUR} (?:o'clock|p m|pm|a m|am|in the|sharp)",
        rf"(?:at|around|about|by|make it|rather) {_HOUR}",
    )
)
_BARE_HOUR = re.compile(rf"\b{_HOUR}\b")
_PARTS = {"noon": "12:00", "midday": "12:00", "morning": "10:00", "afternoon": "14:00"}

_NAME_IS = re.compile(r"\bname(?: is|'s| was)\s+(.+)", re.IGNORECASE)
_I_AM = re.compile(r"\b(?:i am|i'm|this is|it is|it's|call me|for)\s+(.+)", re.IGNORECASE)
_NAME_ENDS = re.compile(r"\s*(?:[.,!?;]|\b(?:and|on|at|please|thank|thanks|i)\b).*", re.IGNORECASE)
_NOT_IN_NAMES = frozenset({
    "a", "an", "are", "calling", "can", "could", "do", "does", "have", "here", "how", "is",
    "it", "looking", "me", "my", "no", "not", "right", "sorry", "that", "the", "this", "today",
    "tomorrow", "what", "when", "where", "who", "why", "will", "would", "wrong", "yes", "you",
})  # fmt: skip
_LONGEST_NAME_WORDS = 4


def day_in(words: Words) -> str:
    """The day that is spoken of, as it is told back; empty if there is none."""
    if has(words, _DAY_SIGNS["the day after tomorrow"]):
        return "the day after tomorrow"
    named = [day for day in DAYS if has(words, (day,))]
    other = [day for day, signs in _DAY_SIGNS.items() if has(words, signs)]
    return (*named, *other, "")[0]


def time_in(words: Words, *, asked: bool) -> str:
    """The time of day that is spoken of, as HH:MM; empty if there is none.

    Hours before seven are in the afternoon. A bare number counts only if a time was asked for.
    """
    text = " ".join(words)
    for pattern in (*_TIMES, *((_BARE_HOUR,) if asked else ())):
        if found := pattern.search(text):
            return _time(found.groupdict(), "p m" in text or "pm" in words)
    return next((time for part, time in _PARTS.items() if part in words), "")


def _time(found: dict[str, str | None], afternoon: bool) -> str:
    hour = _number(found["hour"] or "")
    minute = _MINUTES.get(found.get("minute") or "", -1)
    if minute < 0:
        minute = int(found.get("minute") or 0)
    if found.get("half"):
        minute = 30
    elif found.get("past"):
        minute = 15
    elif found.get("to"):
        hour, minute = hour - 1, 45
    if hour < 7 or (afternoon and hour < 12):
        hour += 12
    return f"{hour:02}:{minute:02}" if hour < 24 and minute < 60 else ""


def _number(word: str) -> int:
    return int(word) if word.isdigit() else _NUMBERS.index(word) + 1


def bookable(time: str) -> bool:
    return f"{OPENS_HOUR:02}:00" <= time < f"{CLOSES_HOUR:02}:00"


def spoken_time(time: str) -> str:
    """HH:MM as people say it: 3 PM, 10:30 AM."""
    hour, _, minute = time.partition(":")
    number = int(hour)
    shown = (number - 1) % 12 + 1
    half = "AM" if number < 12 else "PM"
    return f"{shown} {half}" if minute == "00" else f"{shown}:{minute} {half}"


def name_in(text: str, *, asked: bool) -> str:
    """The name that somebody gives; empty if there is none.

    Bare words count only if a name was asked for.
    """
    text = " ".join(text.split())  # a pattern would go over much white space again and again
    found = _NAME_IS.search(text) or (_I_AM.search(text) if asked else None)
    if not found and not asked:
        return ""
    given = _NAME_ENDS.sub("", found.group(1) if found else text, count=1)
    words = given.split()
    if not words or len(words) > _LONGEST_NAME_WORDS:
        return ""
    if any(word.lower() in _NOT_IN_NAMES or not _is_name(word) for word in words):
        return ""
    return " ".join(word if not word.islower() else word.title() for word in words)


def _is_name(word: str) -> bool:
    return word.replace("'", "").replace("-", "").isalpha()
