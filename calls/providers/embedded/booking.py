"""How the scripted agent books an appointment: asks for what is missing, confirms, calls a tool."""

from collections.abc import Mapping
from dataclasses import replace

from calls.providers.embedded.state import Asked, Reply, State, Step
from calls.providers.embedded.topics import NO, STOP, YES, topic_of
from calls.providers.embedded.when import WEEKEND, bookable, day_in, name_in, spoken_time, time_in
from calls.providers.embedded.words import has, words_of

TOOL = "book_appointment"

OPEN = frozenset({Asked.DAY, Asked.TIME, Asked.NAME, Asked.CONFIRM, Asked.CHANGE})
"""A booking is under way while one of these is asked."""

_QUESTIONS = {
    Asked.DAY: "What day would suit you?",
    Asked.TIME: "What time would suit you?",
    Asked.NAME: "What is your name, please?",
    Asked.CHANGE: "What shall I change: the day, the time or the name?",
}
_SLOTS = {Asked.DAY: "day", Asked.TIME: "time", Asked.NAME: "name"}
_MORE = "Is there anything else?"


def begin(state: State, text: str, tools: frozenset[str]) -> Step:
    """The caller wants an appointment, and has perhaps said when."""
    if TOOL not in tools:
        return state, Reply(("I am sorry, I cannot book appointments in this call.",))
    filled, refusal = _fill(replace(state, day="", time="", name="", asked=Asked.NOTHING), text)
    return _go_on(filled, *refusal)


def take(state: State, text: str, tools: frozenset[str]) -> Step | None:
    """What the caller said while a booking is under way; None if it is about something else."""
    words = words_of(text)
    if has(words, STOP):
        dropped = replace(state, asked=Asked.NOTHING, day="", time="", name="", misses=0)
        return dropped, Reply(("All right, I have booked nothing.", "What else can I do?"))
    filled, refusal = _fill(state, text)
    if refusal or filled != state:
        return _go_on(replace(filled, misses=0), *refusal)
    if state.asked is Asked.CONFIRM:
        return _confirm(state, text, tools)
    if state.asked is Asked.CHANGE:
        return _change(state, text)
    return None


def question(state: State) -> str:
    """What is still open."""
    if state.asked is Asked.CONFIRM:
        when = f"{state.day} at {spoken_time(state.time)}"
        return f"So that is {when}, for {state.name}. Is that right?"
    return _QUESTIONS[state.asked]


def told(state: State, result: Mapping[str, str], *, failed: bool) -> Step:
    """The tool has booked, or has not."""
    if failed:
        sorry = "I am sorry, the booking did not work."
        return replace(state, asked=Asked.CONFIRM), Reply((sorry, "Shall I try again?"))
    done = replace(state, asked=Asked.MORE, day="", time="", name="")
    number = " ".join(result.get("confirmation", ""))
    booked = "It is booked."
    return done, Reply((booked, f"Your number is {number}.", _MORE) if number else (booked, _MORE))


def _go_on(state: State, *first: str) -> Step:
    """Ask for what is missing, or whether all is right."""
    missing = (asked for asked, slot in _SLOTS.items() if not getattr(state, slot))
    state = replace(state, asked=next(missing, Asked.CONFIRM))
    return state, Reply((*first, question(state)))


def _fill(state: State, text: str) -> tuple[State, tuple[str, ...]]:
    """Take what can be found in the text; and say what of it cannot be."""
    words = words_of(text)
    day = day_in(words)
    time = time_in(words, asked=state.asked is Asked.TIME)
    asked_name = state.asked is Asked.NAME and not day and not time and topic_of(words) is None
    name = name_in(text, asked=asked_name)
    refusal: tuple[str, ...] = ()
    if day in WEEKEND:
        day, refusal = "", (f"We are closed on {day}.",)
    if time and not bookable(time):
        time, refusal = "", (*refusal, "We are open from nine to five.")
    filled = replace(state, day=day or state.day, time=time or state.time, name=name or state.name)
    return filled, refusal


def _confirm(state: State, text: str, tools: frozenset[str]) -> Step | None:
    words = words_of(text)
    if has(words, NO):
        return _change(state, text)
    if not has(words, YES):
        return None
    if TOOL not in tools:
        return state, Reply(("I am sorry, I cannot book appointments in this call.",))
    arguments = {"day": state.day, "time": state.time, "name": state.name}
    return replace(state, misses=0), Reply(tool=TOOL, arguments=arguments)


def _change(state: State, text: str) -> Step:
    """Something is wrong with it: ask for that anew."""
    words = words_of(text)
    for asked, slot in _SLOTS.items():
        if has(words, (slot,)):
            state = replace(_without(state, slot), asked=asked, misses=0)
            return state, Reply((question(state),))
    if state.asked is Asked.CHANGE and has(words, NO):
        return _go_on(state)
    state = replace(state, asked=Asked.CHANGE, misses=0)
    return state, Reply((question(state),))


def _without(state: State, slot: str) -> State:
    match slot:
        case "day":
            return replace(state, day="")
        case "time":
            return replace(state, time="")
        case _:
            return replace(state, name="")
