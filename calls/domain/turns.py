"""The caller's turn: speech, its end, and what was understood."""

from dataclasses import replace

from calls.domain import effects as do
from calls.domain import events as ev
from calls.domain import floor, playback, responses, timers
from calls.domain.conversation import add_item
from calls.domain.draft import Draft
from calls.domain.items import ItemStatus, Role, Source
from calls.domain.state import Awaited, Caller, Link
from calls.domain.timings import Turn, TurnTimings


def on_speech_started(draft: Draft, event: ev.SpeechStarted | ev.TalkStarted) -> None:
    state = draft.state
    if state.link not in floor.LIVE or state.caller is Caller.SPEAKING:
        return
    if floor.is_deaf(state):
        draft.set(unheeded=True)
    else:
        noticed = ev.SpeechStarted() if isinstance(event, ev.TalkStarted) else event
        floor.begin_utterance(draft, noticed)


def on_speech_stopped(draft: Draft, event: ev.SpeechStopped) -> None:
    """One deadline, counted from the last speech: noticing late costs nothing."""
    state = draft.state
    if state.caller is not Caller.SPEAKING:
        draft.set(unheeded=False)
        return
    last_ms = max(state.utterance_started_ms, min(event.last_speech_ms, draft.at_ms))
    position_ms = event.position_ms
    draft.set(caller=Caller.PAUSED, last_speech_ms=last_ms, last_speech_position_ms=position_ms)
    await_endpoint(draft)


def await_endpoint(draft: Draft) -> None:
    """The pause ends the turn when it has lasted long enough, by what the policy says now."""
    state = draft.state
    if state.caller is Caller.PAUSED and state.link is Link.ATTACHED:
        due_ms = state.last_speech_ms + state.policy.endpoint_silence_ms
        draft.do(do.StartTimer(timers.ENDPOINT, max(due_ms, draft.at_ms)))


def on_talk_stopped(draft: Draft, _event: ev.TalkStopped) -> None:
    draft.set(unheeded=False)
    if draft.state.caller is not Caller.SILENT:
        commit(draft)


def on_muted(draft: Draft, event: ev.Muted) -> None:
    """Muting ends the utterance like falling silent."""
    if event.muted:
        on_speech_stopped(draft, ev.SpeechStopped(at_ms=draft.at_ms, last_speech_ms=draft.at_ms))


def on_endpoint(draft: Draft) -> None:
    if draft.state.caller is Caller.PAUSED:
        commit(draft)


def on_turn_too_long(draft: Draft) -> None:
    """The agent takes the floor; speech that goes on is taken in after it."""
    if draft.state.caller is not Caller.SILENT:
        draft.set(unheeded=draft.state.caller is Caller.SPEAKING)
        commit(draft)


def commit(draft: Draft) -> None:
    """The caller's turn is over: have it understood."""
    state = draft.state
    speaking = state.caller is Caller.SPEAKING
    stopped_ms = draft.at_ms if speaking else state.last_speech_ms
    position_ms = None if speaking else state.last_speech_position_ms
    timings = TurnTimings(
        speech_started_ms=state.utterance_started_ms,
        speech_stopped_ms=stopped_ms,
        committed_ms=draft.at_ms,
    )
    playback.settle_cut(draft)
    responses.begin_turn(draft, timings)
    draft.set(
        caller=Caller.SILENT,
        last_utterance_ms=stopped_ms - state.utterance_started_ms,
        awaiting=(*state.awaiting, Awaited(draft.state.turn, timings)),
    )
    draft.do(
        do.CancelTimer(timers.ENDPOINT),
        do.CancelTimer(timers.MAX_TURN),
        do.SendSpeech(do.SpeechMark.COMMITTED, draft.state.turn, position_ms),
        do.CommitTurn(),
        do.StartTimer(timers.STT_WAIT, draft.at_ms + state.policy.stt_wait_ms),
    )


def on_partial(draft: Draft, event: ev.TranscriptPartial) -> None:
    state = draft.state
    turn = state.awaiting[0].turn if state.awaiting else state.turn + 1
    if state.awaiting or state.caller is not Caller.SILENT:
        draft.do(do.SendTranscript(turn, event.text, final=False))


