"""What a client said, handed to the parts of its call."""

import logging

from calls.domain import events as ev
from calls.engine.registry import LiveCall
from calls.engine.toolbox import OUTPUT_CHARS
from calls.ports.errors import ProviderError
from calls.ports.voice import SessionChange
from calls.wire.base import (
    AsideAsked,
    AsideCancelled,
    ClientAudio,
    EncodedAudio,
    HearingChange,
    Inbound,
    Received,
    ToolResult,
    TurnsMode,
)
from calls.wiring.shared import audio_files

logger = logging.getLogger(__name__)


async def pass_all(call: LiveCall, received: Received) -> None:
    """Hand on all of it, in order. Waits for nothing but the decoding of files."""
    for inbound in received.inbound:
        if isinstance(inbound, EncodedAudio):
            await _decoded(call, inbound)
        else:
            pass_on(call, inbound)


def pass_on(call: LiveCall, inbound: Inbound) -> None:
    """Hand on what needs no decoding. Never waits."""
    match inbound:
        case ClientAudio(None, pcm):
            call.intake.take_next(pcm)
        case ClientAudio(int(position), pcm):
            call.intake.take(position, pcm)
        case ev.Event():
            _happened(call, inbound)
        case TurnsMode(push_to_talk):
            call.intake.use_push_to_talk(push_to_talk)
        case HearingChange(threshold=threshold, prefix_ms=prefix_ms):
            call.intake.tune(threshold=threshold, prefix_ms=prefix_ms)
        case _:
            _led(call, inbound)


def _happened(call: LiveCall, event: ev.Event) -> None:
    match event:
        case ev.TalkStarted():
            call.intake.talk(True)
        case ev.TalkStopped() if call.intake.push_to_talk:
            call.intake.talk(False)
        case ev.Muted(muted=muted):
            call.intake.mute(muted)
        case ev.TurnDropped():
            call.intake.drop()
            call.runner.post(event)
        case ev.Played(response_id=response_id, played_ms=played_ms):
            call.runner.playout.played(response_id, played_ms)
            call.runner.post(event)
        case ev.AnswerAsked(wishes=wishes):
            if wishes.tools is not None:
                call.runner.expect_client_tools(str(tool.get("name")) for tool in wishes.tools)
            call.runner.post(event)
        case _:
            call.runner.post(event)


def _led(call: LiveCall, inbound: Inbound) -> None:
    """From a client that leads the conversation itself."""
    match inbound:
        case SessionChange():
            call.runner.configure(inbound)
        case ToolResult(tool_call_id, output, failed):
            kept = output[:OUTPUT_CHARS]
            answered = ev.ToolFinished(tool_call_id=tool_call_id, output=kept, failed=failed)
            call.runner.post(answered)
        case AsideAsked(aside_id, items, wishes):
            call.runner.ask_aside(aside_id, items, wishes)
        case AsideCancelled(aside_id):
            call.runner.cancel_aside(aside_id)


async def _decoded(call: LiveCall, file: EncodedAudio) -> None:
    """What cannot be decoded was silence, as far as the call is concerned."""
    try:
        pcm = await audio_files().decode(file.data)
    except ProviderError as error:
        extra = {"call_id": call.call_id, "kind": error.kind}
        logger.warning("the client's sound could not be decoded", extra=extra)
        return
    call.intake.take_next(pcm)
