"""The conversation inside the call: adding and changing items, and what the model is shown."""

from dataclasses import replace
from typing import Any

from calls.domain.draft import Draft
from calls.domain.effects import StoreItem
from calls.domain.items import Item, ItemStatus, Mark, Role
from calls.domain.state import CallState, Response, Segment


def add_item(draft: Draft, role: Role, text: str, **fields: Any) -> Item:
    """Append an item, and have it stored."""
    fields.setdefault("turn", draft.state.turn)
    fields.setdefault("started_ms", draft.at_ms)
    item = Item(item_id=len(draft.state.items) + 1, role=role, text=text, **fields)
    draft.set(items=(*draft.state.items, item), unstored=draft.state.unstored | {item.item_id})
    draft.do(StoreItem(item))
    return item


def change_item(draft: Draft, item_id: int, **changes: Any) -> Item:
    """Replace fields of an item, and have it stored again."""
    items = draft.state.items
    old = items[item_id - 1]
    item = replace(old, revision=old.revision + 1, **changes)
    items = (*items[: item_id - 1], item, *items[item_id:])
    draft.set(items=items, unstored=draft.state.unstored | {item_id})
    draft.do(StoreItem(item))
    return item


def context(state: CallState) -> tuple[Item, ...]:
    """What the model is shown: nothing taken back, nothing that was never heard."""
    own = state.items[state.context_from :]
    return (*state.preamble, *(item for item in own if _shown(item)))


def last_user_item(state: CallState) -> Item | None:
    for item in reversed(state.items):
        if item.role is Role.USER and item.status is not ItemStatus.CANCELLED:
            return item
    return None


def split_heard(response: Response, heard_ms: int) -> tuple[str, str]:
    """What of the response's words was heard after `heard_ms` of its sound, and the rest.

    Whole pieces are exact. Within a piece the word marks decide where there are any, else the
    share of its sound, rounded down to a whole word. The two parts join to the whole text.
    """
    heard = 0
    for segment, end_ms in zip(response.segments, _ends(response), strict=True):
        if heard_ms >= end_ms:
            heard += len(segment.text)
            continue
        heard += _heard_chars(segment, heard_ms - segment.start_ms, end_ms - segment.start_ms)
        break
    text = response.text
    return text[:heard], text[heard:]


def marks_of(response: Response) -> tuple[Mark, ...]:
    """Where words lie within the whole response: characters and milliseconds of its sound."""
    marks: list[Mark] = []
    chars = 0
    for segment, end_ms in zip(response.segments, _ends(response), strict=True):
        marks += [Mark(chars + m.end_char, segment.start_ms + m.at_ms) for m in segment.marks]
        chars += len(segment.text)
        if not segment.marks:
            marks.append(Mark(chars, end_ms))
    return tuple(marks)


def _ends(response: Response) -> tuple[int, ...]:
    starts = tuple(segment.start_ms for segment in response.segments)
    return (*starts[1:], response.audio_ms) if starts else ()


def _heard_chars(segment: Segment, into_ms: int, length_ms: int) -> int:
    if into_ms <= 0:
        return 0
    if segment.marks:
        return max((m.end_char for m in segment.marks if m.at_ms <= into_ms), default=0)
    share = segment.text[: len(segment.text) * into_ms // length_ms]
    return len(share.rpartition(" ")[0])


def _shown(item: Item) -> bool:
    if item.status is ItemStatus.CANCELLED:
        return False
    return item.role is not Role.AGENT or bool(item.text)
