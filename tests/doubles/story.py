"""A call without a shell: rows of what happens and what the machine asks for, as sentences.

A story is a list of rows (`at_ms`, what happens, what follows). What follows is told in short
sentences, one per effect and in order; `...` stands for any number of others. Timers are real: a
row `timer(name)` may only stand where that timer is due, and none may be passed over.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from types import EllipsisType
from typing import Any

from calls.domain import effects as do
from calls.domain import events as ev
from calls.domain.audio import AGENT, CALLER
from calls.domain.items import Item, Mark, Role
from calls.domain.machine import step
from calls.domain.policy import Policy
from calls.domain.state import CallState
from calls.domain.timings import Turn
from calls.domain.wishes import AS_USUAL, Wishes

Row = tuple[int, ev.Event, Sequence[str | EllipsisType]]

QUIET = Policy(idle_ms=0, max_call_ms=0)
"""An agent that waits to be spoken to, and has all the time in the world."""


# What happens


def speech(position_ms: int | None = None) -> ev.Event:
    return ev.SpeechStarted(position_ms=position_ms)


def silence(since_ms: int, position_ms: int | None = None) -> ev.Event:
    return ev.SpeechStopped(last_speech_ms=since_ms, position_ms=position_ms)


def mic(ms: int = 20) -> ev.Event:
    return ev.MicAudio(pcm=bytes(CALLER.bytes(ms)))


def understood(text: str) -> ev.Event:
    return ev.TranscriptFinal(text=text, provider="ears")


def partly(text: str) -> ev.Event:
    return ev.TranscriptPartial(text=text)


def typed(text: str) -> ev.Event:
    return ev.TextTyped(text=text)


def words(response_id: int, text: str) -> ev.Event:
    return ev.ResponseText(response_id=response_id, text=text, provider="mind")


def sound(response_id: int, ms: int, *marks: tuple[int, int]) -> ev.Event:
    """So much sound; a mark is (characters of the text, milliseconds of its sound)."""
    return ev.ResponseAudio(
        response_id=response_id,
        pcm=bytes(AGENT.bytes(ms)),
        marks=tuple(Mark(*mark) for mark in marks),
        provider="voice",
    )


def made(response_id: int) -> ev.Event:
    return ev.ResponseDone(response_id=response_id)


def sent(response_id: int) -> ev.Event:
    return ev.AudioSent(response_id=response_id)


def played(response_id: int, ms: int, ahead_ms: int = 0) -> ev.Event:
    return ev.Played(response_id=response_id, played_ms=ms, buffered_ms=ahead_ms)


def cut(response_id: int, ms: int) -> ev.Event:
    return ev.PlaybackCut(response_id=response_id, played_ms=ms)


def heard_out(response_id: int, ms: int = 0) -> ev.Event:
    return ev.PlayoutDrained(response_id=response_id, heard_ms=ms)


def stored(item_id: int, revision: int = 0) -> ev.Event:
    return ev.ItemStored(item_id=item_id, revision=revision)


def timer(name: str) -> ev.Event:
    return ev.TimerFired(name=name)


def wants_tool(response_id: int, call: str, name: str = "book") -> ev.Event:
    return ev.ToolRequested(response_id=response_id, tool_call_id=call, name=name, arguments="{}")


def tool_done(call: str, output: str = "ok", *, failed: bool = False) -> ev.Event:
    return ev.ToolFinished(tool_call_id=call, output=output, failed=failed)


def orders(response_id: int, direction: str) -> ev.Event:
    return ev.ResponseDirected(response_id=response_id, direction=ev.Direction(direction))


def key(digit: str) -> ev.Event:
    return ev.DigitPressed(digit=digit)


def dropped(*, unanswered: bool = False) -> ev.Event:
    return ev.TurnDropped(unanswered=unanswered)


def wants_answer(**wishes: Any) -> ev.Event:
    return ev.AnswerAsked(wishes=Wishes(**wishes))


def cancels(response_id: int | None = None) -> ev.Event:
    return ev.AnswerCancelled(response_id=response_id)


def gives(role: str, text: str, ref: str = "") -> ev.Event:
    return ev.EntryGiven(role=Role(role), text=text, ref=ref)


def removes(**named: Any) -> ev.Event:
    return ev.EntryRemoved(**named)


def heard(response_id: int, ms: int) -> ev.Event:
    return ev.HeardTold(response_id=response_id, heard_ms=ms)


def led(policy: Policy = QUIET, **changes: Any) -> ev.Event:
    return ev.PolicyChanged(policy=replace(policy, **changes))


def fails(stage: str, response_id: int | None = None, **how: bool) -> ev.Event:
    return ev.VoiceFailed(
        stage=ev.Stage(stage), message=f"{stage} is away.", response_id=response_id, **how
    )


# What follows, in words


def tell(effect: do.Effect) -> str:
    """One sentence for an effect; different effects differ, but for items' times and turns."""
    return _SENTENCES[type(effect)](effect)


