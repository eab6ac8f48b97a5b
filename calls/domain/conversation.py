"""The conversation inside the call: adding and changing items, and what the model is shown."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any
from unicodedata import east_asian_width

from calls.domain.draft import Draft
from calls.domain.effects import StoreItem
from calls.domain.errors import ErrorCode
from calls.domain.items import Item, ItemStatus, Mark, Role
from calls.domain.state import CallState, Response, Segment

CHAR_MS = 65
"""How long a letter takes to say, roughly: for a piece whose sound is still being made."""


def add_item(draft: Draft, role: Role, text: str, *, turn: int, **fields: Any) -> Item:
    """Append an item, and have it stored."""
    fields.setdefault("started_ms", draft.at_ms)
    item = Item(item_id=len(draft.state.items) + 1, role=role, text=text, turn=turn, **fields)
    draft.set(items=(*draft.state.items, item), unstored=draft.state.unstored | {item.item_id})
    draft.do(StoreItem(item))
    return item


def change_item(draft: Draft, item_id: int, **changes: Any) -> Item:
    """Replace fields of an item, and have it stored again; what was taken back stays so."""
    items = draft.state.items
    old = items[item_id - 1]
    if old.status is ItemStatus.CANCELLED:
        changes.pop("status", None)
    item = replace(old, revision=old.revision + 1, **changes)
    items = (*items[: item_id - 1], item, *items[item_id:])
    draft.set(items=items, unstored=draft.state.unstored | {item_id})
    draft.do(StoreItem(item))
    return item


def context(state: CallState) -> tuple[Item, ...]:
    """The conversation as the model knows it: nothing taken back, nothing that was never heard."""
    own = state.items[state.context_from :]
    return (*state.preamble, *(item for item in own if _shown(item)))


def context_of(state: CallState, now: Response) -> tuple[Item, ...]:
    """What the model is shown to go on with this answer.

    What the answer said before it went to its tools stands before them, as an item without an id.
    """
    items = context(state)
    if not now.text or now.removed:
        return items
    begun = Item(
        item_id=0,
        role=Role.AGENT,
        text=now.text,
        turn=now.turn,
        status=ItemStatus.IN_PROGRESS,
        source=now.source,
        response_id=now.response_id,
    )
    of_it = (i for i, item in enumerate(items) if item.response_id == now.response_id)
    place = next(of_it, len(items))
    return (*items[:place], begun, *items[place:])


def last_user_item(state: CallState) -> Item | None:
    """The latest words of the caller in the conversation that the model sees."""
    own = state.items[state.context_from :]
    return next((item for item in reversed(own) if item.role is Role.USER), None)


def split_heard(response: Response, heard_ms: int) -> tuple[str, str]:
    """What of the response's words was heard after `heard_ms` of its sound, and the rest.

    Whole pieces are exact. Within a piece the word marks decide where there are any, else the
    share of its sound, rounded down to a whole word. Pieces without sound (there is no voice, or
    nothing in them to say) go with what lies before them; not so after the voice has failed.
    The two parts join to the whole text.
    """
    text = response.text
    heard = chars = 0
    for segment, length_ms in _placed(response):
        into_ms = heard_ms - segment.start_ms
        if into_ms < length_ms:
            heard = chars + _heard_chars(segment, into_ms, length_ms)
            break
        chars += len(segment.text)
        if length_ms or response.error != ErrorCode.TTS_FAILED:
            heard = chars
    return text[:heard], text[heard:]


def split_recorded(item: Item, heard_ms: int) -> tuple[str, str]:
    """What of a recorded answer was heard after `heard_ms` of its sound, and the rest.

    By the marks, and between two of them by the share of time, rounded down to a whole word.
    """
    text = item.text + item.unheard
    ahead = [mark for mark in item.marks if mark.at_ms > heard_ms]
    if not ahead:
        return text, ""
    passed = [Mark(0, 0), *(mark for mark in item.marks if mark.at_ms <= heard_ms)]
    since = max(passed, key=lambda mark: (mark.end_char, mark.at_ms))
    until = min(ahead, key=lambda mark: (mark.at_ms, mark.end_char))
    share = (heard_ms - since.at_ms) / (until.at_ms - since.at_ms)
    reached = since.end_char + int(max(0, until.end_char - since.end_char) * share)
    first, heard = (min(max(0, chars), len(text)) for chars in (since.end_char, reached))
    while first < heard < len(text) and not is_word_end(text, heard):
        heard -= 1
    return text[:heard], text[heard:]


def left_to_say(cut: Response) -> str | None:
    """What an interrupted response has still to say; None: only the model knows."""
    unheard = split_heard(cut, cut.played_ms)[1]
    if cut.whole:
        return unheard
    return None if cut.script is None else unheard + _after(cut.script, cut.text)


def marks_of(response: Response) -> tuple[Mark, ...]:
    """Where words lie within the whole response: characters and milliseconds of its sound."""
    marks: list[Mark] = []
    chars = 0
    for segment, length_ms in _placed(response):
        marks += [Mark(chars + m.end_char, segment.start_ms + m.at_ms) for m in segment.marks]
        chars += len(segment.text)
        if not segment.marks:
            marks.append(Mark(chars, segment.start_ms + length_ms))
    return tuple(marks)


def _placed(response: Response) -> Iterator[tuple[Segment, int]]:
    """The pieces, and how long each takes to say; the latest may still be growing."""
    segments = response.segments
    for segment, after in pairwise(segments):
        yield segment, after.start_ms - segment.start_ms
    for last in segments[-1:]:
        made_ms = response.audio_ms - last.start_ms
        complete = response.complete == len(segments)
        yield last, made_ms if complete else max(made_ms + 1, len(last.text) * CHAR_MS)


def _heard_chars(segment: Segment, into_ms: int, length_ms: int) -> int:
    if into_ms <= 0:
        return 0
    text = segment.text
    if segment.marks:
        reached = max((m.end_char for m in segment.marks if m.at_ms <= into_ms), default=0)
        return min(max(0, reached), len(text))
    chars = len(text) * into_ms // length_ms
    while chars and not is_word_end(text, chars):
        chars -= 1
    return chars


def is_word_end(text: str, chars: int) -> bool:
    """Whether `text` may be parted there: before a space, or after a sign of a spaceless script."""
    return text[chars].isspace() or east_asian_width(text[chars - 1]) in "WF"


def _after(script: str, said: str) -> str:
    """The rest of `script` after `said`, whatever became of its spaces; empty if they differ."""
    at = 0
    for char in "".join(said.split()):
        while script[at : at + 1].isspace():
            at += 1
        if script[at : at + 1] != char:
            return ""
        at += 1
    return script[at:]


def _shown(item: Item) -> bool:
    if item.status is ItemStatus.CANCELLED:
        return False
    return item.role is not Role.AGENT or bool(item.text)
