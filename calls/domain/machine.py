"""The call as a pure function: a state and an event in, a state and effects out.

Every decision about a call is made in this package, in the modules that this one calls. Nothing
here reads a clock, draws a random number, logs, awaits or raises. `step` accepts any event in any
state: one that comes too late (audio of a response that was cancelled, a transcript after the
end) is normal and changes nothing.
"""

from collections.abc import Callable, Mapping
from typing import Any

from calls.domain import effects as do
from calls.domain import events as ev
from calls.domain import (
    failures,
    floor,
    keypad,
    leading,
    link,
    playback,
    responses,
    timers,
    turns,
)
from calls.domain.conversation import context
from calls.domain.draft import Draft
from calls.domain.errors import EndReason
from calls.domain.items import Item, Role
from calls.domain.state import Announcement, Caller, CallState, Link

Step = tuple[CallState, tuple[do.Effect, ...]]


def step(state: CallState, event: ev.Event) -> Step:
    """Apply `event` to `state`.

    Returns:
        The next state, and the effects to perform, in order, before the next step.
    """
    if state.link is Link.CLOSED:
        return state, ()
    if type(event) is ev.MicAudio:
        # The commonest event by far, and it changes nothing.
        heard = state.all_audio or state.caller is not Caller.SILENT
        return state, (do.ForwardAudio(event.pcm),) if heard else ()
    draft = Draft(state, event.at_ms)
    _HANDLERS[type(event)](draft, event)
    floor.pass_on(draft)
    link.leave_when_free(draft, free=phase(draft.state) is do.Phase.LISTENING)
    link.close_when_done(draft)
    _follow_phase(draft, phase(state))
    return draft.state, tuple(draft.effects)


def phase(state: CallState) -> do.Phase:
    """Who has the floor."""
    if state.link in (Link.ENDING, Link.CLOSED):
        return do.Phase.ENDING
    if state.caller is not Caller.SILENT:
        return do.Phase.HEARING
    if state.response is not None and state.response.timings.first_sent_ms is not None:
        return do.Phase.SPEAKING
    if state.awaiting or state.response is not None or state.answer_due:
        return do.Phase.THINKING
    return do.Phase.HEARING if state.digits else do.Phase.LISTENING


def _follow_phase(draft: Draft, before: do.Phase) -> None:
    """Tell the client who has the floor, and count silence only while nobody has it."""
    now = phase(draft.state)
    if draft.state.link is Link.CLOSED or now is before:
        return
    draft.do(do.SendPhase(now))
    if now is do.Phase.LISTENING:
        _count_silence(draft)
    elif before is do.Phase.LISTENING:
        draft.do(do.CancelTimer(timers.IDLE))


def _count_silence(draft: Draft) -> None:
    policy = draft.state.policy
    if policy.idle_ms and phase(draft.state) is do.Phase.LISTENING:
        draft.do(do.StartTimer(timers.IDLE, draft.at_ms + policy.idle_ms))


def _last_words(handle: Callable[[Draft, Any], None]) -> Callable[[Draft, Any], None]:
    """The call ends with an answer that was to be the last, once that is over by itself."""

    def handler(draft: Draft, event: ev.PlayoutDrained | ev.ResponseDirected) -> None:
        now = playback.current(draft, event.response_id)
        handle(draft, event)
        if now is not None and draft.state.response is None and now.end_reason is not None:
            link.end(draft, now.end_reason)

    return handler


def _on_attached(draft: Draft, event: ev.ClientAttached) -> None:
    link.on_attached(draft, event)
    if draft.state.link is not Link.NEW:
        draft.do(do.SendPhase(phase(draft.state)))
        _count_silence(draft)


def _on_detached(draft: Draft, event: ev.ClientDetached) -> None:
    link.on_detached(draft, event)
    draft.do(do.CancelTimer(timers.IDLE))


def _on_call_started(draft: Draft, event: ev.CallStarted) -> None:
    fresh = draft.state.link is Link.NEW
    link.on_call_started(draft, event)
    if fresh and phase(draft.state) is do.Phase.LISTENING:
        draft.do(do.SendPhase(do.Phase.LISTENING))
        _count_silence(draft)


def _on_item_stored(draft: Draft, event: ev.ItemStored) -> None:
    if not 0 < event.item_id <= len(draft.state.items):
        return
    item = draft.item(event.item_id)
    if item.revision == event.revision and item.item_id in draft.state.unstored:
        draft.set(unstored=draft.state.unstored - {item.item_id})
        draft.do(do.SendItem(item))


def _on_answer_given(draft: Draft, event: ev.AnswerGiven) -> None:
    """Said at once, whatever the agent is saying; the caller is let finish."""
    state = draft.state
    if state.link not in floor.LIVE or state.end_reason is not None:
        return
    playback.interrupt(draft)
    given = Announcement(event.text, responses.metadata_of(event.metadata))
    draft.set(announcements=(*state.announcements, given))