def tell_item(item: Item) -> str:
    who = f"tool {item.tool_name}" if item.role is Role.TOOL else str(item.role)
    status = "" if item.status == "complete" else f" {item.status}"
    rest = f"|{item.unheard}" if item.unheard else ""
    return f"{item.item_id} {who}{status}: {item.text}{rest}"


def _tell_turn(turn: Turn) -> str:
    parts = [f"{turn.turn}:"]
    if turn.response_id is not None:
        parts.append(f"heard {turn.heard_ms} of {turn.spoken_ms}")
    parts += ["interrupted"] * turn.interrupted + [turn.error] * bool(turn.error)
    return " ".join(parts)


def _context(items: Iterable[Item]) -> str:
    return " / ".join(f"{i.role} {i.text}".strip() for i in items) or "nothing"


def _transcript(effect: do.SendTranscript) -> str:
    return f"caption {effect.turn}{'' if effect.final else ' so far'}: {effect.text}"


def _create(effect: do.CreateResponse) -> str:
    tools = "" if effect.tools_allowed else " without tools"
    wishes = "" if effect.wishes == AS_USUAL else " as wished"
    return f"answer {effect.response_id}{tools}{wishes}: {_context(effect.items)}"


def _speech(effect: do.SendSpeech) -> str:
    where = "" if effect.position_ms is None else f" at {effect.position_ms}"
    return f"speech {effect.turn} {effect.mark}{where}"


def _began(effect: do.SendResponseBegan) -> str:
    extra = f" with {dict(effect.metadata)}" if effect.metadata else ""
    return f"began {effect.response_id}.{effect.round} in turn {effect.turn}{extra}"


def _tool(effect: do.SendTool) -> str:
    state = "runs" if effect.running else "failed" if effect.failed else "is done"
    return f"tool {effect.tool_call_id} {state}"


_SENTENCES: dict[type[do.Effect], Any] = {
    do.SendPhase: lambda e: f"phase {e.phase}",
    do.SendTranscript: _transcript,
    do.SendResponseText: lambda e: f"show text {e.response_id} from {e.start_ms}: {e.text}",
    do.SendItem: lambda e: f"show {tell_item(e.item)}",
    do.SendTool: _tool,
    do.SendError: lambda e: f"error {e.code}",
    do.SendTurn: lambda e: f"show turn {_tell_turn(e.turn)}",
    do.SendAudio: lambda e: f"sound {e.response_id}: {AGENT.ms(e.pcm)}",
    do.FinishAudio: lambda e: f"finish {e.response_id}",
    do.ClearAudio: lambda e: f"clear {e.response_id}",
    do.SettleHeard: lambda e: f"settle {e.response_id} at {e.heard_ms}",
    do.HoldAudio: lambda _e: "hold",
    do.ReleaseAudio: lambda _e: "release",
    do.ForwardAudio: lambda e: f"listen {CALLER.ms(e.pcm)}",
    do.CommitTurn: lambda _e: "commit",
    do.DiscardTurn: lambda _e: "discard",
    do.CreateResponse: _create,
    do.Speak: lambda e: f"say {e.response_id}: {e.text}",
    do.CancelResponse: lambda e: f"cancel {e.response_id} at {e.heard_ms}",
    do.ResetVoice: lambda e: f"reset: {e.system_prompt}",
    do.RunTool: lambda e: f"run {e.tool_call_id} {e.name}{e.arguments}",
    do.StoreItem: lambda e: f"store {tell_item(e.item)}",
    do.StoreTurn: lambda e: f"store turn {_tell_turn(e.turn)}",
    do.StartTimer: lambda e: f"{e.name} at {e.due_ms}",
    do.CancelTimer: lambda e: f"no {e.name}",
    do.EndCall: lambda e: f"end: {e.reason}",
    do.SendSpeech: _speech,
    do.SendResponseBegan: _began,
    do.SendResponseMade: lambda e: f"made {e.response_id}.{e.round} {e.outcome}",
}

