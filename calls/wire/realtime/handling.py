"""What each client event does."""

from collections.abc import Callable, Mapping
from typing import Any

from calls.domain import events as ev
from calls.domain.items import Role
from calls.wire.base import Inbound
from calls.wire.realtime.asking import read_asked
from calls.wire.realtime.buffer import too_little
from calls.wire.realtime.dialect import dialect_of_session
from calls.wire.realtime.given import (
    ROLES,
    only_the_caller,
    read_item,
    remembered_call,
    unknown_call,
    words_of,
)
from calls.wire.realtime.items import Entry
from calls.wire.realtime.reading import Fields
from calls.wire.realtime.refusal import INVALID_VALUE, NOT_FOUND, Refusal, missing
from calls.wire.realtime.settings import read_session
from calls.wire.realtime.state import State

SLACK_MS = 100
"""So much more than was sent may be told to be heard: clients count in pieces of their own."""

Handler = Callable[[State, dict[str, Any]], list[Inbound]]

# Session and sound


def _update(state: State, event: dict[str, Any]) -> list[Inbound]:
    session = event.get("session")
    if not isinstance(session, dict):
        raise missing("session")
    if isinstance(session.get("client_secret"), str):
        state.out.nested = True
    state.out.decide(dialect_of_session(session))
    inbound = state.apply(read_session(session, state.out.dialect, state.settings))
    state.out.put("session.updated", session=state.session())
    return inbound


def _append(state: State, event: dict[str, Any]) -> list[Inbound]:
    audio = event.get("audio")
    if not isinstance(audio, str):
        raise missing("audio")
    return state.buffer.append(audio)


def _commit(state: State, _event: dict[str, Any]) -> list[Inbound]:
    """Where the server tells the turns, it ends the one that goes on."""
    if state.buffer.manual:
        return state.buffer.commit()
    if not state.speech.is_open:
        raise too_little(0)
    return [ev.TalkStopped()]


def _clear(state: State, _event: dict[str, Any]) -> list[Inbound]:
    """What a client that decides the turns itself has appended is known to nobody else."""
    state.buffer.clear()
    state.out.put("input_audio_buffer.cleared")
    return [] if state.buffer.manual else [ev.TurnDropped()]


# Items


def _create_item(state: State, event: dict[str, Any]) -> list[Inbound]:
    fields = Fields(event).inner("item")
    if fields is None:
        raise missing("item")
    _check_place(state, event)
    entry = read_item(fields, "")
    if not entry.item_id:
        entry.fields["id"] = state.items.new_id()
    elif entry.item_id in state.items:
        raise Refusal(INVALID_VALUE, "There is an item of that `id` already.", "item.id")
    inbound = _GIVEN[entry.fields["type"]](state, entry, fields)
    state.items.add(entry, done=True)
    return inbound


def _check_place(state: State, event: dict[str, Any]) -> None:
    """Items stand at the end wherever they are wanted; a place that is not there is refused."""
    before = Fields(event).text("previous_item_id")
    if before not in (None, "", "root") and before not in state.items:
        raise Refusal(NOT_FOUND, "There is no such item to follow.", "previous_item_id")


def _message(state: State, entry: Entry, fields: Fields) -> list[Inbound]:
    if not state.grant.configures:
        only_the_caller(entry, fields)
    return _entry_given(entry, ROLES[entry.fields["role"]], words_of(entry))


def _entry_given(entry: Entry, role: Role, text: str) -> list[Inbound]:
    if not text.strip():
        return []
    entry.named = {"ref": entry.item_id}
    return [ev.EntryGiven(role=role, text=text, ref=entry.item_id)]


def _called(state: State, entry: Entry, fields: Fields) -> list[Inbound]:
    """A call of an earlier conversation; it means something once its output is given."""
    if not state.grant.configures:
        only_the_caller(entry, fields)
    return []


def _output(state: State, entry: Entry, fields: Fields) -> list[Inbound]:
    call_id, output = entry.fields["call_id"], entry.fields["output"]
    call = state.items.call_of(call_id)
    if state.answers.calls.answered(call_id, output):
        entry.named = {"tool_call_id": call_id}
        return []
    if call is None:
        raise unknown_call(fields)
    if call.named:
        return []  # answered before, or too late
    return _entry_given(entry, Role.SYSTEM, remembered_call(call, output))


_GIVEN: Mapping[str, Callable[[State, Entry, Fields], list[Inbound]]] = {
    "message": _message,
    "function_call": _called,
    "function_call_output": _output,
}


def _retrieve(state: State, event: dict[str, Any]) -> list[Inbound]:
    entry = state.items.get(Fields(event).text("item_id"))
    state.out.put("conversation.item.retrieved", item=state.items.shown(entry))
    return []


def _delete(state: State, event: dict[str, Any]) -> list[Inbound]:
    entry = state.items.remove(Fields(event).required("item_id"))
    state.out.put("conversation.item.deleted", item_id=entry.item_id)
    removal = entry.removal()
    return [] if removal is None else [removal]


def _truncate(state: State, event: dict[str, Any]) -> list[Inbound]:
    """What the client has played of the agent's words."""
    fields = Fields(event)
    entry = state.items.get(fields.text("item_id"))
    part = fields.whole("content_index") or 0
    heard_ms = fields.whole("audio_end_ms")
    if heard_ms is None:
        raise missing("audio_end_ms")
    if entry.response_id is None or part != 0:
        raise Refusal(INVALID_VALUE, "Only the agent's spoken words are cut.", "item_id")
    if heard_ms > entry.sound_ms + SLACK_MS:
        message = f"`audio_end_ms` is beyond the {entry.sound_ms} ms of sound of this item."
        raise Refusal(INVALID_VALUE, message, "audio_end_ms")
    for said in entry.parts:
        said.pop("transcript", None)
    state.out.put(
        "conversation.item.truncated",
        item_id=entry.item_id,
        content_index=part,
        audio_end_ms=heard_ms,
    )
    heard_ms = entry.offset_ms + min(heard_ms, entry.sound_ms)
    return [ev.HeardTold(response_id=entry.response_id, heard_ms=heard_ms)]


# Answers


def _create_response(state: State, event: dict[str, Any]) -> list[Inbound]:
    asked = read_asked(
        Fields(event).inner_or_empty("response"),
        state.settings,
        state.items,
        state.out.dialect,
        configures=state.grant.configures,
    )
    return state.answers.ask(asked)


def _cancel_response(state: State, event: dict[str, Any]) -> list[Inbound]:
    return state.answers.cancel(Fields(event).text("response_id"))


HANDLERS: Mapping[str, Handler] = {
    "session.update": _update,
    "input_audio_buffer.append": _append,
    "input_audio_buffer.commit": _commit,
    "input_audio_buffer.clear": _clear,
    "conversation.item.create": _create_item,
    "conversation.item.retrieve": _retrieve,
    "conversation.item.delete": _delete,
    "conversation.item.truncate": _truncate,
    "response.create": _create_response,
    "response.cancel": _cancel_response,
}
