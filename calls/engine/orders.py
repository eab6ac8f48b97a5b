"""What a voice session is asked for, one order after another."""

from calls.domain import effects as do
from calls.engine.lanes import Lane
from calls.ports.voice import SessionChange, VoiceSession

Order = do.Effect | SessionChange


async def give(voice: VoiceSession, order: Order) -> None:
    """Pass it on in the session's words."""
    match order:
        case do.ForwardAudio(pcm):
            await voice.listen(pcm)
        case do.CommitTurn():
            await voice.commit()
        case do.DiscardTurn():
            await voice.discard()
        case SessionChange():
            await voice.configure(order)
        case _:
            await _answer(voice, order)


async def _answer(voice: VoiceSession, order: Order) -> None:
    match order:
        case do.CreateResponse(response_id, items, tools_allowed, wishes):
            await voice.respond(response_id, items, tools_allowed=tools_allowed, wishes=wishes)
        case do.Speak(response_id, text):
            await voice.say(response_id, text)
        case do.CancelResponse(response_id, heard_ms):
            await voice.cancel(response_id, heard_ms)
        case do.SettleHeard(response_id, heard_ms):
            await voice.settle(response_id, heard_ms)
        case do.ResetVoice(system_prompt):
            await voice.reset(system_prompt)


def make_room(lane: Lane[Order], job: Order) -> int:
    """Take `job` into a full lane: the oldest sound makes room, and no decision is ever dropped.

    Returns:
        How many pieces of sound were dropped.
    """
    dropped = lane.remove(lambda waiting: isinstance(waiting, do.ForwardAudio), most=1)
    if not isinstance(job, do.ForwardAudio | SessionChange) or dropped:
        lane.force(job)
        return dropped
    return int(isinstance(job, do.ForwardAudio))
