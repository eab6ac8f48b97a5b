"""What the services of a call were asked for: numbered, put to its turn, and kept."""

import pytest

from calls.domain import events as ev
from calls.domain.errors import EndReason
from calls.domain.events import Stage
from calls.domain.state import Awaited, Caller, CallState
from calls.domain.timings import TurnTimings
from calls.engine.ledger import REMEMBERED_RESPONSES, Ledger
from calls.ports.usage import CANCELLED, ServiceReport
from tests.doubles.voice import ScriptedVoice, Wait, Words
from tests.engine.bench import call, policy

pytestmark = pytest.mark.asyncio


def told(stage=Stage.LLM, **more):
    return ServiceReport(stage=stage, provider="p", **{"began_ms": 1_000_500, **more})


class Books:
    """A ledger, and what it gave to be kept."""

    def __init__(self):
        self.kept = []
        self.open = True
        self.ledger = Ledger(self._keep, began_ms=1_000_000)

    def take(self, report, response_id=None, state=None):
        self.ledger.take(report, response_id, state or CallState(policy=policy()))
        return self.kept[-1] if self.kept else None

    def _keep(self, use):
        if self.open:
            self.kept.append(use)
        return self.open


def state(turn=3, **more):
    return CallState(policy=policy(), turn=turn, **more)


async def test_a_report_is_kept_whole_with_times_since_the_call_began():
    books = Books()
    use = books.take(
        told(
            model="m",
            outcome=CANCELLED,
            began_ms=1_000_750,
            first_ms=120,
            duration_ms=480,
            request_id="req-1",
            usage={"input_tokens": 5},
            estimated=True,
        )
    )
    assert (use.number, use.stage, use.provider, use.model) == (1, "llm", "p", "m")
    assert (use.outcome, use.request_id) == ("cancelled", "req-1")
    assert (use.began_ms, use.first_ms, use.duration_ms) == (750, 120, 480)
    assert (use.usage, use.estimated) == ({"input_tokens": 5}, True)


async def test_what_began_before_the_call_began_with_it():
    assert Books().take(told(began_ms=999_000)).began_ms == 0


async def test_uses_are_numbered_in_the_order_in_which_they_were_over():
    books = Books()
    for _ in range(3):
        books.take(told())
    assert [use.number for use in books.kept] == [1, 2, 3]


async def test_a_request_for_an_older_answer_belongs_to_that_answers_turn():
    books = Books()
    books.ledger.asked(1, 1)
    books.ledger.asked(2, 3)
    assert books.take(told(), 1, state(turn=3)).turn == 1
    assert books.take(told(), 2, state(turn=4)).turn == 3


async def test_an_answer_that_was_asked_for_again_belongs_to_the_later_turn():
    books = Books()
    books.ledger.asked(1, 1)
    books.ledger.asked(1, 2)
    assert books.take(told(), 1).turn == 2


async def test_only_so_many_answers_are_remembered():
    books = Books()
    for response_id in range(1, REMEMBERED_RESPONSES + 2):
        books.ledger.asked(response_id, 1)
    assert books.take(told(), 1, state(turn=9)).turn == 9
    assert books.take(told(), 2, state(turn=9)).turn == 1


@pytest.mark.parametrize(
    ("caller", "turn"), [(Caller.SILENT, 3), (Caller.SPEAKING, 4), (Caller.PAUSED, 4)]
)
async def test_the_callers_words_belong_to_the_turn_that_they_begin(caller, turn):
    assert Books().take(told(Stage.STT), None, state(caller=caller)).turn == turn


async def test_words_whose_transcript_is_awaited_belong_to_the_turn_that_awaits_it():
    awaiting = (Awaited(2, TurnTimings()), Awaited(3, TurnTimings()))
    now = state(caller=Caller.SPEAKING, awaiting=awaiting)
    assert Books().take(told(Stage.STT), None, now).turn == 2


async def test_a_request_for_no_answer_belongs_to_the_turn_that_goes_on():
    assert Books().take(told(Stage.VOICE), None, state(caller=Caller.SPEAKING)).turn == 3


async def test_what_comes_when_the_way_is_closed_waits_in_order():
    books = Books()
    books.take(told())
    books.open = False
    books.take(told(request_id="late"))
    books.take(told(request_id="later"))
    late = books.ledger.late()
    assert [(use.number, use.request_id) for use in late] == [(2, "late"), (3, "later")]
    assert books.ledger.late() == []


async def test_reports_during_a_call_are_on_its_record_by_turn():
    async with call() as bench:
        await bench.attach()
        for question in ("One?", "Two?"):
            bench.runner.post(ev.TextTyped(text=question))
            await bench.clock.advance(2_000)
        first, second = [asked.response_id for asked in bench.voice.asked if asked.response_id]
        began_ms = bench.clock.now_ms()
        bench.voice.report(told(began_ms=began_ms, request_id="new"), second)
        bench.voice.report(told(began_ms=began_ms, request_id="old"), first)
        await bench.clock.settle()
        now_ms = bench.runner.now_ms()
        uses = {use.request_id: use for use in bench.records.uses.values()}
    assert (uses["new"].turn, uses["new"].response_id) == (2, second)
    assert (uses["old"].turn, uses["old"].response_id) == (1, first)
    assert uses["new"].began_ms == now_ms


class LateVoice(ScriptedVoice):
    """Reports the answer that goes on when the session ends."""

    async def __aexit__(self, *exc):
        (asked,) = [asked for asked in self.asked if asked.what == "respond"]
        self.report(told(outcome=CANCELLED, request_id="cut off"), asked.response_id)
        await super().__aexit__(*exc)


def _with_late_voice(bench):
    bench.voice.__class__ = LateVoice


async def test_reports_from_the_end_of_a_call_are_on_its_record():
    async with call(prepare=_with_late_voice) as bench:
        await bench.attach()
        bench.voice.answers.append([Words("One moment."), Wait()])
        bench.runner.post(ev.TextTyped(text="One?"))
        await bench.clock.advance(500)
        bench.hang_up()
        assert await bench.ended() is EndReason.CALLER_HUNG_UP
    (use,) = bench.records.uses.values()
    assert (use.request_id, use.outcome, use.turn) == ("cut off", CANCELLED, 1)
    assert bench.records.finishes == 1
