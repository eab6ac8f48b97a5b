"""The caller's keys: digits become a number, and the number a turn."""

from calls.domain import effects as do
from calls.domain import events as ev
from calls.domain import floor, timers, turns
from calls.domain.draft import Draft
from calls.domain.items import Source

KEYS = frozenset("0123456789*#ABCD")

MOST_DIGITS = 64
"""Longer than any number that people dial."""


def on_digit(draft: Draft, event: ev.DigitPressed) -> None:
    """The first key cuts in as typed words do; `#` ends a number, or is one alone."""
    state = draft.state
    if state.link not in floor.LIVE or event.digit not in KEYS:
        return
    if event.digit == "#" and state.digits:
        finish(draft)
        return
    if not state.digits:
        turns.cut_in(draft)
    if len(state.digits) < MOST_DIGITS:
        draft.set(digits=state.digits + event.digit, idle_prompts=0)
        draft.do(do.StartTimer(timers.DIGITS, draft.at_ms + timers.DIGITS_WAIT_MS))
    if event.digit == "#":
        finish(draft)


def finish(draft: Draft) -> None:
    """The number is complete: it is what the caller says."""
    digits = draft.state.digits
    if not digits:
        return
    draft.set(digits="")
    draft.do(do.CancelTimer(timers.DIGITS))
    turns.take_text(draft, digits, Source.KEYPAD)
