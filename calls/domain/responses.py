"""The agent's turn in the making: begun, thought, put into words and sound."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from calls.domain import effects as do
from calls.domain import events as ev
from calls.domain import playback, timers
from calls.domain.conversation import (
    add_item,
    change_item,
    context_of,
    is_word_end,
    last_user_item,
)
from calls.domain.draft import Draft
from calls.domain.errors import EndReason
from calls.domain.items import Item, ItemStatus, Role, Source
from calls.domain.playback import current
from calls.domain.state import Response, Segment
from calls.domain.timings import TurnTimings
from calls.domain.wishes import AS_USUAL, Wishes

# Beginning


def begin_turn(draft: Draft, timings: TurnTimings | None = None) -> None:
    """A new turn; without timings it is the agent's own initiative."""
    draft.record_open_turn()
    draft.set(
        turn=draft.state.turn + 1,
        turn_recorded=False,
        turn_answered=False,
        timings=timings or TurnTimings(),
        stt="",
    )


def create(draft: Draft, wishes: Wishes = AS_USUAL) -> None:
    """Have the agent answer the conversation as it stands."""
    response = _open(draft, source=Source.MODEL, wishes=wishes, metadata=dict(wishes.metadata))
    draft.set(unanswered=False, asked=None)
    _ask(draft, response)


def create_as_asked(draft: Draft) -> None:
    """Begin the answer that the client asked for; the first one of a call may be set words."""
    state, wishes = draft.state, draft.state.asked
    assert wishes is not None
    if state.turn_answered:
        begin_turn(draft)
    greeting = state.policy.first_message
    if greeting and wishes.instructions is None and not (state.items or state.preamble):
        draft.set(asked=None)
        speak(draft, greeting, metadata=dict(wishes.metadata))
    else:
        create(draft, wishes)


def speak(
    draft: Draft,
    text: str,
    *,
    source: Source = Source.FIXED,
    end_reason: EndReason | None = None,
    metadata: Mapping[str, Any] | None = None,
    error: str = "",
) -> None:
    """Have the agent say this. Nothing is said for an empty text; an end still ends."""
    response = _open(
        draft,
        source=source,
        script=text,
        end_reason=end_reason,
        metadata=metadata or {},
        error=error,
    )
    draft.do(do.Speak(response.response_id, text))
    await_response(draft)


def await_response(draft: Draft) -> None:
    """Something of the response has been asked for, and must come in time."""
    due_ms = draft.at_ms + draft.state.policy.response_wait_ms
    draft.do(do.StartTimer(timers.RESPONSE_WAIT, due_ms))


def _open(draft: Draft, **fields: Any) -> Response:
    assert draft.state.response is None
    playback.settle_cut(draft)
    state = draft.state
    response = Response(
        response_id=state.next_response_id,
        turn=state.turn,
        timings=state.timings,
        stt=state.stt,
        **fields,
    )
    draft.set(
        response=response,
        next_response_id=response.response_id + 1,
        broken_off=None,
        turn_answered=True,
    )
    _tell_begun(draft, response)
    return response


def _tell_begun(draft: Draft, now: Response) -> None:
    began = do.SendResponseBegan(now.response_id, now.turn, now.rounds, now.metadata)
    draft.do(began)


def _ask(draft: Draft, response: Response) -> None:
    items = context_of(draft.state, response)
    allowed = _tools_allowed(draft, response)
    wishes = _wishes_of(response)
    draft.do(do.CreateResponse(response.response_id, items, allowed, wishes))
    await_response(draft)


def _tools_allowed(draft: Draft, now: Response) -> bool:
    left = now.rounds < draft.state.policy.max_tool_rounds
    return left and now.wishes.tool_choice != "none"


def _wishes_of(now: Response) -> Wishes:
    """A tool that had to be used has been, once the first round is over."""
    forced = now.rounds and now.wishes.tool_choice not in ("", "none")
    return replace(now.wishes, tool_choice="") if forced else now.wishes


# Being made


def on_text(draft: Draft, event: ev.ResponseText) -> None:
    now = current(draft, event.response_id)
    if now is None or now.produced:
        return
    gap = _gap(now, event.text)
    said = now.segments
    if gap:
        said = (*said[:-1], replace(said[-1], text=said[-1].text + gap))
    segment = Segment(event.text, now.audio_ms)
    draft.respond(
        segments=(*said, segment),
        spoken_round=now.rounds,
        llm=event.provider or now.llm,
        progress_ms=draft.at_ms,
    )
    draft.stamp(first_text_ms=draft.at_ms)
    draft.do(do.SendResponseText(now.response_id, gap + event.text, segment.start_ms))


def _gap(now: Response, text: str) -> str:
    """What parts the words before a tool from those after it, where the model leaves nothing."""
    before = now.text
    if not before or not text or now.spoken_round == now.rounds:
        return ""
    parted = before[-1].isspace() or is_word_end(before + text, len(before))
    return "" if parted else " "


