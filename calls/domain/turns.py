"""The caller's turn: speech, its end, and what was understood."""

from dataclasses import replace

from calls.domain import effects as do
from calls.domain import events as ev
from calls.domain import responses, timers
from calls.domain.conversation import add_item, last_user_item
from calls.domain.draft import Draft
from calls.domain.items import Item, ItemStatus, Role, Source
from calls.domain.state import Caller, CallState, Link
from calls.domain.timings import Turn, TurnTimings

MISSES = 2
"""How often in a row the agent says that it understood nothing."""

MISS_MIN_MS = 500
"""A shorter utterance of which nothing was understood was a noise, and is passed over."""


def on_speech_started(draft: Draft, _event: ev.SpeechStarted | ev.TalkStarted) -> None:
    state = draft.state
    if state.link is not Link.ATTACHED or state.caller is Caller.SPEAKING or _deaf(state):
        return
    if state.caller is Caller.SILENT:
        draft.set(utterance_started_ms=draft.at_ms, idle_prompts=0)
        draft.do(do.StartTimer(timers.MAX_TURN, draft.at_ms + state.policy.max_turn_ms))
    responses.interrupt(draft)
    draft.set(caller=Caller.SPEAKING)
    draft.do(do.CancelTimer(timers.ENDPOINT))


def _deaf(state: CallState) -> bool:
    """While the agent may not be interrupted, or takes its leave for good."""
    speaking = state.response is not None
    return speaking and (not state.policy.interruptible or state.end_reason is not None)


def on_mic_audio(draft: Draft, event: ev.MicAudio) -> None:
    if draft.state.caller is not Caller.SILENT:
        draft.do(do.ForwardAudio(event.pcm))


def on_speech_stopped(draft: Draft, event: ev.SpeechStopped) -> None:
    """One deadline, counted from the last speech: noticing late costs nothing."""
    if draft.state.caller is not Caller.SPEAKING:
        return
    draft.set(caller=Caller.PAUSED, last_speech_ms=event.last_speech_ms)
    if draft.state.link is Link.ATTACHED:
        due_ms = event.last_speech_ms + draft.state.policy.endpoint_silence_ms
        draft.do(do.StartTimer(timers.ENDPOINT, max(due_ms, draft.at_ms)))


def on_talk_stopped(draft: Draft, _event: ev.TalkStopped) -> None:
    if draft.state.caller is not Caller.SILENT:
        draft.set(last_speech_ms=draft.at_ms)
        commit(draft)


def on_muted(draft: Draft, event: ev.Muted) -> None:
    """Muting ends the utterance like falling silent."""
    if event.muted and draft.state.caller is Caller.SPEAKING:
        on_speech_stopped(draft, ev.SpeechStopped(at_ms=draft.at_ms, last_speech_ms=draft.at_ms))


def on_turn_too_long(draft: Draft) -> None:
    if draft.state.caller is not Caller.SILENT:
        draft.set(last_speech_ms=draft.at_ms)
        commit(draft)


def commit(draft: Draft) -> None:
    """The caller's turn is over: have it understood."""
    state = draft.state
    stopped_ms = max(state.last_speech_ms, state.utterance_started_ms)
    responses.settle_cut(draft)
    responses.begin_turn(
        draft,
        TurnTimings(
            speech_started_ms=state.utterance_started_ms,
            speech_stopped_ms=stopped_ms,
            committed_ms=draft.at_ms,
        ),
    )
    draft.set(
        caller=Caller.SILENT,
        last_utterance_ms=stopped_ms - state.utterance_started_ms,
        awaiting=(*state.awaiting, draft.state.turn),
    )
    draft.do(
        do.CancelTimer(timers.ENDPOINT),
        do.CancelTimer(timers.MAX_TURN),
        do.CommitTurn(),
        do.StartTimer(timers.STT_WAIT, draft.at_ms + state.policy.stt_wait_ms),
    )


def on_partial(draft: Draft, event: ev.TranscriptPartial) -> None:
    state = draft.state
    turn = state.awaiting[0] if state.awaiting else state.turn + 1
    if state.awaiting or state.caller is not Caller.SILENT:
        draft.do(do.SendTranscript(turn, event.text, final=False))


def on_final(draft: Draft, event: ev.TranscriptFinal) -> None:
    if not draft.state.awaiting:
        return
    turn = take_awaited(draft)
    if turn == draft.state.turn:
        timings = replace(draft.state.timings, transcript_ms=draft.at_ms)
        draft.set(timings=timings, stt=event.provider)
    draft.do(do.SendTranscript(turn, event.text, final=True))
    if event.text:
        draft.set(misses=0)
        _add_words(draft, turn, event.text)
    else:
        draft.do(do.StoreTurn(Turn(turn, draft.state.timings, stt=event.provider)))
    if floor_free(draft.state):
        answer(draft, understood=bool(event.text))


def take_awaited(draft: Draft) -> int:
    """The turn whose transcript has come, or never will."""
    turn, *rest = draft.state.awaiting
    draft.set(awaiting=tuple(rest))
    if not rest:
        draft.do(do.CancelTimer(timers.STT_WAIT))
    return turn


def _add_words(draft: Draft, turn: int, text: str) -> Item:
    timings = draft.state.timings
    spoken = turn == draft.state.turn and timings.speech_started_ms is not None
    return add_item(
        draft,
        Role.USER,
        text,
        turn=turn,
        source=Source.VOICE,
        started_ms=timings.speech_started_ms if spoken else draft.at_ms,
        ended_ms=timings.speech_stopped_ms if spoken else draft.at_ms,
    )


def floor_free(state: CallState) -> bool:
    """Whether the agent may begin to speak."""
    silent = state.caller is Caller.SILENT and not state.awaiting
    return silent and state.response is None and state.link in (Link.ATTACHED, Link.DETACHED)


def answer(draft: Draft, *, understood: bool) -> None:
    """Give the floor to the agent after a turn of the caller.

    When nothing was understood it goes back to what the noise broke off: the answer that the
    caller still waits for, or the words that were not heard.
    """
    last = draft.state.items[-1] if draft.state.items else None
    user = last_user_item(draft.state)
    if understood or (last is not None and last is user):
        return responses.create(draft)
    if last is not None and last.status is ItemStatus.INTERRUPTED:
        return _go_on(draft, last)
    misses = draft.state.misses + 1
    draft.set(misses=misses)
    if misses <= MISSES and draft.state.last_utterance_ms >= MISS_MIN_MS:
        responses.speak(draft, draft.state.policy.not_understood_text)


def _go_on(draft: Draft, broken_off: Item) -> None:
    if draft.state.cut_whole and broken_off.unheard.strip():
        responses.speak(draft, broken_off.unheard, source=broken_off.source)
    elif not draft.state.cut_whole:
        responses.create(draft)


def on_text_typed(draft: Draft, event: ev.TextTyped) -> None:
    state = draft.state
    if state.link is not Link.ATTACHED or _deaf(state):
        return
    responses.interrupt(draft)
    responses.settle_cut(draft)
    responses.begin_turn(
        draft, TurnTimings(speech_stopped_ms=draft.at_ms, committed_ms=draft.at_ms)
    )
    draft.set(idle_prompts=0, misses=0)
    add_item(draft, Role.USER, event.text, source=Source.TEXT, ended_ms=draft.at_ms)
    if floor_free(draft.state):
        responses.create(draft)
