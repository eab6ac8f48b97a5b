"""The scripted agent's side of a conversation, as a pure function of what was said.

Where a conversation stands is found by going through it. So it survives whatever happens to the
call: a resume, a reset, an interruption.
"""

import json
from collections.abc import Sequence
from dataclasses import replace

from calls.domain.items import Item, ItemStatus, Role
from calls.providers.embedded import booking
from calls.providers.embedded.state import Asked, Reply, State, Step
from calls.providers.embedded.topics import (
    APPOINTMENT,
    BOOK,
    CHANGING,
    GOODBYE,
    HOURS,
    NO,
    OFFERS,
    PRACTICE,
    REPEAT,
    THANKS,
    YES,
    Topic,
    topic_of,
)
from calls.providers.embedded.when import DAYS, day_in, spoken_time, time_in
from calls.providers.embedded.words import has, words_of

GREETING = (
    f"Hello, this is {PRACTICE}, a scripted demo.",
    "Ask me about opening hours or prices, or say: book an appointment.",
)
FAREWELL = ("Thank you for calling.", "Goodbye!")
LISTENING = ("Good.", "What can I do for you?")
LOST = ("You can ask about opening hours, prices or parking.", "Or say: book an appointment.")
LOST_AGAIN = (
    "I am sorry, I still do not understand.",
    "Please say it in a few words, or type it. For example: book an appointment.",
)
HOURS_TOOL = "opening_hours"
LONGEST_QUOTE_CHARS = 60

LOOKS_BACK_ITEMS = 60
"""More than any booking takes; the time that an answer takes must not grow with the call."""


def reply_to(items: Sequence[Item], tools: frozenset[str]) -> Reply:
    """What the agent says and does next.

    Args:
        items: the conversation, oldest first.
        tools: the names of the tools that may be used.
    """
    state, reply = State(said=GREETING), Reply(GREETING)
    for item in items[-LOOKS_BACK_ITEMS:]:
        if item.role is Role.USER:
            state, reply = _hear(state, item.text, tools)
        elif item.role is Role.TOOL and item.status is not ItemStatus.IN_PROGRESS:
            state, reply = _learn(state, item)
        if reply.sentences:
            state = replace(state, said=reply.sentences)
    return reply


def _hear(state: State, text: str, tools: frozenset[str]) -> Step:
    words = words_of(text)
    if has(words, REPEAT):
        return state, Reply(state.said)
    if has(words, GOODBYE):
        return replace(state, asked=Asked.NOTHING), Reply(FAREWELL, ends=True)
    found = booking.take(state, text, tools) if state.asked in booking.OPEN else None
    return found or _chat(state, text, tools)


def _chat(state: State, text: str, tools: frozenset[str]) -> Step:
    """Everything but the answers to the questions of a booking."""
    words = words_of(text)
    topic = topic_of(words)
    if _asks_to_book(state, text, topic):
        return booking.begin(replace(state, misses=0), text, tools)
    if _declines(state, text, topic):
        return replace(state, asked=Asked.NOTHING), Reply(FAREWELL, ends=True)
    if topic is not None:
        return _answer(replace(state, misses=0), topic, day_in(words), tools)
    if state.asked is Asked.MORE and has(words, YES):
        return replace(state, asked=Asked.NOTHING, misses=0), Reply(LISTENING)
    return _lost(state, text)


def _asks_to_book(state: State, text: str, topic: Topic | None) -> bool:
    if state.asked in booking.OPEN or (topic is not None and topic.name == CHANGING):
        return False
    words = words_of(text)
    if topic is None and state.asked is Asked.OFFER and has(words, YES) and not has(words, NO):
        return True
    if has(words, BOOK):
        return True
    when = day_in(words) and time_in(words, asked=False)
    return topic is None and bool(when or has(words, APPOINTMENT))


def _declines(state: State, text: str, topic: Topic | None) -> bool:
    """Whether this is a no to the question whether there is anything else."""
    talks_on = topic is not None and topic.name != THANKS
    return state.asked is Asked.MORE and not talks_on and has(words_of(text), NO)


def _answer(state: State, topic: Topic, day: str, tools: frozenset[str]) -> Step:
    if topic.name == HOURS and day in DAYS and HOURS_TOOL in tools:
        return state, Reply(tool=HOURS_TOOL, arguments={"day": day})
    if state.asked in booking.OPEN:
        return state, Reply((*topic.answer, booking.question(state)))
    asked = Asked.OFFER if topic.name in OFFERS else Asked.NOTHING
    asked = Asked.MORE if topic.name == THANKS else asked
    return replace(state, asked=asked), Reply(topic.answer)


def _lost(state: State, text: str) -> Step:
    """Say what was not understood, and what would be."""
    state = replace(state, misses=state.misses + 1)
    if state.misses > 1:
        advice: tuple[str, ...] = LOST_AGAIN
    else:
        heard = " ".join(text.split())[:LONGEST_QUOTE_CHARS].rstrip(" .,!?")
        advice = (f"I heard: {heard}.", "I do not know what to say to that.", *LOST)
    if state.asked in booking.OPEN:
        advice = (*advice[:2], booking.question(state))
    return state, Reply(advice)


def _learn(state: State, item: Item) -> Step:
    """Tell what came of a tool call."""
    failed = item.status is not ItemStatus.COMPLETE
    if item.tool_name == booking.TOOL:
        return booking.told(state, _fields(item), failed=failed)
    if item.tool_name == HOURS_TOOL and not failed:
        return state, Reply(_hours(state, _fields(item)))
    return state, Reply(("I am sorry, that did not work.",))


def _hours(state: State, result: dict[str, str]) -> tuple[str, ...]:
    day = result.get("day", "then")
    if "opens" not in result:
        said = f"We are closed {_on(day)}."
    else:
        opens, closes = spoken_time(result["opens"]), spoken_time(result["closes"])
        said = f"We are open {_on(day)} from {opens} to {closes}."
    return (said, booking.question(state)) if state.asked in booking.OPEN else (said,)


def _on(day: str) -> str:
    return f"on {day}" if day[:1].isupper() else day


def _fields(item: Item) -> dict[str, str]:
    try:
        fields = json.loads(item.text)
    except ValueError:
        return {}
    return {str(k): str(v) for k, v in fields.items()} if isinstance(fields, dict) else {}