def on_audio(draft: Draft, event: ev.ResponseAudio) -> None:
    now = current(draft, event.response_id)
    if now is None or now.produced:
        return
    segments = now.segments
    if event.marks and segments:
        last = replace(segments[-1], marks=(*segments[-1].marks, *event.marks))
        segments = (*segments[:-1], last)
    draft.respond(
        segments=segments,
        audio_bytes=now.audio_bytes + len(event.pcm),
        tts=event.provider or now.tts,
        progress_ms=draft.at_ms,
    )
    draft.stamp(first_audio_ms=draft.at_ms)
    draft.do(do.SendAudio(now.response_id, event.pcm))


def on_directed(draft: Draft, event: ev.ResponseDirected) -> None:
    if current(draft, event.response_id) is None:
        return
    match event.direction:
        case ev.Direction.END_CALL:
            draft.respond(end_reason=EndReason.AGENT_ENDED)
        case ev.Direction.CANCEL_LAST_USER:
            _take_back(draft)
        case _:
            playback.interrupt(draft, do.Outcome.SKIPPED)
            playback.settle_cut(draft)
            draft.set(broken_off=None)


def _take_back(draft: Draft) -> None:
    item = last_user_item(draft.state)
    if item is not None and item.status is not ItemStatus.CANCELLED:
        change_item(draft, item.item_id, status=ItemStatus.CANCELLED)


def on_noted(draft: Draft, event: ev.ResponseNoted) -> None:
    if (now := current(draft, event.response_id)) is not None:
        draft.respond(metadata={**now.metadata, **metadata_of(event.metadata)})


def on_done(draft: Draft, event: ev.ResponseDone) -> None:
    now = current(draft, event.response_id)
    if now is None or now.produced:
        return
    now = draft.respond(produced=True, complete=len(now.segments))
    outcome = do.Outcome.TOOLS if now.tools_used else do.Outcome.COMPLETE
    draft.do(do.SendResponseMade(now.response_id, now.rounds, outcome))
    if not now.tools:
        finish_round(draft)


def finish_round(draft: Draft) -> None:
    """All of the round is made and its tools have settled: finish, or go round again."""
    now = draft.respond()
    if now.tools_used:
        again = draft.respond(produced=False, tools_used=False, rounds=now.rounds + 1)
        _tell_begun(draft, again)
        _ask(draft, again)
        return
    if now.segments:
        item = add_item(
            draft,
            Role.AGENT,
            "",
            unheard=now.text,
            status=ItemStatus.CANCELLED if now.removed else ItemStatus.IN_PROGRESS,
            source=now.source,
            turn=now.turn,
            response_id=now.response_id,
            metadata=now.metadata,
        )
        draft.respond(item_id=item.item_id)
    draft.do(do.CancelTimer(timers.RESPONSE_WAIT), do.FinishAudio(now.response_id))


# Tools


def on_tool_requested(draft: Draft, event: ev.ToolRequested) -> None:
    now = current(draft, event.response_id)
    if now is None or now.produced or event.tool_call_id in draft.state.tool_items:
        return
    if not _tools_allowed(draft, now):
        return
    item = add_item(
        draft,
        Role.TOOL,
        "",
        status=ItemStatus.IN_PROGRESS,
        source=Source.TOOL,
        turn=now.turn,
        response_id=now.response_id,
        tool_call_id=event.tool_call_id,
        tool_name=event.name,
        arguments=event.arguments,
    )
    draft.set(tool_items={**draft.state.tool_items, event.tool_call_id: item.item_id})
    draft.respond(tools=now.tools | {event.tool_call_id}, tools_used=True)
    _tell_tool(draft, item, running=True)
    draft.do(do.RunTool(event.tool_call_id, event.name, event.arguments))


def on_tool_finished(draft: Draft, event: ev.ToolFinished) -> None:
    """The result belongs to the conversation even if its answer was interrupted."""
    item_id = draft.state.tool_items.get(event.tool_call_id)
    if item_id is None:
        return
    rest = {k: v for k, v in draft.state.tool_items.items() if k != event.tool_call_id}
    draft.set(tool_items=rest)
    item = change_item(
        draft,
        item_id,
        text=event.output,
        status=ItemStatus.FAILED if event.failed else ItemStatus.COMPLETE,
        ended_ms=draft.at_ms,
    )
    _tell_tool(draft, item, running=False, failed=event.failed)
    now = draft.state.response
    if now is None or event.tool_call_id not in now.tools:
        return
    now = draft.respond(tools=now.tools - {event.tool_call_id}, progress_ms=draft.at_ms)
    if now.produced and not now.tools:
        finish_round(draft)


def _tell_tool(draft: Draft, item: Item, *, running: bool, failed: bool = False) -> None:
    told = do.SendTool(
        item.tool_call_id,
        item.tool_name,
        running=running,
        failed=failed,
        response_id=item.response_id or 0,
        arguments=item.arguments if running else "",
        output=item.text,
    )
    draft.do(told)


def metadata_of(text: str) -> dict[str, Any]:
    """The JSON object in `text`; empty if it is none, or nothing that a record can hold."""
    try:
        value = json.loads(text)
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
