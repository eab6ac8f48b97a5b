"""The agent's turn on its way to the ear: sent, heard, cut off, and put on the record."""

from dataclasses import replace
from typing import Any

from calls.domain import effects as do
from calls.domain import events as ev
from calls.domain import timers
from calls.domain.conversation import add_item, change_item, marks_of, split_heard
from calls.domain.draft import Draft
from calls.domain.items import ItemStatus, Role
from calls.domain.state import Response
from calls.domain.timings import Turn


def current(draft: Draft, response_id: int | None) -> Response | None:
    """The response, if it is the one that goes on."""
    now = draft.state.response
    return now if now is not None and now.response_id == response_id else None


# Heard


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
        now = _stamp_heard(draft, played_ms)
        draft.do(do.SendTurn(_turn(now)))


def on_drained(draft: Draft, event: ev.PlayoutDrained) -> None:
    now = current(draft, event.response_id)
    if now is not None and now.whole:
        count_as_heard(draft)


def count_as_heard(draft: Draft) -> None:
    """All of the answer was heard, or is taken to be."""
    now = draft.respond()
    if now.audio_ms:
        _stamp_heard(draft, now.audio_ms)
    draft.stamp(ended_ms=draft.at_ms)
    now = draft.respond(played_ms=now.audio_ms)
    draft.set(response=None)
    draft.do(do.SettleHeard(now.response_id, now.audio_ms))
    _record(draft, now, cut=False)


def _stamp_heard(draft: Draft, played_ms: int) -> Response:
    """The ear heard the first of it so long ago, unless that is known already."""
    sent_ms = draft.respond().timings.first_sent_ms
    draft.stamp(first_heard_ms=max(draft.at_ms - played_ms, sent_ms or 0))
    return draft.respond()


# Cut off


def interrupt(draft: Draft, outcome: do.Outcome = do.Outcome.INTERRUPTED) -> None:
    """Stop the agent's turn: the ear first. What was heard is settled when the client says.

    `outcome` is what the client is told of an answer that was still being made.
    """
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
    if not now.produced:
        draft.do(do.SendResponseMade(now.response_id, now.rounds, outcome))


def dismiss(draft: Draft) -> None:
    """Stop the agent's turn at the client's wish; nothing brings it back."""
    interrupt(draft, do.Outcome.CANCELLED)
    if (cut := draft.state.cut) is not None:
        draft.set(cut=replace(cut, dismissed=True))
    draft.set(broken_off=None, unanswered=False)


def on_playback_cut(draft: Draft, event: ev.PlaybackCut) -> None:
    cut_at(draft, event.response_id, event.played_ms)


def cut_at(draft: Draft, response_id: int, played_ms: int) -> None:
    """The ear heard exactly so much of an interrupted answer."""
    cut = draft.state.cut
    if cut is not None and cut.response_id == response_id:
        heard_ms = min(max(0, played_ms), cut.audio_ms)
        draft.set(cut=replace(cut, played_ms=heard_ms))
        settle_cut(draft)


def settle_cut(draft: Draft) -> None:
    """Write down the interrupted answer by the best knowledge there is."""
    cut = draft.state.cut
    if cut is None:
        return
    draft.set(cut=None)
    draft.do(do.CancelTimer(timers.CUT), do.SettleHeard(cut.response_id, cut.played_ms))
    undone = _record(draft, cut, cut=True) or cut.end_reason is not None
    returns = undone and not (cut.dismissed or cut.removed)
    draft.set(broken_off=cut if returns else None)


# Recorded


def _record(draft: Draft, now: Response, *, cut: bool) -> bool:
    """Put it on the record with what was heard; return whether it was cut short."""
    heard, unheard = split_heard(now, now.played_ms)
    cut_short = cut and (not now.whole or bool(unheard.strip()))
    if now.segments:
        draft.set(failures=draft.state.failures if now.error else 0)
        began_ms = now.timings.first_heard_ms or now.timings.first_sent_ms or draft.at_ms
        fields: dict[str, Any] = {
            "text": heard,
            "unheard": unheard,
            "status": _status(now, unheard, cut=cut, cut_short=cut_short),
            "started_ms": began_ms,
            "ended_ms": began_ms + now.played_ms,
            "marks": marks_of(now),
            "metadata": now.metadata,
        }
        _write(draft, now, fields)
    turn = replace(_turn(now), interrupted=cut_short and bool(now.segments))
    draft.record(turn)
    draft.do(do.SendTurn(turn))
    return cut_short


def _write(draft: Draft, now: Response, fields: dict[str, Any]) -> None:
    if now.item_id is not None:
        change_item(draft, now.item_id, **fields)
        return
    add_item(
        draft,
        Role.AGENT,
        source=now.source,
        turn=now.turn,
        response_id=now.response_id,
        **fields,
    )


def _status(now: Response, unheard: str, *, cut: bool, cut_short: bool) -> ItemStatus:
    if now.removed:
        return ItemStatus.CANCELLED
    if cut_short:
        return ItemStatus.INTERRUPTED
    # Played to its end, and words left over: the voice failed them.
    return ItemStatus.FAILED if unheard and not cut else ItemStatus.COMPLETE


def _turn(now: Response) -> Turn:
    return Turn(
        turn=now.turn,
        timings=now.timings,
        response_id=now.response_id,
        heard_ms=now.played_ms,
        spoken_ms=now.audio_ms,
        error=now.error,
        stt=now.stt,
        llm=now.llm,
        tts=now.tts,
    )
