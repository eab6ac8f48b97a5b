"""Who speaks next."""

from calls.domain import effects as do
from calls.domain import events as ev
from calls.domain import playback, responses, timers
from calls.domain.conversation import left_to_say
from calls.domain.draft import Draft
from calls.domain.state import Caller, CallState, Link, Response
from calls.domain.wishes import AS_USUAL

LIVE = (Link.ATTACHED, Link.DETACHED)

MISSES = 2
"""How often in a row the agent says that it understood nothing."""

MISS_MIN_MS = 500
"""A shorter utterance of which nothing was understood was a noise, and is passed over."""


_UNNOTICED = ev.SpeechStarted()


def is_free(state: CallState) -> bool:
    """Whether the agent may begin to speak."""
    silent = state.caller is Caller.SILENT and not (state.awaiting or state.digits)
    return silent and state.response is None and state.end_reason is None


def is_deaf(state: CallState) -> bool:
    """While the agent may not be interrupted, or takes its leave for good."""
    speaking = state.response is not None
    return speaking and (not state.policy.interruptible or state.end_reason is not None)


def pass_on(draft: Draft) -> None:
    """Give a free floor to whoever waits for it."""
    state = draft.state
    if not is_free(state):
        return
    if state.asked is not None:
        responses.create_as_asked(draft)
    elif state.answer_due:
        if not _tools_run(state):
            undone = state.broken_off
            responses.create(draft, AS_USUAL if undone is None else undone.wishes)
    elif state.unheeded:
        begin_utterance(draft)
    elif state.announcements:
        now, *later = state.announcements
        draft.set(announcements=tuple(later))
        responses.begin_turn(draft)
        responses.speak(draft, now.text, metadata=now.metadata)


def begin_utterance(draft: Draft, event: ev.SpeechStarted = _UNNOTICED) -> None:
    """The caller speaks, or speaks on, and the agent listens.

    Sound that was held up by an outage was spoken before it came: `first_speech_ms` says when.
    """
    first_speech_ms = event.first_speech_ms
    state = draft.state
    playback.interrupt(draft)
    if state.caller is Caller.SILENT:
        noticed_ms = draft.at_ms if first_speech_ms is None else first_speech_ms
        started_ms = max(0, min(noticed_ms, draft.at_ms))
        draft.set(utterance_started_ms=started_ms, idle_prompts=0)
        if state.link is Link.ATTACHED:
            draft.do(do.StartTimer(timers.MAX_TURN, draft.at_ms + state.policy.max_turn_ms))
        turn = state.turn + 1
        draft.do(do.SendSpeech(do.SpeechMark.STARTED, turn, event.position_ms))
    draft.set(caller=Caller.SPEAKING, unheeded=False)
    draft.do(do.CancelTimer(timers.ENDPOINT))


def nothing_understood(draft: Draft) -> None:
    """Go back to what the noise broke off, or say that the caller was not understood.

    Broken off is the answer that the caller still waits for, or words that were not heard.
    """
    state = draft.state
    if not may_speak_up(state):
        return
    if state.broken_off is not None:
        _go_on(draft, state.broken_off)
    elif state.misses < MISSES and state.last_utterance_ms >= MISS_MIN_MS:
        draft.set(misses=state.misses + 1)
        responses.speak(draft, state.policy.not_understood_text)


def take_up(draft: Draft) -> None:
    """Go back to what was broken off by an utterance that counts for nothing."""
    if may_speak_up(draft.state) and draft.state.broken_off is not None:
        _go_on(draft, draft.state.broken_off)


def may_speak_up(state: CallState) -> bool:
    """Whether the agent may say something that nobody asked for, after an utterance."""
    return is_free(state) and state.policy.answers and not state.answer_due


def _go_on(draft: Draft, cut: Response) -> None:
    rest = left_to_say(cut)
    if rest is None:
        draft.set(unanswered=True)
    else:
        responses.speak(
            draft, rest, source=cut.source, end_reason=cut.end_reason, metadata=cut.metadata
        )


def _tools_run(state: CallState) -> bool:
    """Whether the broken-off answer has tools under way.

    Begun anew before it knows their results, it would use them twice.
    """
    cut = state.broken_off
    return cut is not None and not cut.tools.isdisjoint(state.tool_items)