def on_final(draft: Draft, event: ev.TranscriptFinal) -> None:
    if not draft.state.awaiting:
        return
    awaited = take_awaited(draft)
    text = event.text.strip()
    timings = replace(awaited.timings, transcript_ms=draft.at_ms)
    draft.do(do.SendTranscript(awaited.turn, text, final=True))
    latest = awaited.turn == draft.state.turn
    if latest:
        draft.set(timings=timings, stt=event.provider)
    if not (text and latest and _is_answered_now(draft, awaited)):
        # No answer follows that would put this turn on the record.
        draft.record(Turn(awaited.turn, timings, stt=event.provider))
    if text:
        _add_words(draft, awaited, text)
    else:
        draft.set(unheeded=False)
        if _wants_answer(awaited):
            floor.nothing_understood(draft)


def _is_answered_now(draft: Draft, awaited: Awaited) -> bool:
    state = draft.state
    due = state.answer_due or (_wants_answer(awaited) and state.policy.answers)
    return due and floor.is_free(state)


def _wants_answer(awaited: Awaited) -> bool:
    return awaited.answered and not awaited.removed


def take_awaited(draft: Draft) -> Awaited:
    """The turn whose transcript has come, or never will."""
    awaited, *rest = draft.state.awaiting
    draft.set(awaiting=tuple(rest))
    if not rest:
        draft.do(do.CancelTimer(timers.STT_WAIT))
    return awaited


def _add_words(draft: Draft, awaited: Awaited, text: str) -> None:
    draft.set(misses=0)
    if _wants_answer(awaited):
        draft.set(unanswered=True, broken_off=None)
    add_item(
        draft,
        Role.USER,
        text,
        turn=awaited.turn,
        status=ItemStatus.CANCELLED if awaited.removed else ItemStatus.COMPLETE,
        source=Source.VOICE,
        started_ms=awaited.timings.speech_started_ms,
        ended_ms=awaited.timings.speech_stopped_ms,
    )


def on_text_typed(draft: Draft, event: ev.TextTyped) -> None:
    if draft.state.link in floor.LIVE:
        take_text(draft, event.text, Source.TEXT)


def cut_in(draft: Draft) -> None:
    """The caller has begun to say something that is not spoken."""
    if not floor.is_deaf(draft.state):
        playback.interrupt(draft)
        playback.settle_cut(draft)


def take_text(draft: Draft, text: str, source: Source) -> None:
    """Words that are not spoken are a turn, or belong to the utterance that goes on."""
    cut_in(draft)
    state = draft.state
    if state.caller is Caller.SILENT:
        timings = TurnTimings(speech_stopped_ms=draft.at_ms, committed_ms=draft.at_ms)
        responses.begin_turn(draft, timings)
    draft.set(idle_prompts=0, misses=0, unanswered=True, broken_off=None)
    add_item(
        draft,
        Role.USER,
        text,
        turn=draft.state.turn if state.caller is Caller.SILENT else state.turn + 1,
        source=source,
        ended_ms=draft.at_ms,
    )


def give_up(draft: Draft) -> None:
    """There are no ears any more: nothing that was said can be understood."""
    if draft.state.caller is not Caller.SILENT:
        _discard(draft)
    while draft.state.awaiting:
        awaited = take_awaited(draft)
        draft.do(do.SendTranscript(awaited.turn, "", final=True))
        draft.record(Turn(awaited.turn, awaited.timings))


def on_turn_dropped(draft: Draft, event: ev.TurnDropped) -> None:
    """What is being said counts for nothing; nor is what was said before it, if told so."""
    state = draft.state
    if state.link not in floor.LIVE:
        return
    draft.set(unheeded=False)
    open_ = state.caller is not Caller.SILENT
    if open_:
        draft.do(do.CancelTimer(timers.ENDPOINT), do.CancelTimer(timers.MAX_TURN))
        _discard(draft)
    if event.unanswered and state.end_reason is None:
        _leave_unanswered(draft)
    elif open_:
        playback.settle_cut(draft)
        floor.take_up(draft)


def _leave_unanswered(draft: Draft) -> None:
    playback.dismiss(draft)
    awaiting = tuple(replace(awaited, answered=False) for awaited in draft.state.awaiting)
    draft.set(asked=None, awaiting=awaiting)


def _discard(draft: Draft) -> None:
    """Forget the open utterance; what was typed during it is a turn all the same."""
    turn = draft.state.turn + 1
    draft.set(caller=Caller.SILENT)
    draft.do(do.DiscardTurn(), do.SendSpeech(do.SpeechMark.DROPPED, turn))
    if any(item.turn == turn for item in draft.state.items):
        responses.begin_turn(draft, TurnTimings(committed_ms=draft.at_ms))
