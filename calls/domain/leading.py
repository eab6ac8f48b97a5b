"""A client that leads the conversation: asks for answers, puts entries in, takes them out."""

from dataclasses import replace

from calls.domain import effects as do
from calls.domain import events as ev
from calls.domain import floor, playback, responses
from calls.domain.conversation import add_item, change_item, split_recorded
from calls.domain.draft import Draft
from calls.domain.items import Item, ItemStatus, Role, Source
from calls.domain.state import Caller, CallState

# Answers


def on_answer_asked(draft: Draft, event: ev.AnswerAsked) -> None:
    """Begun once the floor is free (`floor.pass_on`); what is only still being heard makes room."""
    state, now = draft.state, draft.state.response
    if not _is_led(state):
        return
    if now is not None:
        if not now.whole or now.end_reason is not None:
            return
        playback.count_as_heard(draft)
    draft.set(asked=event.wishes)


def on_answer_cancelled(draft: Draft, event: ev.AnswerCancelled) -> None:
    state = draft.state
    if not _is_led(state):
        return
    if event.response_id is None:
        draft.set(asked=None)
    else:
        latest = state.response or state.cut or state.broken_off
        if latest is None or latest.response_id != event.response_id:
            return
    playback.dismiss(draft)


# Entries


def on_entry_given(draft: Draft, event: ev.EntryGiven) -> None:
    """Words of the caller begin a turn once the latest one has its answer."""
    state = draft.state
    if state.link not in floor.LIVE or event.role is Role.TOOL:
        return
    if event.role is Role.USER:
        _count_as_turn(draft)
    open_ = event.role is Role.USER and state.caller is not Caller.SILENT
    add_item(
        draft,
        event.role,
        event.text,
        turn=draft.state.turn + open_,
        source=Source.CLIENT,
        ended_ms=draft.at_ms,
        ref=event.ref,
    )
    if event.role is Role.AGENT and not state.awaiting:
        draft.set(turn_answered=True)


def _count_as_turn(draft: Draft) -> None:
    state = draft.state
    draft.set(idle_prompts=0, misses=0)
    under_way = state.caller is not Caller.SILENT or state.awaiting
    if not under_way and (state.turn_answered or not state.turn):
        responses.begin_turn(draft)


def on_entry_removed(draft: Draft, event: ev.EntryRemoved) -> None:
    state = draft.state
    if state.link not in floor.LIVE:
        return
    _remove_what_is_under_way(draft, event)
    named = (i for i in reversed(state.items) if _is_named(i, event))
    item = next((i for i in named if i.status is not ItemStatus.CANCELLED), None)
    if item is None:
        return
    change_item(draft, item.item_id, status=ItemStatus.CANCELLED)
    if item.role is Role.USER and not _somebody_waits(draft.state):
        draft.set(unanswered=False)


def _remove_what_is_under_way(draft: Draft, event: ev.EntryRemoved) -> None:
    """What has no entry yet gets one that is cancelled from the start."""
    state = draft.state
    changes = {
        name: replace(answer, removed=True)
        for name in ("response", "cut")
        if (answer := getattr(state, name)) and answer.response_id == event.response_id
    }
    awaiting = tuple(
        replace(awaited, removed=True) if awaited.turn == event.turn else awaited
        for awaited in state.awaiting
    )
    draft.set(awaiting=awaiting, **changes)
    if state.broken_off is not None and state.broken_off.response_id == event.response_id:
        draft.set(broken_off=None, unanswered=False)


def _is_named(item: Item, event: ev.EntryRemoved) -> bool:
    match item.role:
        case Role.USER if item.source is Source.VOICE:
            return item.turn == event.turn
        case Role.AGENT if item.response_id is not None:
            return item.response_id == event.response_id
        case Role.TOOL:
            return bool(event.tool_call_id) and item.tool_call_id == event.tool_call_id
        case _:
            return bool(event.ref) and item.ref == event.ref


def _somebody_waits(state: CallState) -> bool:
    """Whether words of the caller stand unanswered at the end of the conversation."""
    for item in reversed(state.items[state.context_from :]):
        if item.role is Role.AGENT:
            return False
        asked = item.role is Role.USER and item.source is not Source.CLIENT
        if asked and item.status is not ItemStatus.CANCELLED:
            return True
    return False


# What was heard


def on_heard_told(draft: Draft, event: ev.HeardTold) -> None:
    state = draft.state
    if state.link not in floor.LIVE:
        return
    if playback.current(draft, event.response_id) is not None:
        if state.end_reason is None:
            playback.interrupt(draft)
            playback.cut_at(draft, event.response_id, event.heard_ms)
    elif state.cut is not None and state.cut.response_id == event.response_id:
        playback.cut_at(draft, event.response_id, event.heard_ms)
    else:
        _part_anew(draft, event.response_id, max(0, event.heard_ms))


def _part_anew(draft: Draft, response_id: int, heard_ms: int) -> None:
    """Correct the record of an answer; what a voice failed was not heard whatever is said."""
    of_it = (i for i in draft.state.items if i.response_id == response_id)
    item = next((i for i in of_it if i.role is Role.AGENT), None)
    if item is None or item.ended_ms is None:
        return
    text, unheard = split_recorded(item, heard_ms)
    failed = item.status is ItemStatus.FAILED and len(text) >= len(item.text)
    if failed or text == item.text:
        return
    status = ItemStatus.INTERRUPTED if unheard.strip() else item.status
    before_ms = item.ended_ms - item.started_ms
    heard_ms = min(heard_ms, max([before_ms, *(mark.at_ms for mark in item.marks)]))
    ended_ms = item.started_ms + heard_ms
    change_item(draft, item.item_id, text=text, unheard=unheard, status=status, ended_ms=ended_ms)
    settled_ms = draft.state.corrected.get(response_id, before_ms)
    if heard_ms < settled_ms:
        draft.do(do.SettleHeard(response_id, heard_ms))
    least_ms = min(heard_ms, settled_ms)
    draft.set(corrected={**draft.state.corrected, response_id: least_ms})


def _is_led(state: CallState) -> bool:
    """Whether the client may still say who speaks."""
    return state.link in floor.LIVE and state.end_reason is None
