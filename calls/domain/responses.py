"""The agent's turn: made, heard, interrupted."""

import json
from dataclasses import replace
from typing import Any

from calls.domain import effects as do
from calls.domain import events as ev
from calls.domain import timers
from calls.domain.conversation import (
    add_item,
    change_item,
    context,
    last_user_item,
    marks_of,
    split_heard,
)
from calls.domain.draft import Draft
from calls.domain.errors import EndReason
from calls.domain.items import ItemStatus, Role, Source
from calls.domain.state import Link, Response, Segment
from calls.domain.timings import Turn, TurnTimings

# Beginning


def begin_turn(draft: Draft, timings: TurnTimings | None = None) -> None:
    """A new turn; without timings it is the agent's own initiative."""
    draft.set(turn=draft.state.turn + 1, timings=timings or TurnTimings())


def create(draft: Draft) -> None:
    """Have the agent answer the conversation as it stands."""
    response = _open(draft, Source.MODEL)
    draft.do(
        do.CreateResponse(response.response_id, context(draft.state)),
        do.StartTimer(timers.RESPONSE_WAIT, draft.at_ms + draft.state.policy.response_wait_ms),
    )


def speak(
    draft: Draft,
    text: str,
    *,
    source: Source = Source.FIXED,
    end_reason: EndReason | None = None,
    metadata: str = "",
) -> None:
    """Have the agent say this. Nothing is said for an empty text; an end still ends."""
    response = _open(draft, source)
    draft.respond(end_reason=end_reason, metadata=_metadata(metadata))
    draft.do(
        do.Speak(response.response_id, text),
        do.StartTimer(timers.RESPONSE_WAIT, draft.at_ms + draft.state.policy.response_wait_ms),
    )


def _open(draft: Draft, source: Source) -> Response:
    assert draft.state.response is None
    settle_cut(draft)
    response = Response(
        response_id=draft.state.next_response_id,
        turn=draft.state.turn,
        timings=draft.state.timings,
        source=source,
    )
    draft.set(response=response, next_response_id=response.response_id + 1)
    return response


# Being made


def current(draft: Draft, response_id: int | None) -> Response | None:
    """The response, if it is the one that goes on and may still grow."""
    now = draft.state.response
    return now if now is not None and now.response_id == response_id else None


def on_text(draft: Draft, event: ev.ResponseText) -> None:
    now = current(draft, event.response_id)
    if now is None or now.produced:
        return
    segment = Segment(event.text, now.audio_ms)
    draft.respond(segments=(*now.segments, segment), llm=event.provider or now.llm)
    draft.stamp(first_text_ms=draft.at_ms)
    draft.do(
        do.CancelTimer(timers.RESPONSE_WAIT),
        do.SendResponseText(now.response_id, event.text, segment.start_ms),
    )


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
            if item := last_user_item(draft.state):
                change_item(draft, item.item_id, status=ItemStatus.CANCELLED)
        case ev.Direction.SKIP_ANSWER:
            interrupt(draft)
            settle_cut(draft)


def on_noted(draft: Draft, event: ev.ResponseNoted) -> None:
    if (now := current(draft, event.response_id)) is not None:
        draft.respond(metadata={**now.metadata, **_metadata(event.metadata)})


def on_done(draft: Draft, event: ev.ResponseDone) -> None:
    now = current(draft, event.response_id)
    if now is None or now.produced:
        return
    now = draft.respond(produced=True)
    draft.do(do.CancelTimer(timers.RESPONSE_WAIT))
    if not now.tools:
        _finish_round(draft)


def _finish_round(draft: Draft) -> None:
    now = draft.state.response
    assert now is not None
    if now.tools_used and draft.state.link is not Link.ENDING:
        return _next_round(draft, now)
    if now.segments:
        item = add_item(
            draft,
            Role.AGENT,
            "",
            unheard=now.text,
            status=ItemStatus.IN_PROGRESS,
            source=now.source,
            turn=now.turn,
            response_id=now.response_id,
            metadata=now.metadata,
        )
        draft.respond(item_id=item.item_id)
    draft.do(do.FinishAudio(now.response_id))


def _next_round(draft: Draft, now: Response) -> None:
    rounds = now.rounds + 1
    draft.respond(produced=False, tools_used=False, rounds=rounds)
    draft.do(
        do.CreateResponse(
            now.response_id,
            context(draft.state),
            tools_allowed=rounds < draft.state.policy.max_tool_rounds,
        ),
        do.StartTimer(timers.RESPONSE_WAIT, draft.at_ms + draft.state.policy.response_wait_ms),
    )


# Tools