def _on_reset(draft: Draft, event: ev.ConversationReset) -> None:
    if draft.state.end_reason is not None:
        return
    playback.interrupt(draft)
    playback.settle_cut(draft)
    preamble = tuple(
        Item(item_id=0, role=Role.AGENT if role == Role.AGENT else Role.USER, text=text, turn=0)
        for role, text in event.entries
    )
    draft.set(
        preamble=preamble,
        context_from=len(draft.state.items),
        unanswered=False,
        broken_off=None,
    )
    draft.do(do.ResetVoice(event.system_prompt))


def _on_entry_given(draft: Draft, event: ev.EntryGiven) -> None:
    leading.on_entry_given(draft, event)
    if event.role is Role.USER:
        _count_silence_anew(draft)


def _on_policy_changed(draft: Draft, event: ev.PolicyChanged) -> None:
    """What was left unanswered stays so; pauses and silences last as long as they do now."""
    before = draft.state.policy
    unanswered = draft.state.unanswered and before.answers
    draft.set(policy=event.policy, unanswered=unanswered)
    turns.await_endpoint(draft)
    if before.idle_ms != event.policy.idle_ms:
        _count_silence_anew(draft)


def _count_silence_anew(draft: Draft) -> None:
    if draft.state.link is Link.ATTACHED and phase(draft.state) is do.Phase.LISTENING:
        draft.do(do.CancelTimer(timers.IDLE))
        _count_silence(draft)


def _on_timer(draft: Draft, event: ev.TimerFired) -> None:
    if handler := _TIMERS.get(event.name):
        handler(draft)


def _on_idle(draft: Draft) -> None:
    state = draft.state
    if state.link is not Link.ATTACHED or phase(state) is not do.Phase.LISTENING:
        return
    if state.idle_prompts >= state.policy.idle_prompts or not state.policy.idle_text:
        link.end(draft, EndReason.SILENCE)
        return
    draft.set(idle_prompts=state.idle_prompts + 1)
    responses.begin_turn(draft)
    responses.speak(draft, state.policy.idle_text)


_TIMERS: Mapping[str, Callable[[Draft], None]] = {
    timers.ENDPOINT: turns.on_endpoint,
    timers.MAX_TURN: turns.on_turn_too_long,
    timers.STT_WAIT: failures.on_stt_late,
    timers.RESPONSE_WAIT: failures.on_response_late,
    timers.CUT: playback.settle_cut,
    timers.IDLE: _on_idle,
    timers.MAX_CALL: link.on_max_call,
    timers.HARD_END: link.on_hard_end,
    timers.RESUME: link.on_resume_over,
    timers.END: link.on_end_wait,
    timers.DIGITS: keypad.finish,
}

_HANDLERS: Mapping[type[ev.Event], Callable[[Draft, Any], None]] = {
    ev.CallStarted: _on_call_started,
    ev.ClientAttached: _on_attached,
    ev.ClientDetached: _on_detached,
    ev.HungUp: link.on_hung_up,
    ev.EndAsked: link.on_end_asked,
    ev.SpeechStarted: turns.on_speech_started,
    ev.SpeechStopped: turns.on_speech_stopped,
    ev.TalkStarted: turns.on_speech_started,
    ev.TalkStopped: turns.on_talk_stopped,
    ev.Muted: turns.on_muted,
    ev.TurnDropped: turns.on_turn_dropped,
    ev.DigitPressed: keypad.on_digit,
    ev.TextTyped: turns.on_text_typed,
    ev.Played: playback.on_played,
    ev.PlaybackCut: playback.on_playback_cut,
    ev.AnswerAsked: leading.on_answer_asked,
    ev.AnswerCancelled: leading.on_answer_cancelled,
    ev.EntryGiven: _on_entry_given,
    ev.EntryRemoved: leading.on_entry_removed,
    ev.HeardTold: leading.on_heard_told,
    ev.PolicyChanged: _on_policy_changed,
    ev.TranscriptPartial: turns.on_partial,
    ev.TranscriptFinal: turns.on_final,
    ev.ResponseText: responses.on_text,
    ev.ResponseAudio: responses.on_audio,
    ev.ResponseDone: responses.on_done,
    ev.ToolRequested: responses.on_tool_requested,
    ev.ResponseDirected: _last_words(responses.on_directed),
    ev.ResponseNoted: responses.on_noted,
    ev.VoiceFailed: failures.on_voice_failed,
    ev.ToolFinished: responses.on_tool_finished,
    ev.AudioSent: playback.on_sent,
    ev.PlayoutDrained: _last_words(playback.on_drained),
    ev.ItemStored: _on_item_stored,
    ev.TimerFired: _on_timer,
    ev.AnswerGiven: _on_answer_given,
    ev.ConversationReset: _on_reset,
}

__all__ = ["context", "phase", "step"]