ASIDE = (do.SendSpeech, do.SendResponseBegan, do.SendResponseMade)
"""What only clients that lead hear of: told where a story asks for it."""


class Call:
    """The machine, its clock and its timers; effects are remembered, and stored items too.

    Attributes:
        tells_all: whether what only clients that lead hear of is told as well.
    """

    def __init__(self, policy: Policy = QUIET, **changes: Any) -> None:
        self.tells_all = False
        self.state = CallState(policy=replace(policy, **changes))
        self.now_ms = 0
        self.timers: dict[str, int] = {}
        self.effects: list[do.Effect] = []

    @property
    def conversation(self) -> list[str]:
        return [tell_item(item) for item in self.state.items]

    @property
    def sentences(self) -> list[str]:
        """All that followed so far."""
        return self._tell(self.effects)

    def telling_all(self) -> "Call":
        self.tells_all = True
        return self

    def _tell(self, effects: Iterable[do.Effect]) -> list[str]:
        return [tell(e) for e in effects if self.tells_all or not isinstance(e, ASIDE)]

    def happens(self, at_ms: int, event: ev.Event) -> list[str]:
        """Let it happen; return what follows."""
        assert at_ms >= self.now_ms, "a story does not go back in time"
        self.now_ms = at_ms
        self._pass_timers(event)
        self.state, effects = step(self.state, replace(event, at_ms=at_ms))
        for effect in effects:
            self._follow(effect)
        self.effects += effects
        return self._tell(effects)

    def play(self, *rows: Row) -> "Call":
        """Let the rows happen, each followed by what it says."""
        for at_ms, event, expected in rows:
            told = self.happens(at_ms, event)
            assert _fits(told, expected), f"{at_ms} {event}:\n  " + "\n  ".join(told)
        return self

    def after(self, *events: tuple[int, ev.Event]) -> "Call":
        """Let these happen, whatever follows."""
        for at_ms, event in events:
            self.happens(at_ms, event)
        return self

    def _pass_timers(self, event: ev.Event) -> None:
        if isinstance(event, ev.TimerFired):
            due_ms = self.timers.pop(event.name, None)
            assert due_ms == self.now_ms, f"{event.name} is due at {due_ms}, not at {self.now_ms}"
        missed = {name: due for name, due in self.timers.items() if due < self.now_ms}
        assert not missed, f"passed over: {missed}"

    def _follow(self, effect: do.Effect) -> None:
        if isinstance(effect, do.StartTimer):
            self.timers[effect.name] = effect.due_ms
        elif isinstance(effect, do.CancelTimer):
            self.timers.pop(effect.name, None)
        elif isinstance(effect, do.EndCall):
            self.timers.clear()


def _fits(told: Sequence[str], expected: Sequence[str | EllipsisType]) -> bool:
    if not expected:
        return not told
    first, rest = expected[0], expected[1:]
    if isinstance(first, EllipsisType):
        return any(_fits(told[skip:], rest) for skip in range(len(told) + 1))
    return bool(told) and told[0] == first and _fits(told[1:], rest)


# How most stories begin


def begun(**policy: Any) -> Call:
    """A call in which nobody has said anything, at 0."""
    return Call(**policy).after((0, ev.CallStarted()))


def asked(question: str = "What time is it?", **policy: Any) -> Call:
    """The caller asked, from 1000 to 2000, and was understood; answer 1 is in the making, at 2900."""
    return begun(**policy).after(
        (1000, speech()),
        (2200, silence(2000)),
        (2600, timer("endpoint")),
        (2900, understood(question)),
        (2905, stored(1)),
    )


def answering(**policy: Any) -> Call:
    """Answer 1, two pieces of a second each, is made, and is heard from 3200 on."""
    return asked(**policy).after(
        (3000, words(1, "It is four.")),
        (3100, sound(1, 1000)),
        (3100, sent(1)),
        (3110, words(1, " Good night.")),
        (3120, sound(1, 1000)),
        (3130, made(1)),
        (3135, stored(2)),
        (3200, played(1, 0, 400)),
    )


def answered(**policy: Any) -> Call:
    """Answer 1 was heard to its end, at 5200."""
    return answering(**policy).after(
        (5195, played(1, 1995)),
        (5200, heard_out(1, 2000)),
        (5205, stored(2, 1)),
    )