def on_tool_requested(draft: Draft, event: ev.ToolRequested) -> None:
    now = current(draft, event.response_id)
    if now is None or now.produced or event.tool_call_id in draft.state.tool_items:
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
    draft.do(
        do.CancelTimer(timers.RESPONSE_WAIT),
        do.SendTool(event.tool_call_id, event.name, running=True),
        do.RunTool(event.tool_call_id, event.name, event.arguments),
    )


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
    draft.do(do.SendTool(event.tool_call_id, item.tool_name, running=False, failed=event.failed))
    now = draft.state.response
    if now is None or event.tool_call_id not in now.tools:
        return
    now = draft.respond(tools=now.tools - {event.tool_call_id})
    if now.produced and not now.tools:
        _finish_round(draft)


# Being heard


def on_sent(draft: Draft, event: ev.AudioSent) -> None:
    if current(draft, event.response_id) is not None:
        draft.stamp(first_sent_ms=draft.at_ms)


def on_played(draft: Draft, event: ev.Played) -> None:
    now = current(draft, event.response_id)
    if now is None or event.played_ms < now.played_ms:
        return
    played_ms = min(event.played_ms, now.audio_ms)
    draft.respond(
        played_ms=played_ms, played_at_ms=draft.at_ms, buffered_ms=max(0, event.buffered_ms)
    )
    if played_ms and now.timings.first_heard_ms is None:
        began_ms = max(draft.at_ms - played_ms, now.timings.first_sent_ms or 0)
        draft.stamp(first_heard_ms=began_ms)
        assert draft.state.response is not None
        draft.do(do.SendTurn(_turn(draft.state.response, draft.state.stt)))


def on_drained(draft: Draft, event: ev.PlayoutDrained) -> None:
    now = current(draft, event.response_id)
    if now is None or not now.produced:
        return
    draft.respond(played_ms=now.audio_ms)
    draft.stamp(ended_ms=draft.at_ms)
    now = draft.state.response
    assert now is not None
    draft.set(response=None, failures=draft.state.failures if now.error else 0)
    draft.do(do.SettleHeard(now.response_id, now.audio_ms))
    _record(draft, now, now.audio_ms, interrupted=False)


# Being cut


def interrupt(draft: Draft) -> None:
    """Stop the agent's turn: the ear first. What was heard is settled when the client says."""
    now = draft.state.response
    if now is None:
        return
    heard_ms = now.heard_ms(draft.at_ms)
    timings = replace(now.timings, ended_ms=draft.at_ms)
    cut = replace(now, timings=timings, played_ms=heard_ms, played_at_ms=draft.at_ms, buffered_ms=0)
    draft.set(response=None, cut=cut)
    draft.do(
        do.ClearAudio(now.response_id),
        do.CancelResponse(now.response_id, heard_ms),
        do.CancelTimer(timers.RESPONSE_WAIT),
        do.StartTimer(timers.CUT, draft.at_ms + timers.CUT_WAIT_MS),
    )


def on_playback_cut(draft: Draft, event: ev.PlaybackCut) -> None:
    cut = draft.state.cut
    if cut is not None and cut.response_id == event.response_id:
        heard_ms = min(max(0, event.played_ms), cut.audio_ms)
        draft.set(cut=replace(cut, played_ms=heard_ms))
        settle_cut(draft)


def settle_cut(draft: Draft) -> None:
    """Write down the interrupted answer by the best knowledge there is."""
    cut = draft.state.cut
    if cut is None:
        return
    draft.set(cut=None, cut_whole=cut.produced)
    draft.do(do.CancelTimer(timers.CUT), do.SettleHeard(cut.response_id, cut.played_ms))
    _record(draft, cut, cut.played_ms, interrupted=True)


def _record(draft: Draft, now: Response, heard_ms: int, *, interrupted: bool) -> None:
    heard, unheard = split_heard(now, heard_ms)
    cut_short = interrupted and bool(unheard or not now.produced)
    if now.segments:
        began_ms = now.timings.first_heard_ms or now.timings.first_sent_ms or draft.at_ms
        fields: dict[str, Any] = {
            "text": heard,
            "unheard": unheard,
            "status": ItemStatus.INTERRUPTED if cut_short else ItemStatus.COMPLETE,
            "started_ms": began_ms,
            "ended_ms": began_ms + heard_ms,
            "marks": marks_of(now),
            "metadata": now.metadata,
        }
        if now.item_id is not None:
            change_item(draft, now.item_id, **fields)
        else:
            add_item(
                draft,
                Role.AGENT,
                source=now.source,
                turn=now.turn,
                response_id=now.response_id,
                **fields,
            )
    turn = replace(_turn(now, draft.state.stt), interrupted=cut_short, heard_ms=heard_ms)
    draft.do(do.StoreTurn(turn), do.SendTurn(turn))


def _turn(now: Response, stt: str) -> Turn:
    return Turn(
        turn=now.turn,
        timings=now.timings,
        response_id=now.response_id,
        heard_ms=now.played_ms,
        spoken_ms=now.audio_ms,
        error=now.error,
        stt=stt if now.timings.transcript_ms is not None else "",
        llm=now.llm,
        tts=now.tts,
    )


def _metadata(text: str) -> dict[str, object]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
