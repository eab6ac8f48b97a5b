"""The client's comings and goings, and the end of a call."""

from calls.domain import effects as do
from calls.domain import events as ev
from calls.domain import keypad, playback, responses, timers, turns
from calls.domain.conversation import change_item
from calls.domain.draft import Draft
from calls.domain.errors import EndReason
from calls.domain.items import ItemStatus
from calls.domain.state import Caller, Link
from calls.domain.timings import Turn


def on_call_started(draft: Draft, _event: ev.CallStarted) -> None:
    if draft.state.link is not Link.NEW:
        return
    policy = draft.state.policy
    draft.set(link=Link.ATTACHED)
    if policy.max_call_ms:
        draft.do(do.StartTimer(timers.MAX_CALL, draft.at_ms + policy.max_call_ms))
    if not policy.greets:
        return
    if policy.first_message:
        responses.speak(draft, policy.first_message)
        if policy.generate_first:
            draft.set(unanswered=True)
    elif policy.generate_first:
        responses.create(draft)


def on_attached(draft: Draft, _event: ev.ClientAttached) -> None:
    """A client came back, or another one took its place: show it all there is."""
    state = draft.state
    if state.link is Link.NEW:
        return
    draft.do(*(do.SendItem(i) for i in state.items if i.item_id not in state.unstored))
    if state.link is Link.ENDING:
        return
    draft.set(link=Link.ATTACHED)
    draft.do(do.CancelTimer(timers.RESUME))
    if (now := state.response) is not None:
        said = now.segments
        draft.do(*(do.SendResponseText(now.response_id, s.text, s.start_ms) for s in said))
    draft.do(do.ReleaseAudio())
    _rearm(draft)


def _rearm(draft: Draft) -> None:
    """The caller's turn goes on where it was, with all of its time."""
    state = draft.state
    if state.caller is not Caller.SILENT:
        draft.do(do.StartTimer(timers.MAX_TURN, draft.at_ms + state.policy.max_turn_ms))
    if state.caller is Caller.PAUSED:
        due_ms = draft.at_ms + state.policy.endpoint_silence_ms
        draft.do(do.StartTimer(timers.ENDPOINT, due_ms))


def on_detached(draft: Draft, _event: ev.ClientDetached) -> None:
    """The caller's turn stands still: what is said meanwhile comes later."""
    if draft.state.link is not Link.ATTACHED:
        return
    draft.set(link=Link.DETACHED, unheeded=False)
    draft.do(
        do.HoldAudio(),
        do.CancelTimer(timers.ENDPOINT),
        do.CancelTimer(timers.MAX_TURN),
        do.StartTimer(timers.RESUME, draft.at_ms + draft.state.policy.resume_ms),
    )


def on_resume_over(draft: Draft) -> None:
    """Nobody came back. Whoever leaves during the goodbye has not abandoned the call."""
    if draft.state.link is Link.DETACHED:
        now = draft.state.response
        end(draft, (now.end_reason if now else None) or EndReason.ABANDONED)


def on_hung_up(draft: Draft, _event: ev.HungUp) -> None:
    end(draft, EndReason.CALLER_HUNG_UP)


def on_end_asked(draft: Draft, event: ev.EndAsked) -> None:
    if event.once_free and draft.state.link is Link.ATTACHED:
        draft.set(leaving=draft.state.leaving or event.reason)
    else:
        end(draft, event.reason)


def leave_when_free(draft: Draft, *, free: bool) -> None:
    """End a call that was asked to, now that nobody speaks, or nobody is there to hear it."""
    state = draft.state
    if state.leaving is None:
        return
    if state.link is Link.DETACHED or (state.link is Link.ATTACHED and free):
        end(draft, state.end_reason or state.leaving)


def on_max_call(draft: Draft) -> None:
    """End with words, whoever is speaking; without them when nobody is there to hear."""
    state, policy = draft.state, draft.state.policy
    if state.link is not Link.ATTACHED or not policy.max_length_text:
        end(draft, EndReason.MAX_LENGTH)
        return
    reason = state.response.end_reason if state.response else None
    if reason is None:
        reason = EndReason.MAX_LENGTH
        _say_goodbye(draft, policy.max_length_text, reason)
    draft.set(end_reason=reason, unheeded=False)
    draft.do(do.StartTimer(timers.HARD_END, draft.at_ms + timers.FAREWELL_MS))


def _say_goodbye(draft: Draft, text: str, reason: EndReason) -> None:
    playback.interrupt(draft)
    if draft.state.caller is not Caller.SILENT:
        turns.commit(draft)
    responses.begin_turn(draft)
    responses.speak(draft, text, end_reason=reason)


def on_hard_end(draft: Draft) -> None:
    end(draft, draft.state.end_reason or EndReason.MAX_LENGTH)


def end(draft: Draft, reason: EndReason, outcome: do.Outcome = do.Outcome.INTERRUPTED) -> None:
    """The call is over; what was still said is understood and stored before it closes.

    `outcome` is that of an answer that was still being made.
    """
    if draft.state.link is Link.ENDING:
        return
    playback.interrupt(draft, outcome)
    playback.settle_cut(draft)
    keypad.finish(draft)
    if draft.state.caller is not Caller.SILENT:
        turns.commit(draft)
    draft.record_open_turn()
    draft.set(link=Link.ENDING, end_reason=reason, asked=None)
    for timer in (timers.ENDPOINT, timers.MAX_TURN, timers.MAX_CALL, timers.HARD_END):
        draft.do(do.CancelTimer(timer))
    draft.do(do.CancelTimer(timers.RESUME), do.CancelTimer(timers.RESPONSE_WAIT))
    draft.do(do.StartTimer(timers.END, draft.at_ms + timers.END_WAIT_MS))


def close_when_done(draft: Draft) -> None:
    """Close an ending call once nothing of it is under way."""
    state = draft.state
    if state.link is not Link.ENDING:
        return
    if not (state.awaiting or state.unstored or state.tool_items):
        close(draft)


def on_end_wait(draft: Draft) -> None:
    if draft.state.link is Link.ENDING:
        close(draft)


def close(draft: Draft) -> None:
    """Close now; a tool that has not finished is on the record as failed."""
    assert draft.state.end_reason is not None
    for item_id in draft.state.tool_items.values():
        change_item(draft, item_id, status=ItemStatus.FAILED, ended_ms=draft.at_ms)
    for awaited in draft.state.awaiting:
        draft.record(Turn(awaited.turn, awaited.timings))
    draft.set(link=Link.CLOSED, tool_items={})
    draft.do(do.CancelTimer(timers.END), do.EndCall(draft.state.end_reason))
