"""What must be true of every call whose client leads it, and of what such a client is told."""

from collections import Counter

from calls.domain import effects as do
from calls.domain import events as ev
from calls.domain.items import Item, ItemStatus, Role, Source
from calls.domain.state import Caller, CallState, Link

KEYS = frozenset("0123456789*#ABCD")
MOST_DIGITS = 64
LIVE = (Link.ATTACHED, Link.DETACHED)
BROUGHT_BY = {
    do.Outcome.CANCELLED: (ev.AnswerCancelled, ev.TurnDropped),
    do.Outcome.SKIPPED: (ev.ResponseDirected,),
    do.Outcome.FAILED: (ev.VoiceFailed, ev.TimerFired),
    do.Outcome.COMPLETE: (ev.ResponseDone, ev.VoiceFailed, ev.ToolFinished),
    do.Outcome.TOOLS: (ev.ResponseDone, ev.VoiceFailed),
}
"""What an outcome can come from; an interruption comes from anything."""


class LedWatch:
    """Sees every event, its effects and the state after it; raises AssertionError at a breach."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self._begun: set[tuple[int, int]] = set()
        self._made: dict[tuple[int, int], do.Outcome] = {}
        self._answers = 0
        self._silenced: set[int] = set()
        self._stopped: set[int] = set()
        self._speech: int | None = None
        self._asked = False
        self._dialled = ""
        self._number = ""

    def step(
        self, before: CallState, event: ev.Event, effects: tuple[do.Effect, ...], after: CallState
    ) -> None:
        self._hear(before, event)
        for effect in effects:
            self._one(before, event, effect)
        self._nothing_too_much(before, event, effects, after)
        self._pairs(after)
        self._asks(after)
        self._keys(after)
        self._entries(effects, after)

    # Before

    def _hear(self, before: CallState, event: ev.Event) -> None:
        if before.link not in LIVE:
            return
        match event:
            case ev.AnswerAsked() if before.end_reason is None:
                now = before.response
                self._asked |= now is None or (now.whole and now.end_reason is None)
                self.seen["asked for anew"] += now is not None and now.whole
            case ev.AnswerCancelled(response_id=key) if before.end_reason is None:
                self._asked = self._asked and key is not None
                now = before.response
                if now is not None and key in (None, now.response_id):
                    self._stopped.add(now.response_id)
            case ev.TurnDropped(unanswered=True) if before.end_reason is None:
                self._asked = False
            case ev.DigitPressed(digit=digit) if digit in KEYS:
                self._press(digit)
            case ev.TimerFired(name="digits"):
                self._number, self._dialled = self._dialled, ""

    def _press(self, digit: str) -> None:
        if digit == "#":
            self._number, self._dialled = self._dialled or "#", ""
        elif len(self._dialled) < MOST_DIGITS:
            self._dialled += digit

    # Each effect

    def _one(self, before: CallState, event: ev.Event, effect: do.Effect) -> None:
        match effect:
            case do.SendResponseBegan(key, turn, round_):
                self._began(key, turn, round_)
            case do.SendResponseMade(key, round_, outcome):
                self._is_made(event, (key, round_), outcome)
            case do.CreateResponse(key) | do.Speak(key):
                assert any(k == key for k, _ in self._being_made()), "an answer was not announced"
                self._create(before, event, effect)
            case do.FinishAudio(key):
                last = max(round_ for k, round_ in self._made if k == key)
                assert self._made[key, last] is do.Outcome.COMPLETE
            case do.ClearAudio(key):
                self._silenced.add(key)
            case _:
                self._of_caller(effect)

    def _of_caller(self, effect: do.Effect) -> None:
        match effect:
            case do.SendSpeech(mark, turn):
                self._spoke(mark, turn)
            case do.StoreItem(item) if item.source is Source.KEYPAD and not item.revision:
                self._dial(item)

    def _began(self, key: int, turn: int, round_: int) -> None:
        assert (key, round_) not in self._begun, "begun twice"
        if round_:
            assert self._made[key, round_ - 1] is do.Outcome.TOOLS, "a round out of nowhere"
            self.seen["another round"] += 1
        else:
            assert key == self._answers + 1, "answers are not counted"
            self._answers = key
        assert turn >= 0
        self._begun.add((key, round_))

    def _is_made(self, event: ev.Event, key: tuple[int, int], outcome: do.Outcome) -> None:
        assert key in self._begun, "made before it was begun"
        assert key not in self._made, "made twice"
        whole = outcome in (do.Outcome.COMPLETE, do.Outcome.TOOLS)
        assert (key[0] in self._silenced) is not whole, "cut off, or not?"
        assert isinstance(event, BROUGHT_BY.get(outcome, ev.Event)), f"{outcome} by {event}"
        self._made[key] = outcome
        self.seen[f"made {outcome}"] += 1

    def _create(self, before: CallState, event: ev.Event, effect: do.Effect) -> None:
        fresh = (self._answers, 0) not in self._made and max(self._begun)[1] == 0
        if isinstance(effect, do.CreateResponse) and fresh:
            led = not before.policy.answers and not isinstance(event, ev.CallStarted)
            assert self._asked or not led, "an answer that nobody asked for"
            self.seen["answered as asked"] += self._asked
            self._asked = False
        elif not before.items:
            self.seen["greeted as asked"] += self._asked
            self._asked = False

    def _spoke(self, mark: do.SpeechMark, turn: int) -> None:
        if mark is do.SpeechMark.STARTED:
            assert self._speech is None, "two utterances at once"
            self._speech = turn
            return
        assert self._speech == turn, "another utterance ended"
        self._speech = None
        self.seen[f"speech {mark}"] += 1

    def _dial(self, item: Item) -> None:
        if not self._number:
            self._number, self._dialled = self._dialled, ""
        assert item.text == self._number, "another number"
        assert 0 < len(item.text) <= MOST_DIGITS
        self._number = ""
        self.seen["dialled"] += 1

    # After each event

    def _being_made(self) -> set[tuple[int, int]]:
        return self._begun - set(self._made)

    def _pairs(self, state: CallState) -> None:
        now = state.response
        making = {(now.response_id, now.rounds)} if now is not None and not now.produced else set()
        assert self._being_made() == making, "the client believes something else is being made"
        if state.link is not Link.CLOSED:
            assert (self._speech is not None) is (state.caller is not Caller.SILENT)
        if self._speech is not None:
            assert self._speech == state.turn + 1, "the utterance will be another turn"

    def _asks(self, state: CallState) -> None:
        if state.link in LIVE and state.end_reason is None:
            assert self._asked is (state.asked is not None), "an answer asked for was lost"
        if state.link in (Link.ENDING, Link.CLOSED):
            assert state.asked is None
        undone = state.broken_off
        assert undone is None or undone.response_id not in self._stopped, "it would come back"

    def _keys(self, state: CallState) -> None:
        assert not self._number, "a number was lost"
        assert self._dialled == state.digits
        if state.link in (Link.ENDING, Link.CLOSED):
            assert not state.digits, "keys are left over"

    def _entries(self, effects: tuple[do.Effect, ...], state: CallState) -> None:
        given = {
            item.item_id
            for item in state.items[state.context_from :]
            if item.source is Source.CLIENT
            and item.status is not ItemStatus.CANCELLED
            and item.text
        }
        for effect in effects:
            if isinstance(effect, do.CreateResponse):
                shown = {item.item_id for item in effect.items}
                assert given <= shown, "the model does not see what the client put in"
                self.seen["answered with entries"] += bool(given)

    def _nothing_too_much(
        self,
        before: CallState,
        event: ev.Event,
        effects: tuple[do.Effect, ...],
        after: CallState,
    ) -> None:
        kinds = {type(effect) for effect in effects}
        match event:
            case ev.EntryGiven():
                assert not kinds & {do.CreateResponse, do.Speak, do.ClearAudio}
                self.seen["entry"] += len(after.items) > len(before.items)
            case ev.EntryRemoved():
                assert not kinds & {do.CreateResponse, do.ClearAudio}
                assert do.Speak not in kinds or before.announcements
                self.seen["entry removed"] += do.StoreItem in kinds
            case ev.AnswerCancelled():
                assert do.CreateResponse not in kinds or before.asked is not None
                self.seen["stopped"] += do.ClearAudio in kinds
            case ev.TurnDropped() if before.link in LIVE:
                assert do.CommitTurn not in kinds
                assert after.caller is Caller.SILENT
                self._quiet(event, before, after)
            case ev.HeardTold(response_id=key) if before.link in LIVE:
                self._heard(key, before, after)

    def _quiet(self, event: ev.TurnDropped, before: CallState, after: CallState) -> None:
        self.seen["dropped"] += before.caller is not Caller.SILENT
        if event.unanswered and before.end_reason is None:
            given = len(before.announcements) > len(after.announcements)
            assert after.response is None or given, "the agent does not fall silent"

    def _heard(self, key: int, before: CallState, after: CallState) -> None:
        now = before.response
        if now is not None and now.response_id == key and before.end_reason is None:
            ended = after.response is None or after.response.response_id != key
            assert ended, "it goes on"
            assert after.cut is None, "what was heard is known"
            self.seen["ended by its listener"] += 1
        old = {i.item_id: i for i in before.items if i.role is Role.AGENT}
        self.seen["parted anew"] += any(
            old.get(i.item_id, i).text != i.text for i in after.items if i.status != "complete"
        )
