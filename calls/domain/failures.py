"""A provider could not do its work: say so, and keep the call alive while that makes sense."""

from calls.domain import effects as do
from calls.domain import events as ev
from calls.domain import link, responses, timers, turns
from calls.domain.draft import Draft
from calls.domain.errors import EndReason, ErrorCode
from calls.domain.items import Source

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
        return link.end(draft, EndReason.PROVIDER_FAILED)
    match event.stage:
        case ev.Stage.STT:
            _not_heard(draft)
        case ev.Stage.TTS:
            _without_voice(draft)
        case _:
            _apologise(draft)


def on_stt_late(draft: Draft) -> None:
    """The session broke its promise of a final transcript."""
    while draft.state.awaiting:
        _fail(draft, ev.Stage.STT, None, "No transcript came in time.")


def on_response_late(draft: Draft) -> None:
    if (now := draft.state.response) is not None:
        draft.do(do.CancelResponse(now.response_id, now.heard_ms(draft.at_ms)))
        _fail(draft, ev.Stage.LLM, now.response_id, "No answer came in time.")


def _fail(draft: Draft, stage: ev.Stage, response_id: int | None, message: str) -> None:
    on_voice_failed(
        draft,
        ev.VoiceFailed(at_ms=draft.at_ms, stage=stage, response_id=response_id, message=message),
    )


def _concerns(draft: Draft, event: ev.VoiceFailed) -> bool:
    if event.fatal:
        return draft.state.link in link.LIVE
    if event.stage is ev.Stage.STT:
        return bool(draft.state.awaiting)
    now = responses.current(draft, event.response_id)
    return now is not None and not now.produced


def _worn_out(draft: Draft) -> bool:
    return draft.state.failures >= draft.state.policy.max_failures


def _not_heard(draft: Draft) -> None:
    turn = turns.take_awaited(draft)
    draft.do(do.SendTranscript(turn, "", final=True))
    if not turns.floor_free(draft.state):
        return
    reason = EndReason.PROVIDER_FAILED if _worn_out(draft) else None
    responses.speak(draft, draft.state.policy.apology_text, end_reason=reason)
    draft.respond(error=ErrorCode.STT_FAILED)


def _without_voice(draft: Draft) -> None:
    """The words are on the screen; what was said of them is played to its end."""
    now = draft.respond(error=ErrorCode.TTS_FAILED)
    if _worn_out(draft) and now.end_reason is None:
        draft.respond(end_reason=EndReason.PROVIDER_FAILED)
    responses.on_done(draft, ev.ResponseDone(at_ms=draft.at_ms, response_id=now.response_id))


def _apologise(draft: Draft) -> None:
    """Within the same response: what it has said so far stays said."""
    now = draft.state.response
    assert now is not None
    if now.error:
        return link.end(draft, EndReason.PROVIDER_FAILED)
    reason = EndReason.PROVIDER_FAILED if _worn_out(draft) else now.end_reason
    source = now.source if now.segments else Source.FIXED
    now = draft.respond(error=ErrorCode.LLM_FAILED, end_reason=reason, source=source)
    draft.do(
        do.Speak(now.response_id, draft.state.policy.apology_text),
        do.StartTimer(timers.RESPONSE_WAIT, draft.at_ms + draft.state.policy.response_wait_ms),
    )
