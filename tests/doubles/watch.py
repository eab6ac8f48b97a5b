"""What must be true of every call, whatever happens: checked step by step, from outside."""

from collections import Counter
from collections.abc import Mapping

from calls.domain import effects as do
from calls.domain import events as ev
from calls.domain.audio import AGENT
from calls.domain.errors import EndReason
from calls.domain.items import Item, ItemStatus, Role, Source
from calls.domain.machine import phase
from calls.domain.state import Caller, CallState, Link
from tests.doubles.surprises import TIMERS
from tests.doubles.watch_led import LedWatch

LIVE = (Link.ATTACHED, Link.DETACHED)


class Watch:
    """Sees every event, its effects and the state after it; raises AssertionError at a breach."""

    def __init__(self) -> None:
        self.ended: EndReason | None = None
        self.seen: Counter[str] = Counter()
        """How often things happened that a generator should bring about."""
        self._items: dict[int, Item] = {}
        self._stored: set[tuple[int, int]] = set()
        self._turns: set[int] = set()
        self._opened = 0
        self._settled: dict[int, int] = {}
        self._silenced: set[int] = set()
        self._finished: set[int] = set()
        self._audio_bytes: Counter[int] = Counter()
        self._words: Counter[str] = Counter()
        self._texts: dict[int, str] = {}
        self._commits = self._finals = 0
        self._listening = False
        self._unheeded = False
        self._owed = False
        self._answers_owed: list[bool] = []
        """Of each turn whose transcript is on its way, oldest first."""
        self._words_owed = True
        self._phase: do.Phase | None = None
        self._led = LedWatch()
        self._led.seen = self.seen

    def step(
        self,
        before: CallState,
        event: ev.Event,
        effects: tuple[do.Effect, ...],
        after: CallState,
        timers: Mapping[str, int],
    ) -> None:
        """Check one step; `timers` are those that run after it."""
        self._hear(before, event)
        self._words_owed = before.policy.answers
        for effect in effects:
            assert self.ended is None, "something followed the end"
            self._one(event, effect)
        self._led.step(before, event, effects, after)
        self._turns |= {e.turn.turn for e in effects if isinstance(e, do.StoreTurn)}
        if isinstance(event, ev.ClientAttached) and after.link is Link.ATTACHED:
            self._all_shown(effects)
        self._record_equals_conversation(after)
        self._floor(before, after)
        if self.ended is None and after.link is not Link.NEW:
            assert self._phase is phase(after), "the client believes another phase"
            self._everything_that_waits_has_a_timer(after, timers)
        assert (after.link is Link.CLOSED) is (self.ended is not None)

    # Before

    def _hear(self, before: CallState, event: ev.Event) -> None:
        """An utterance that was taken in, by the rules of the call and not by its state."""
        if isinstance(event, ev.SpeechStarted | ev.TalkStarted) and before.link in LIVE:
            busy = before.response is not None
            if not busy or (before.policy.interruptible and before.end_reason is None):
                self._listening = True
                self.seen["barge-in"] += busy
            else:
                self._unheeded = True
        if isinstance(event, ev.TimerFired) and event.name == "max_turn":
            self._unheeded = self._unheeded or before.caller is Caller.SPEAKING
        self._excuse(before, event)
        if isinstance(event, ev.ItemStored):
            item = self._items.get(event.item_id)
            if item is not None and item.revision >= event.revision:
                self._stored.add((event.item_id, event.revision))

    def _excuse(self, before: CallState, event: ev.Event) -> None:
        """Who is owed no answer any more, by the rules of the call."""
        match event:
            case ev.ConversationReset() | ev.AnswerCancelled() | ev.EntryRemoved():
                self._owed = False
            case ev.PolicyChanged() if not (before.policy.answers and event.policy.answers):
                self._owed = False
            case ev.TurnDropped(unanswered=unanswered) if before.link in LIVE:
                self._unheeded = False
                if unanswered and before.end_reason is None:
                    self._owed = False
                    self._answers_owed = [False for _ in self._answers_owed]

    # Each effect

    def _one(self, event: ev.Event, effect: do.Effect) -> None:
        self.seen[type(effect).__name__] += 1
        match effect:
            case do.EndCall(reason):
                self.ended = reason
            case do.StartTimer(name, due_ms):
                assert name in TIMERS
                assert due_ms >= event.at_ms, "a timer in the past"
            case do.SendPhase(now):
                assert now is not self._phase or isinstance(event, ev.ClientAttached)
                assert not (now is do.Phase.LISTENING and self._owed), "the caller gets no answer"
                self._phase = now
            case do.ForwardAudio():
                assert self._listening, "sound outside of an utterance"
            case do.CommitTurn() | do.DiscardTurn():
                assert self._listening, "the end of no utterance"
                self._listening = False
                if isinstance(effect, do.CommitTurn):
                    self._commits += 1
                    self._answers_owed.append(True)
            case _:
                self._of_conversation(event, effect)

    def _of_conversation(self, event: ev.Event, effect: do.Effect) -> None:
        match effect:
            case do.SendTranscript(final=True):
                self._finals += 1
                self._words_owed &= self._answers_owed.pop(0)
            case do.StoreItem(item) | do.SendItem(item):
                self._item(effect, item)
            case _:
                self._of_response(event, effect)

    def _item(self, effect: do.Effect, item: Item) -> None:
        if isinstance(effect, do.SendItem):
            assert (item.item_id, item.revision) in self._stored, "shown before it was stored"
            assert self._items[item.item_id] == item
            return
        former = self._items.get(item.item_id)
        if former is None:
            assert (item.item_id, item.revision) == (len(self._items) + 1, 0), "ids are not dense"
            asks = item.role is Role.USER and item.source is not Source.CLIENT
            self._owed = self._owed or (asks and self._words_owed)
        else:
            taken_back = former.status is ItemStatus.CANCELLED
            assert not taken_back or item.status is ItemStatus.CANCELLED, "taken back, and back"
            assert item.revision == former.revision + 1, "revisions do not ascend"
        if item.status is ItemStatus.CANCELLED:
            self._owed = False
        self._items[item.item_id] = item

    def _of_response(self, event: ev.Event, effect: do.Effect) -> None:
        match effect:
            case do.CreateResponse(key) | do.Speak(key):
                self._open(effect, key)
            case do.SendAudio(key, pcm):
                self._may_sound(key)
                self._audio_bytes[key] += len(pcm)
            case do.FinishAudio(key):
                self._may_sound(key)
                self._finished.add(key)
            case do.SendResponseText(key, text) if isinstance(event, ev.ResponseText):
                self._may_sound(key)
                self._texts[key] = self._texts.get(key, "") + text
            case do.ClearAudio(key):
                self._silenced.add(key)
            case do.CancelResponse(key):
                assert key in self._silenced, "the ear comes first"
            case do.SettleHeard(key, heard_ms):
                self._settle(event, key, heard_ms)

    def _open(self, effect: do.Effect, key: int) -> None:
        assert not self._listening, "the agent begins while the caller speaks"
        if key > self._opened:
            assert key == self._opened + 1
            assert self._opened in self._settled or not self._opened, "two answers at once"
            self._opened = key
        assert key == self._opened, "an id is used again"
        assert key not in self._settled
        assert key not in self._silenced
        if isinstance(effect, do.CreateResponse):
            self._owed = False
            hidden = [i for i in effect.items if i.status is ItemStatus.CANCELLED]
            assert not hidden, "the model sees what was taken back"
            assert all(i.text or i.role is not Role.AGENT for i in effect.items)

    def _may_sound(self, key: int) -> None:
        assert key == self._opened, "sound of an answer that is not the one"
        assert key not in self._silenced, "sound of an answer that was silenced"
        assert key not in self._finished, "sound of an answer that was finished"
        assert key not in self._settled, "sound of an answer that is over"
        assert not self._listening, "the agent talks over the caller"

    def _settle(self, event: ev.Event, key: int, heard_ms: int) -> None:
        if key in self._settled:
            assert isinstance(event, ev.HeardTold), "settled twice"
            assert heard_ms < self._settled[key], "heard more than was heard"
            self.seen["settled anew"] += 1
        assert 0 <= heard_ms <= AGENT.ms_of(self._audio_bytes[key]), "heard what was not said"
        self._settled[key] = heard_ms
        self.seen["settled half way"] += 0 < heard_ms < AGENT.ms_of(self._audio_bytes[key])

    # After each event

    def _all_shown(self, effects: tuple[do.Effect, ...]) -> None:
        shown = [e.item.item_id for e in effects if isinstance(e, do.SendItem)]
        latest = {(i.item_id, i.revision) for i in self._items.values()} & self._stored
        assert shown == sorted(item_id for item_id, _ in latest), "the page misses an item"
        assert do.ReleaseAudio() in effects

    def _record_equals_conversation(self, state: CallState) -> None:
        assert list(state.items) == list(self._items.values()), "the record differs"
        of_agent = [i for i in state.items if i.role is Role.AGENT and i.response_id is not None]
        told = {i.response_id: i for i in of_agent}
        assert len(told) == len(of_agent), "one answer, two entries"
        for key in self._settled:
            text = self._texts.get(key)
            assert (key in told) is (text is not None), "what was said is not on the record"
            if text is not None:
                assert told[key].text + told[key].unheard == text, "words were lost"
                assert told[key].status is not ItemStatus.IN_PROGRESS
        assert self._commits == self._finals + len(state.awaiting), "a transcript too many or few"

    def _floor(self, before: CallState, state: CallState) -> None:
        if self._unheeded and before.caller is Caller.SILENT is not state.caller:
            self.seen["taken in later"] += 1
            self._listening, self._unheeded = True, False
        if self.ended is None:
            assert self._listening is (state.caller is not Caller.SILENT)
        if state.link is Link.CLOSED:
            everything = set(range(1, self._opened + 1))
            assert set(self._settled) == everything, "an answer was not settled"
            unkept = set(range(1, state.turn + 1)) - self._turns
            assert not unkept, "a turn is not on the record"

    def _everything_that_waits_has_a_timer(
        self, state: CallState, timers: Mapping[str, int]
    ) -> None:
        """So that nothing can wait for ever."""
        here = state.link is Link.ATTACHED
        now = state.response
        assert ("endpoint" in timers) is (here and state.caller is Caller.PAUSED)
        assert ("max_turn" in timers) is (here and state.caller is not Caller.SILENT)
        assert ("cut" in timers) is (state.cut is not None)
        assert ("resume" in timers) is (state.link is Link.DETACHED)
        assert ("end" in timers) is (state.link is Link.ENDING)
        assert ("digits" in timers) is bool(state.digits)
        if state.link in LIVE:
            assert ("stt_wait" in timers) is bool(state.awaiting)
            making = now is not None and not now.whole
            assert ("response_wait" in timers) is making
        if here and state.policy.idle_ms:
            assert ("idle" in timers) is (phase(state) is do.Phase.LISTENING)
