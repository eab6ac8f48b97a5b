"""The answers of the model: begun, taken up, stopped, and cut to what was heard of them."""

from calls.domain.events import Stage
from calls.domain.items import Item
from calls.ports.errors import ProviderFault
from calls.providers.openai.realtime.asking import Asking, failure
from calls.providers.openai.realtime.desk import Desk, Request
from calls.providers.openai.realtime.history import History, Plan
from calls.providers.openai.realtime.made import CALL, Made, Said, cut
from calls.providers.openai.realtime.messages import Message, create_response
from calls.providers.openai.realtime.speech import NO_ID, Speech
from calls.providers.openai.realtime.utterance import Utterance

REMEMBERED = 32


class Answers:
    """Asks for answers and gives them out; `VoiceSession` says what the methods promise.

    An answer is begun as soon as the caller has finished, before his words are written down. It
    becomes the answer that the call asks for if the conversation is the one that it has seen.
    """

    def __init__(self, desk: Desk, history: History) -> None:
        self._desk = desk
        self._history = history
        self.asking = Asking(desk, self)
        self._begun: Made | None = None
        self._by_id: dict[int, list[Made]] = {}

    # What the call wants

    def respond(self, response_id: int, items: tuple[Item, ...], wanted: Message) -> None:
        """Answer the conversation; `wanted` is what is different about this answer."""
        begun, self._begun = self._begun, None
        plan = self._history.plan(items)
        if begun is not None and not wanted and self._has_seen(begun, plan):
            self._history.follow(plan)
            self._adopt(begun, response_id)
            return
        if begun is not None:
            self._forget(begun)
            plan = self._history.plan(items)
        made = self._made(response_id, wanted)
        self._remember(made)
        self._desk.outlet.add(made.speech)
        if not self._desk.connection.up:
            made.done = True
            made.request.over(self._lost_kind().value, {}, response_id)
            made.speech.finish(failure(self._desk, self._lost_kind(), response_id))
            return
        self._desk.connection.send(*plan.messages)
        self._history.follow(plan)
        self.asking.ask(made)

    def begin(self, words: Utterance) -> None:
        """The caller has finished: begin to answer what he said, whatever it was."""
        self.drop_begun()
        if self._desk.connection.up and not self._history.behind:
            self._begun = made = self._made(NO_ID, {})
            made.words = words
            self.asking.ask(made)

    def drop_begun(self) -> None:
        """What was begun ahead is not wanted any more."""
        begun, self._begun = self._begun, None
        if begun is not None:
            self._forget(begun)

    def _has_seen(self, begun: Made, plan: Plan) -> bool:
        """Whether it answers the conversation as it is, and goes well so far."""
        seen = not plan.messages and begun.saw == self._history.version
        words = begun.words.item_id if begun.words is not None else ""
        return seen and bool(words) and words == plan.last and not begun.speech.failed

    def _adopt(self, begun: Made, response_id: int) -> None:
        begun.response_id = begun.speech.response_id = response_id
        self._remember(begun)
        for part in begun.parts.values():
            self._record(begun, part)
        self._desk.outlet.add(begun.speech)

    def cancel(self, response_id: int) -> None:
        for made in self._by_id.get(response_id, ()):
            self._desk.outlet.remove(made.speech)
            if not made.stopped:
                self.asking.stop(made)

    def settle(self, response_id: int, heard_ms: int) -> None:
        mades = self._by_id.get(response_id, [])
        for made in mades:
            made.heard_ms = heard_ms
        self._cut(mades, heard_ms)

    def _forget(self, made: Made) -> None:
        """It is as if it had never been asked for."""
        made.heard_ms = 0
        self._desk.outlet.remove(made.speech)
        self.asking.stop(made)
        self._drop_all_of(made)

    def _drop_all_of(self, made: Made) -> None:
        for part in made.parts.values():
            if not part.gone:
                part.gone = True
                self._desk.connection.send(*self._history.delete(part.item_id))

    def _cut(self, mades: list[Made], heard_ms: int) -> None:
        wanted = cut(mades, heard_ms)
        if wanted.truncated:
            self._history.changed()
            self._desk.connection.send(*wanted.truncated)
        for item_id in wanted.deleted:
            self._desk.connection.send(*self._history.delete(item_id))

    def _made(self, response_id: int, wanted: Message) -> Made:
        desk = self._desk
        tag = desk.tag("answer")
        settings = desk.settings
        return Made(
            tag=tag,
            response_id=response_id,
            create=create_response(tag, wanted=wanted),
            request=Request(desk, Stage.VOICE, settings.model, desk.clock.now_ms()),
            speech=Speech(response_id, provider=desk.name, speed=settings.pace),
        )

    def _remember(self, made: Made) -> None:
        self._by_id.setdefault(made.response_id, []).append(made)
        while len(self._by_id) > REMEMBERED:
            del self._by_id[next(iter(self._by_id))]

    def _lost_kind(self) -> ProviderFault:
        fault = self._desk.connection.fault
        return fault.kind if fault is not None else ProviderFault.UNAVAILABLE

    # What becomes of them

    def begins(self, made: Made) -> None:
        made.saw = self._history.version

    def grows(self, made: Made, part: Said) -> None:
        if made.adopted:
            self._record(made, part)

    def _record(self, made: Made, part: Said) -> None:
        if part.kind == CALL:
            self._history.called(part.call_id, part.item_id)
        else:
            self._history.answered(made.response_id, part.item_id)

    def ends(self, made: Made) -> None:
        """Parts that came after it was known how much was heard."""
        if made.stopped and made.heard_ms is not None:
            if made.adopted:
                self._cut(self._by_id.get(made.response_id, []), made.heard_ms)
            else:
                self._drop_all_of(made)

    def lost(self) -> None:
        """The other side has forgotten all."""
        self.asking.lost()
        self._begun = None
        self._write_off()
        self._history.lost()

    def forget_all(self) -> None:
        """The conversation was replaced."""
        self.drop_begun()
        for made in self.asking.going_on:
            self._forget(made)
        self._write_off()
        self._desk.connection.send(*self._history.clear())

    def _write_off(self) -> None:
        """What was said so far is gone from the other side: nothing is left to be cut."""
        for mades in self._by_id.values():
            for part in (part for made in mades for part in made.parts.values()):
                part.gone = True

    @property
    def idle(self) -> bool:
        return not self.asking.going_on and self._begun is None
