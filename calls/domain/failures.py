"""A provider could not do its work: say so, and keep the call alive while that makes sense."""

from calls.domain import effects as do
from calls.domain import events as ev
from calls.domain import floor, link, playback, responses, timers, turns
from calls.domain.draft import Draft
from calls.domain.errors import EndReason, ErrorCode
from calls.domain.items import Source
from calls.domain.state import Link, Response
from calls.domain.timings import Turn

_CODES = {
    ev.Stage.STT: ErrorCode.STT_FAILED,
    ev.Stage.LLM: ErrorCode.LLM_FAILED,
    ev.Stage.TTS: ErrorCode.TTS_FAILED,
    ev.Stage.VOICE: ErrorCode.INTERNAL,
}


def on_voice_failed(draft: Draft, event: ev.VoiceFailed) -> None:
    if not _concerns(draft, event):
        return
    code = ErrorCode.SPEECH_BUSY if event.busy else _CODES[event.stage]
    draft.do(do.SendError(code, event.message))
    draft.set(failures=draft.state.failures + 1)
    if event.fatal:
        turns.give_up(draft)
        link.end(draft, EndReason.PROVIDER_FAILED, do.Outcome.FAILED)
    elif event.stage is ev.Stage.STT:
        _not_heard(draft)
    elif event.stage is ev.Stage.TTS:
        _without_voice(draft)
    else:
        _apologise(draft)


def on_stt_late(draft: Draft) -> None:
    """The session broke its promise of a final transcript."""
    while draft.state.awaiting:
        message = "No transcript came in time."
        failed = ev.VoiceFailed(at_ms=draft.at_ms, stage=ev.Stage.STT, message=message)
        on_voice_failed(draft, failed)


def on_response_late(draft: Draft) -> None:
    """What was asked for does not come.

    The apology is another response, because late parts of this one may still be under way.
    """
    now = draft.state.response
    if now is None or (now.produced and not now.tools):
        return
    due_ms = _patient_until_ms(draft, now)
    if due_ms > draft.at_ms:
        draft.do(do.StartTimer(timers.RESPONSE_WAIT, due_ms))
        return
    draft.do(do.SendError(ErrorCode.LLM_FAILED, "No answer came in time."))
    draft.set(failures=draft.state.failures + 1)
    if now.error:
        link.end(draft, EndReason.PROVIDER_FAILED, do.Outcome.FAILED)
        return
    playback.interrupt(draft, do.Outcome.FAILED)
    reason = EndReason.PROVIDER_FAILED if _worn_out(draft) else now.end_reason
    text = draft.state.policy.apology_text
    responses.speak(draft, text, end_reason=reason, error=ErrorCode.LLM_FAILED)


def _patient_until_ms(draft: Draft, now: Response) -> int:
    """Nobody waits for more while tools run, or while there is still something to hear."""
    occupied = now.tools or now.heard_ms(draft.at_ms) < now.audio_ms
    since_ms = draft.at_ms if occupied else max(now.progress_ms, now.played_at_ms or 0)
    return since_ms + draft.state.policy.response_wait_ms


def _concerns(draft: Draft, event: ev.VoiceFailed) -> bool:
    if event.fatal:
        return draft.state.link is not Link.NEW
    if event.stage is ev.Stage.STT:
        return bool(draft.state.awaiting)
    now = playback.current(draft, event.response_id)
    return now is not None and not now.produced


def _worn_out(draft: Draft) -> bool:
    return draft.state.failures >= draft.state.policy.max_failures


def _not_heard(draft: Draft) -> None:
    awaited = turns.take_awaited(draft)
    draft.do(do.SendTranscript(awaited.turn, "", final=True))
    draft.record(Turn(awaited.turn, awaited.timings, error=ErrorCode.STT_FAILED))
    if not (awaited.answered and floor.may_speak_up(draft.state)):
        return
    reason = EndReason.PROVIDER_FAILED if _worn_out(draft) else None
    text = draft.state.policy.apology_text
    responses.speak(draft, text, end_reason=reason, error=ErrorCode.STT_FAILED)


def _without_voice(draft: Draft) -> None:
    """The words are on the screen; what was said of them is played to its end."""
    now = draft.respond(error=ErrorCode.TTS_FAILED)
    if _worn_out(draft) and now.end_reason is None:
        draft.respond(end_reason=EndReason.PROVIDER_FAILED)
    responses.on_done(draft, ev.ResponseDone(at_ms=draft.at_ms, response_id=now.response_id))


def _apologise(draft: Draft) -> None:
    """Within the same response: what it has said so far stays said, and it has no more to say."""
    now = draft.respond()
    if now.error:
        link.end(draft, EndReason.PROVIDER_FAILED, do.Outcome.FAILED)
        return
    draft.respond(
        complete=len(now.segments),
        error=ErrorCode.LLM_FAILED,
        end_reason=EndReason.PROVIDER_FAILED if _worn_out(draft) else now.end_reason,
        source=now.source if now.segments else Source.FIXED,
        tools=frozenset(),
        tools_used=False,
    )
    draft.do(do.Speak(now.response_id, draft.state.policy.apology_text))
    responses.await_response(draft)
