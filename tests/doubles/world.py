"""All that surrounds the machine, as it behaves as a rule: what is likely to happen next.

A `World` follows the machine's effects and knows what a well-behaved client, voice session,
record and clock could do then. Uniform noise hardly ever gets a call as far as an interrupted
answer; a world gets it there in a dozen steps, and mixes in what nobody expects.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from random import Random

from calls.domain import effects as do
from calls.domain import events as ev
from calls.domain.audio import AGENT, CALLER
from calls.domain.errors import EndReason
from calls.domain.items import Mark, Role
from calls.domain.policy import Policy
from tests.doubles.surprises import TEXTS, WISHES, anything, of_response

Likely = tuple[int, Callable[[], ev.Event]]


@dataclass(slots=True)
class _Answer:
    """A response as the voice session and the playout see it."""

    response_id: int
    making: bool = True
    texts: int = 0
    audio_ms: int = 0
    sent: bool = False
    finished: bool = False
    played_ms: int = 0
    tools: list[str] = field(default_factory=list)


class World:
    """The outside of one call.

    Args:
        chance: decides between what is likely; drawn by the test, so that failures shrink.
        surprise: the share, of 100, of events that nobody expects.
        led: whether the client asks for answers itself.
    """

    def __init__(self, chance: Random, *, surprise: int, led: bool = False) -> None:
        self.now_ms = 0
        self.timers: dict[str, int] = {}
        self.over = False
        self._chance = chance
        self._surprise = surprise
        self._led = led
        self._given = 0
        self._started = False
        self._attached = False
        self._speaking = False
        self._muted = False
        self._commits = 0
        self._answers: dict[int, _Answer] = {}
        self._gone: list[int] = []
        self._cleared: list[_Answer] = []
        self._tools: list[str] = []
        self._unstored: list[tuple[int, int]] = []
        self._calls = count()

    # Time

    def next_timer(self, until_ms: int) -> ev.TimerFired | None:
        """The next timer due by then; time goes on to it."""
        name = min(self.timers, key=lambda name: self.timers[name], default=None)
        if name is None or self.timers[name] > until_ms:
            return None
        self.now_ms = max(self.now_ms, self.timers.pop(name))
        return ev.TimerFired(at_ms=self.now_ms, name=name)

    # What may happen

    def next_event(self) -> ev.Event:
        """What happens now: something likely as a rule, else anything."""
        if self._chance.randrange(100) < self._surprise:
            event = anything(self._chance)
        else:
            likely = self._likely()
            weights = [weight for weight, _ in likely]
            (make,) = self._chance.choices([make for _, make in likely], weights)
            event = make()
        self._note(event)
        return replace(event, at_ms=self.now_ms)

    def calm_event(self) -> ev.Event | None:
        """How what is under way comes to its end; None: only time goes by."""
        ends = [self._final] if self._commits else []
        ends += [self._cut] if self._cleared else []
        ends += [make for _, make in self._records()]
        for answer in self._answers.values():
            if answer.making:
                ends += [partial(self._made, answer)]
            elif answer.finished:
                ends += [make for _, make in self._playing(answer)[-1:]]
        return replace(ends[0](), at_ms=self.now_ms) if ends else None

    def _likely(self) -> list[Likely]:
        if not self._started:
            return [(1, ev.CallStarted)]
        return [*self._caller(), *self._voice(), *self._records(), (1, self._ours)]

    def _caller(self) -> list[Likely]:
        if not self._attached:
            return [(60, ev.ClientAttached), (6, ev.SpeechStarted), (1, ev.HungUp)]
        likely: list[Likely] = [
            (3, self._typed),
            (2, self._detached),
            (1, self._mute),
            (1, ev.ClientAttached),
            *self._leading(),
        ]
        if self._speaking:
            return [*likely, (40, self._mic), (40, self._stopped), (4, ev.TalkStopped)]
        # Few people interrupt.
        eager = 4 if self._answers or self._commits else 30
        return [*likely, (eager, ev.SpeechStarted), (2, ev.TalkStarted), (1, self._mic)]

    def _leading(self) -> list[Likely]:
        """A client that asks for answers does so when nothing goes on; any may do the rest."""
        quiet = not (self._speaking or self._commits)
        wanted = (25 if quiet and not self._answers else 8) if self._led else 1
        if self._dialling:
            return [(30, self._digit)]
        return [
            (wanted, self._asked),
            (1, self._digit),
            (1, self._stop),
            (2, self._give),
            (1, self._remove),
            (2, self._heard),
            (6 if self._speaking else 1, self._drop),
            (1, self._change),
        ]

    def _voice(self) -> list[Likely]:
        likely: list[Likely] = []
        if self._commits:
            likely += [(30, self._final), (5, self._partial), (2, self._deaf)]
        for answer in self._answers.values():
            if answer.making:
                likely += self._making(answer)
            likely += self._playing(answer)
        if self._gone:
            likely += [(3, self._late)]
        if self._cleared:
            likely += [(20, self._cut)]
        return likely

    def _making(self, answer: _Answer) -> list[Likely]:
        key = answer.response_id
        likely: list[Likely] = [
            (20, lambda: self._text(answer)),
            (8, lambda: self._made(answer)),
            (5, lambda: self._tool(answer)),
            (1, lambda: self._directed(answer)),
            (1, lambda: ev.ResponseNoted(response_id=key, metadata='{"a": 1}')),
            (1, lambda: self._failed(answer)),
        ]
        return [*likely, (40, lambda: self._audio(answer))] if answer.texts else likely

    def _playing(self, answer: _Answer) -> list[Likely]:
        key = answer.response_id
        if answer.audio_ms and not answer.sent:
            return [(40, lambda: self._sent(answer))]
        likely: list[Likely] = [(20, lambda: self._played(answer))] if answer.sent else []
        if answer.finished:
            likely += [(20, lambda: ev.PlayoutDrained(response_id=key, heard_ms=answer.audio_ms))]
        return likely

    def _records(self) -> list[Likely]:
        likely: list[Likely] = [(20, self._stored)] if self._unstored else []
        return [*likely, (10, self._tool_done)] if self._tools else likely

    # The caller and the client

    def _typed(self) -> ev.Event:
        return ev.TextTyped(text="Hello")

    def _detached(self) -> ev.Event:
        return ev.ClientDetached()

    def _mute(self) -> ev.Event:
        return ev.Muted(muted=not self._muted)

    def _mic(self) -> ev.Event:
        return ev.MicAudio(pcm=bytes(CALLER.bytes(20)))

    def _stopped(self) -> ev.Event:
        return ev.SpeechStopped(last_speech_ms=self.now_ms - self._chance.randrange(400))

    def _played(self, answer: _Answer) -> ev.Event:
        answer.played_ms = self._chance.randint(answer.played_ms, answer.audio_ms)
        ahead_ms = self._chance.choice((0, 80, 400))
        return ev.Played(
            response_id=answer.response_id, played_ms=answer.played_ms, buffered_ms=ahead_ms
        )

    def _sent(self, answer: _Answer) -> ev.Event:
        answer.sent = True
        return ev.AudioSent(response_id=answer.response_id)

    def _cut(self) -> ev.Event:
        answer = self._cleared.pop(0)
        played_ms = self._chance.randint(answer.played_ms, answer.audio_ms)
        return ev.PlaybackCut(response_id=answer.response_id, played_ms=played_ms)

    # A client that leads

    def _asked(self) -> ev.Event:
        return ev.AnswerAsked(wishes=self._chance.choice(WISHES))

    @property
    def _dialling(self) -> bool:
        return "digits" in self.timers

    def _digit(self) -> ev.Event:
        return ev.DigitPressed(digit=self._chance.choice("12340*#x"))

    def _stop(self) -> ev.Event:
        return ev.AnswerCancelled(response_id=self._chance.choice((None, *self._answers)))

    def _give(self) -> ev.Event:
        self._given += 1
        role = self._chance.choice((Role.USER, Role.AGENT, Role.SYSTEM))
        return ev.EntryGiven(role=role, text="Given.", ref=f"ref {self._given}")

    def _remove(self) -> ev.Event:
        tool = self._chance.choice((*self._tools, "call 0"))
        return self._chance.choice((
            ev.EntryRemoved(ref=f"ref {self._chance.randint(1, 1 + self._given)}"),
            ev.EntryRemoved(turn=self._chance.randrange(6)),
            ev.EntryRemoved(response_id=self._some_answer()),
            ev.EntryRemoved(tool_call_id=tool),
        ))  # fmt: skip

    def _heard(self) -> ev.Event:
        heard_ms = self._chance.choice((0, 20, 300, 2_000))
        return ev.HeardTold(response_id=self._some_answer(), heard_ms=heard_ms)

    def _some_answer(self) -> int:
        return self._chance.choice((1, *self._answers, *self._gone))

    def _drop(self) -> ev.Event:
        return ev.TurnDropped(unanswered=self._chance.random() < 0.4)

    def _change(self) -> ev.Event:
        pause_ms = self._chance.choice((200, 600))
        policy = Policy(answers=not self._led, endpoint_silence_ms=pause_ms, idle_ms=5_000)
        return ev.PolicyChanged(policy=policy)

    # The voice session

    def _final(self) -> ev.Event:
        self._commits -= 1
        return ev.TranscriptFinal(text=self._chance.choice(("Hello", "Yes", "")), provider="ears")

    def _partial(self) -> ev.Event:
        return ev.TranscriptPartial(text="Hel")

    def _deaf(self) -> ev.Event:
        self._commits -= 1
        busy = self._chance.random() < 0.5
        return ev.VoiceFailed(stage=ev.Stage.STT, message="Deaf.", busy=busy)

    def _text(self, answer: _Answer) -> ev.Event:
        answer.texts += 1
        text = self._chance.choice(TEXTS)
        return ev.ResponseText(response_id=answer.response_id, text=text, provider="mind")

    def _audio(self, answer: _Answer) -> ev.Event:
        length_ms = self._chance.choice((1, 20, 500))
        answer.audio_ms += length_ms
        marks = (Mark(self._chance.randrange(12), self._chance.randrange(500)),)
        return ev.ResponseAudio(
            response_id=answer.response_id,
            pcm=bytes(AGENT.bytes(length_ms)),
            marks=marks if self._chance.random() < 0.3 else (),
            provider="voice",
        )

    def _made(self, answer: _Answer) -> ev.Event:
        answer.making = False
        return ev.ResponseDone(response_id=answer.response_id)

    def _tool(self, answer: _Answer) -> ev.Event:
        return ev.ToolRequested(
            response_id=answer.response_id,
            tool_call_id=f"call {next(self._calls)}",
            name="book",
            arguments="{}",
        )

    def _directed(self, answer: _Answer) -> ev.Event:
        direction = self._chance.choice(list(ev.Direction))
        return ev.ResponseDirected(response_id=answer.response_id, direction=direction)

    def _failed(self, answer: _Answer) -> ev.Event:
        answer.making = False
        stage = self._chance.choice((ev.Stage.LLM, ev.Stage.TTS, ev.Stage.VOICE))
        return ev.VoiceFailed(stage=stage, message="Away.", response_id=answer.response_id)

    def _late(self) -> ev.Event:
        """Something of an answer that was cancelled or heard out: it was under way already."""
        return of_response(self._chance, self._chance.choice(self._gone))

    # Our own side

    def _ours(self) -> ev.Event:
        given = ev.AnswerGiven(text="Given.", metadata='{"b": 2}')
        reset = ev.ConversationReset(entries=(("user", "Hi"), ("agent", "Yes?")))
        free = len(self._gone) % 3 == 0
        ended = ev.EndAsked(reason=EndReason.STAFF_ENDED, once_free=free)
        return self._chance.choice((given, given, reset, ended))

    def _stored(self) -> ev.Event:
        item_id, revision = self._unstored.pop(0)
        return ev.ItemStored(item_id=item_id, revision=revision)

    def _tool_done(self) -> ev.Event:
        tool = self._tools.pop(self._chance.randrange(len(self._tools)))
        return ev.ToolFinished(tool_call_id=tool, output="ok", failed=self._chance.random() < 0.3)

    # What it leads to

    def _note(self, event: ev.Event) -> None:
        """What the client does changes the world before the machine has decided anything."""
        match event:
            case ev.CallStarted():
                self._started = self._attached = True
            case ev.ClientAttached():
                self._attached = self._started
            case ev.ClientDetached():
                self._attached = False
            case ev.SpeechStarted() | ev.TalkStarted():
                self._speaking = True
            case ev.SpeechStopped() | ev.TalkStopped() | ev.TurnDropped():
                self._speaking = False
            case ev.Muted(muted=muted):
                self._muted = muted
                self._speaking = self._speaking and not muted

    def follow(self, effects: tuple[do.Effect, ...]) -> None:
        """Do what the machine asks for."""
        for effect in effects:
            self._follow(effect)

    def _follow(self, effect: do.Effect) -> None:
        match effect:
            case do.StartTimer(name, due_ms):
                self.timers[name] = due_ms
            case do.CancelTimer(name):
                self.timers.pop(name, None)
            case do.CommitTurn():
                self._commits += 1
            case do.RunTool(tool_call_id):
                self._tools.append(tool_call_id)
            case do.StoreItem(item):
                self._unstored.append((item.item_id, item.revision))
            case do.EndCall():
                self.over = True
            case _:
                self._follow_answer(effect)

    def _follow_answer(self, effect: do.Effect) -> None:
        match effect:
            case do.CreateResponse(key) | do.Speak(key):
                self._answers.setdefault(key, _Answer(key)).making = True
            case do.FinishAudio(key):
                self._answers[key].making = False
                self._answers[key].finished = True
            case do.ClearAudio(key):
                self._cleared.append(self._answers.pop(key, _Answer(key)))
                self._gone.append(key)
            case do.SettleHeard(key) if key in self._answers:
                del self._answers[key]
                self._gone.append(key)
