"""What nobody expects of a call: any event at all, in any state."""

from random import Random

from calls.domain import events as ev
from calls.domain.audio import AGENT
from calls.domain.items import Mark, Role
from calls.domain.policy import Policy
from calls.domain.wishes import AS_USUAL, Wishes

TIMERS = (
    "endpoint", "max_turn", "stt_wait", "response_wait", "cut", "idle", "max_call", "hard_end",
    "resume", "end", "digits",
)  # fmt: skip
TEXTS = ("", " ", "It is four. ", "Good night.", "現在四時です。")
TOOLS = ("a", "b", "c")
REFS = ("", "x", "y")
WISHES = (
    AS_USUAL,
    Wishes(tool_choice="none"),
    Wishes(tool_choice="required", metadata={"a": 1}),
    Wishes(instructions="Be brief."),
)


def of_response(chance: Random, key: int) -> ev.Event:
    """Anything that belongs to this response."""
    length_ms = chance.choice((0, 1, 20, 700))
    return chance.choice((
        ev.ResponseText(response_id=key, text=chance.choice(TEXTS)),
        ev.ResponseAudio(response_id=key, pcm=bytes(AGENT.bytes(length_ms))),
        ev.ResponseAudio(response_id=key, pcm=bytes(AGENT.bytes(20)), marks=(Mark(-1, 9), Mark(99, -9))),
        ev.ResponseDone(response_id=key),
        ev.ToolRequested(response_id=key, tool_call_id=chance.choice(TOOLS), name="x", arguments=""),
        ev.ResponseDirected(response_id=key, direction=chance.choice(list(ev.Direction))),
        ev.ResponseNoted(response_id=key, metadata=chance.choice(("", "[]", '{"a": 2}'))),
        ev.AudioSent(response_id=key),
        ev.Played(
            response_id=key,
            played_ms=chance.randrange(-9, 2000),
            buffered_ms=chance.randrange(-9, 2000),
        ),
        ev.PlaybackCut(response_id=key, played_ms=chance.randrange(-9, 2000)),
        ev.PlayoutDrained(response_id=key, heard_ms=chance.randrange(2000)),
        ev.AnswerCancelled(response_id=key),
        ev.EntryRemoved(response_id=key),
        ev.HeardTold(response_id=key, heard_ms=chance.randrange(-9, 2000)),
        ev.VoiceFailed(stage=chance.choice(list(ev.Stage)), message="?", response_id=key),
    ))  # fmt: skip


def led(chance: Random) -> ev.Event:
    """Anything that a client may say that leads the conversation itself."""
    policy = Policy(
        answers=chance.random() < 0.5,
        idle_ms=chance.choice((0, 5_000)),
        endpoint_silence_ms=chance.choice((0, 200, 2_000)),
        interruptible=chance.random() < 0.8,
    )
    return chance.choice((
        ev.AnswerAsked(wishes=chance.choice(WISHES)),
        ev.AnswerCancelled(),
        ev.EntryGiven(role=chance.choice(list(Role)), text="?", ref=chance.choice(REFS)),
        ev.EntryRemoved(ref=chance.choice(REFS)),
        ev.EntryRemoved(turn=chance.randrange(6)),
        ev.EntryRemoved(tool_call_id=chance.choice(("", *TOOLS))),
        ev.PolicyChanged(policy=policy),
        ev.TurnDropped(unanswered=chance.random() < 0.5),
        ev.DigitPressed(digit=chance.choice(("1", "#", "*", "D", "x", "", "12"))),
    ))  # fmt: skip


def anything(chance: Random) -> ev.Event:
    """Any event at all, in any state: what nobody expects."""
    if chance.random() < 0.4:
        return of_response(chance, chance.randrange(6))
    if chance.random() < 0.3:
        return led(chance)
    return chance.choice((
        ev.CallStarted(),
        ev.ClientAttached(),
        ev.ClientDetached(),
        ev.SpeechStarted(),
        ev.SpeechStarted(first_speech_ms=chance.randrange(-9, 9000)),
        ev.SpeechStopped(last_speech_ms=chance.randrange(-9, 9000)),
        ev.TalkStarted(),
        ev.TalkStopped(),
        ev.Muted(muted=chance.random() < 0.5),
        ev.MicAudio(pcm=bytes(6)),
        ev.TextTyped(text="?"),
        ev.TranscriptPartial(text="?"),
        ev.TranscriptFinal(text=chance.choice(("", "?"))),
        ev.ToolFinished(tool_call_id=chance.choice(TOOLS), output="?"),
        ev.ItemStored(item_id=chance.randrange(-2, 9), revision=chance.randrange(3)),
        ev.TimerFired(name=chance.choice((*TIMERS, "?"))),
        ev.AnswerGiven(text=""),
        ev.ConversationReset(entries=(("?", "?"),), system_prompt="?"),
    ))  # fmt: skip
