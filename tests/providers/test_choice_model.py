"""Which language model answers, when another one is asked, and what is told of each request."""

import asyncio
import gc
import logging
import random
import weakref

import pytest

from calls.domain.events import Direction, Stage
from calls.domain.items import Item, Role
from calls.ports.errors import ProviderError, ProviderFault
from calls.ports.speech import (
    CallScoped,
    Directed,
    Noted,
    Prompt,
    TextDelta,
    ToolCallRequested,
)
from calls.ports.tools import ToolSpec
from calls.providers.choice.breaker import BreakerState
from calls.providers.choice.language_model import ChosenModel
from tests.doubles.choice import Desk, trouble
from tests.doubles.speech import Pause, Scoped, ScriptedModel, Stall, Tells

pytestmark = pytest.mark.asyncio

ASKED = Prompt(
    "Be brief.", (Item(item_id=1, role=Role.USER, text="What time is it?", turn=1),), (), "en"
)


class ScopedModel(Scoped, ScriptedModel):
    pass


class Models(Desk):
    """Three models, and what choosing among them gives."""

    def __init__(self, kinds=(ScriptedModel,) * 3):
        super().__init__()
        self.models = [kind() for kind in kinds]
        for letter, model in zip("abc", self.models, strict=False):
            model.name = f"{letter}:large"
        self.chosen = self.call()

    def call(self):
        return ChosenModel(self.models, **self.shared)

    def script(self, *scripts):
        for model, steps in zip(self.models, scripts, strict=False):
            model.scripts.append(steps)

    async def ask(self, chosen=None, prompt=ASKED):
        async with (chosen or self.chosen).answer(prompt) as answer:
            return [part async for part in answer]

    async def text(self, chosen=None):
        parts = await self.told(self.ask(chosen))
        return "".join(part.text for part in parts)

    @property
    def asked(self):
        return [len(model.asked) for model in self.models]

    @property
    def all_left(self):
        return all(asked.left for model in self.models for asked in model.asked)


async def test_the_first_candidate_answers():
    desk = Models()
    desk.script(["It is ", "four."])
    assert await desk.text() == "It is four."
    assert desk.asked == [1, 0, 0]
    assert desk.outcomes == [("a:large", "ok")]
    assert desk.chosen.name == "a:large"
    assert desk.all_left


@pytest.mark.parametrize(
    "kind",
    [ProviderFault.AUTH, ProviderFault.REFUSED, ProviderFault.TIMEOUT, ProviderFault.INVALID],
)
@pytest.mark.parametrize("where", ["entry", "first part"])
async def test_a_failure_before_the_first_part_goes_to_the_next(kind, where):
    desk = Models()
    if where == "entry":
        desk.models[0].on_entry.append(trouble(kind))
        desk.script([], ["Four."])
    else:
        desk.script([trouble(kind)], ["Four."])
    assert await desk.text() == "Four."
    assert desk.outcomes == [("a:large", kind.value), ("b:large", "ok")]
    assert desk.chosen.name == "b:large"
    assert desk.all_left


async def test_what_may_succeed_soon_is_asked_once_more_and_not_again():
    desk = Models()
    desk.models[0].scripts += [[trouble(retryable=True)], ["Four."]]
    assert await desk.text() == "Four."
    assert desk.outcomes == [("a:large", "unavailable"), ("a:large", "ok")]

    desk = Models()
    desk.models[0].scripts += [[trouble(retryable=True)]] * 2
    desk.models[1].scripts.append(["Four."])
    assert await desk.text() == "Four."
    assert desk.asked == [2, 1, 0]


@pytest.mark.parametrize(
    "failure",
    [
        trouble(ProviderFault.TIMEOUT, retryable=True),
        trouble(ProviderFault.BUSY, retryable=True, retry_after_ms=100),
        trouble(ProviderFault.QUOTA, retryable=True),
        trouble(),
    ],
    ids=["timeout", "busy with a time", "fatal", "not retryable"],
)
async def test_what_will_not_succeed_at_once_goes_to_the_next_at_once(failure):
    desk = Models()
    desk.script([failure], ["Four."])
    assert await desk.text() == "Four."
    assert desk.asked == [1, 1, 0]


async def test_the_only_one_is_waited_for_if_it_says_so_and_there_is_time():
    desk = Models((ScriptedModel,))
    busy = trouble(ProviderFault.BUSY, retryable=True, retry_after_ms=2_000)
    desk.models[0].scripts += [[busy], ["Four."]]
    async with desk.doing(desk.ask()) as task:
        await desk.clock.advance(1_999)
        assert desk.asked == [1]
        await desk.clock.advance(1)
        assert desk.asked == [2]
        assert await task == [TextDelta("Four.")]
    assert [told.began_ms for told in desk.reports] == [1_000_000, 1_002_000]


async def test_nobody_is_waited_for_twice_or_beyond_the_time_there_is():
    desk = Models((ScriptedModel,))
    busy = trouble(ProviderFault.BUSY, retryable=True, retry_after_ms=9_000)
    desk.models[0].scripts.append([busy])
    assert (await desk.told(_caught(desk.ask()))) is busy
    assert desk.asked == [1]

    desk = Models((ScriptedModel,))
    desk.models[0].scripts += [[trouble(ProviderFault.BUSY, retry_after_ms=1_000)]] * 3
    async with desk.doing(desk.ask()) as task:
        await desk.clock.advance(10_000)
        assert (await task).kind is ProviderFault.BUSY
    assert desk.asked == [2]


async def _caught(work):
    with pytest.raises(ProviderError) as caught:
        await work
    return caught.value


@pytest.mark.parametrize(
    "part",
    [
        TextDelta("It is"),
        ToolCallRequested("c1", "clock", "{}"),
        Directed(Direction.END_CALL),
        Noted({"mood": "fine"}),
    ],
    ids=lambda part: type(part).__name__,
)
async def test_after_the_first_part_a_failure_is_passed_on(part):
    desk = Models()
    failure = trouble(ProviderFault.TRUNCATED, retryable=True)
    desk.script([part, failure], ["Never."])
    received = []

    async def ask():
        async with desk.chosen.answer(ASKED) as answer:
            async for part in answer:
                received.append(part)  # noqa: PERF401 - kept when the next one fails

    assert await desk.told(_caught(ask())) is failure
    assert received == [part]
    assert desk.outcomes == [("a:large", "truncated")]
    assert desk.asked == [1, 0, 0]
    assert desk.all_left


async def test_an_answer_without_parts_is_an_answer():
    desk = Models()
    desk.script([], ["Never."])
    assert await desk.text() == ""
    assert desk.outcomes == [("a:large", "ok")]
    assert desk.reports[0].first_ms is None


async def test_all_failed_is_the_last_failure():
    desk = Models()
    last = trouble(message="The last.")
    desk.script([trouble()], [trouble()], [last])
    assert await desk.told(_caught(desk.ask())) is last
    assert len(desk.reports) == 3


async def test_candidates_that_are_left_alone_are_not_asked_and_not_told_of():
    desk = Models()
    desk.opened(Stage.LLM, "a:large")
    desk.script([], ["Four."])
    assert desk.chosen.name == "b:large"
    assert await desk.text() == "Four."
    assert desk.outcomes == [("b:large", "ok")]


async def test_nobody_to_ask_is_said_so():
    desk = Models()
    for letter in "abc":
        desk.opened(Stage.LLM, f"{letter}:large")
    error = await desk.told(_caught(desk.ask()))
    assert (error.kind, error.message, error.stage) == (
        ProviderFault.UNAVAILABLE,
        "No provider is available.",
        Stage.LLM,
    )
    assert (desk.asked, desk.reports) == ([0, 0, 0], [])


@pytest.mark.parametrize("where", ["entry", "first part"])
async def test_silence_before_the_first_part_goes_to_the_next(where):
    desk = Models()
    if where == "entry":
        desk.models[0].on_entry.append(Stall())
        desk.script([], ["Four."])
    else:
        desk.script([Stall()], ["Four."])
    async with desk.doing(desk.ask()) as task:
        await desk.clock.advance(4_999)
        assert desk.asked == [1, 0, 0]
        await desk.clock.advance(1)
        assert await task == [TextDelta("Four.")]
    assert desk.outcomes == [("a:large", "timeout"), ("b:large", "ok")]
    assert desk.reports[0].duration_ms == 5_000
    assert desk.all_left


async def test_all_candidates_together_have_so_much_time():
    desk = Models()
    desk.script([Stall()], [Stall()], ["Never."])
    async with desk.doing(desk.ask()) as task:
        await desk.clock.advance(8_999)
        assert not task.done()
        await desk.clock.advance(1)
        assert task.result().kind is ProviderFault.TIMEOUT
    assert [told.duration_ms for told in desk.reports] == [5_000, 4_000]
    assert desk.asked == [1, 1, 0]


async def test_silence_between_parts_fails_the_answer():
    desk = Models()
    pause = Pause()
    desk.script(["It is", pause, " four", Stall()], ["Never."])
    async with desk.doing(desk.ask()) as task:
        await desk.clock.advance(4_999)
        pause.go.set()
        await desk.clock.advance(4_999)
        assert not task.done()
        await desk.clock.advance(1)
        assert task.result().kind is ProviderFault.TIMEOUT
    assert desk.outcomes == [("a:large", "timeout")]


async def test_slow_reading_is_not_held_against_the_candidate():
    desk = Models()
    desk.script(["It is", " four."])
    parts = []

    async def read_slowly():
        async with desk.chosen.answer(ASKED) as answer:
            async for part in answer:
                parts.append(part.text)
                await desk.clock.sleep(60_000)

    async with desk.doing(read_slowly()) as task:
        await desk.clock.advance(120_000)
        assert task.done()
    assert parts == ["It is", " four."]
    assert desk.outcomes == [("a:large", "ok")]


async def test_a_mistake_of_an_adapter_goes_to_the_next_and_its_words_to_nobody(caplog):
    desk = Models()
    desk.script([KeyError("what the caller said")], ["Four."])
    with caplog.at_level(logging.WARNING):
        assert await desk.text() == "Four."
    assert desk.outcomes[0] == ("a:large", "crashed")
    assert [record.kind for record in caplog.records] == ["KeyError"]
    assert "caller said" not in str([vars(record) for record in caplog.records])


async def test_a_mistake_of_the_last_is_a_providers_failure():
    desk = Models((ScriptedModel,))
    desk.script([TimeoutError("of its own")])
    error = await desk.told(_caught(desk.ask()))
    assert (error.kind, error.message) == (ProviderFault.CRASHED, "The language model failed.")


@pytest.mark.parametrize("trouble_at_exit", [RuntimeError("late"), trouble(), Stall()], ids=type)
async def test_letting_go_can_neither_fail_nor_hang_an_answer(trouble_at_exit):
    desk = Models()
    desk.script(["Four."])
    desk.models[0].on_exit.append(trouble_at_exit)
    async with desk.doing(desk.ask()) as task:
        await desk.clock.advance(400)
        assert task.result() == [TextDelta("Four.")]
    assert desk.outcomes == [("a:large", "ok")]
    assert desk.reports[0].duration_ms == 0


async def test_one_that_does_not_let_go_after_a_failure_holds_nobody_up_for_long():
    desk = Models()
    desk.script([trouble()], ["Four."])
    desk.models[0].on_exit.append(Stall())
    async with desk.doing(desk.ask()) as task:
        await desk.clock.advance(400)
        assert task.result() == [TextDelta("Four.")]


async def test_what_the_provider_says_is_told():
    desk = Models()
    usage = {"input_tokens": 12, "output_tokens": 3}
    pause = Pause()
    desk.script([pause, "Four.", Tells("large-2", "req-1", usage), pause])
    async with desk.doing(desk.ask()) as task:
        await desk.clock.advance(120)
        pause.go.set()
        await task
    (told,) = desk.reports
    assert (told.stage, told.provider, told.model) == (Stage.LLM, "a", "large-2")
    assert (told.request_id, told.usage, told.estimated) == ("req-1", usage, False)
    assert (told.began_ms, told.first_ms, told.duration_ms) == (1_000_000, 120, 120)


async def test_notes_belong_to_the_request_they_were_made_in():
    desk = Models()
    desk.script([Tells(request_id="req-a"), trouble()], ["Four.", Tells(request_id="req-b")])
    await desk.text()
    assert [told.request_id for told in desk.reports] == ["req-a", "req-b"]


async def test_a_failure_brings_its_request_id():
    desk = Models()
    desk.script([trouble(request_id="req-9")], [])
    await desk.text()
    assert desk.reports[0].request_id == "req-9"
    assert desk.reports[0].usage == {}


async def test_without_a_word_from_the_provider_tokens_are_guessed():
    desk = Models()
    desk.script(["x" * 40, ToolCallRequested("c1", "clock", "{}     ")])
    tool = ToolSpec("clock", "t" * 35, {})
    prompt = Prompt(
        "s" * 100, (Item(item_id=1, role=Role.USER, text="u" * 38, turn=1),), (tool,), "en"
    )
    await desk.told(desk.ask(prompt=prompt))
    (told,) = desk.reports
    assert told.estimated
    assert told.usage == {"input_tokens": (100 + 38 + 5 + 35 + 2) / 4, "output_tokens": 13}


async def test_a_cancelled_answer_is_told_of_with_a_guess():
    desk = Models()
    desk.script(["x" * 8, Stall()])
    async with desk.doing(desk.ask()) as task:
        await desk.clock.advance(700)
        task.cancel()
        await desk.clock.settle()
        (told,) = desk.reports
    assert (told.outcome, told.first_ms, told.duration_ms) == ("cancelled", 0, 700)
    assert (told.usage["output_tokens"], told.estimated) == (2, True)
    assert desk.all_left
    assert desk.state(Stage.LLM, "a:large") is BreakerState.CLOSED


@pytest.mark.parametrize("where", ["entry", "between parts", "leaving"])
async def test_cancelled_anywhere_the_candidate_is_left_and_told_of_once(where):
    desk = Models()
    desk.script(["Four.", Stall()] if where == "between parts" else ["Four."])
    if where == "entry":
        desk.models[0].on_entry.append(Stall())
    if where == "leaving":
        desk.models[0].on_exit.append(Stall())
    async with desk.doing(desk.ask()) as task:
        task.cancel()
        await desk.clock.settle()
        assert task.cancelled()
    assert desk.all_left
    assert desk.outcomes == [("a:large", "ok" if where == "leaving" else "cancelled")]


async def test_leaving_between_parts_is_told_of_at_once():
    desk = Models()
    desk.script(["It is", " four."])

    async def leave_early():
        async with desk.chosen.answer(ASKED) as answer:
            await anext(answer)

    await desk.told(leave_early())
    assert desk.outcomes == [("a:large", "cancelled")]
    assert desk.all_left


async def test_leaving_before_asking_asks_nobody():
    desk = Models()

    async def leave_at_once():
        async with desk.chosen.answer(ASKED):
            pass

    await desk.told(leave_at_once())
    assert (desk.asked, desk.reports) == ([0, 0, 0], [])


async def test_two_calls_share_what_they_know_and_send_one_probe():
    desk = Models()
    one, other = desk.call(), desk.call()
    for chosen in (one, other, one):
        desk.script([trouble()], ["Four."])
        await desk.text(chosen)
    assert desk.state(Stage.LLM, "a:large") is BreakerState.OPEN
    desk.models[1].scripts.append(["Four."])
    await desk.text(other)
    assert desk.asked == [3, 4, 0]
    await desk.clock.advance(10_000)
    pause = Pause()
    desk.script([pause, "Me again."], ["Four."])
    async with desk.doing(desk.ask(one)) as task:
        assert await desk.text(other) == "Four."
        assert desk.asked == [4, 5, 0]
        pause.go.set()
        await desk.clock.settle()
        assert await task == [TextDelta("Me again.")]
    assert desk.state(Stage.LLM, "a:large") is BreakerState.CLOSED


async def test_a_cancelled_probe_leaves_its_place_to_the_next():
    desk = Models()
    desk.opened(Stage.LLM, "a:large")
    await desk.clock.advance(60_000)
    desk.models[0].scripts += [[Stall()], ["Four."]]
    async with desk.doing(desk.ask()) as task:
        task.cancel()
    assert await desk.text() == "Four."
    assert desk.outcomes == [("a:large", "cancelled"), ("a:large", "ok")]


async def test_candidates_that_belong_to_a_call_are_entered_and_left():
    desk = Models((ScopedModel, ScriptedModel, ScopedModel))
    first, _, third = desk.models
    assert isinstance(desk.chosen, CallScoped)
    async with desk.chosen:
        desk.chosen.warm()
        assert (first.entered, third.entered) == (1, 1)
        assert (first.warmed, third.warmed) == (1, 0)
        assert (first.exited, third.exited) == (0, 0)
    assert (first.exited, third.exited) == (1, 1)


async def test_the_first_that_may_be_asked_is_warmed():
    desk = Models((ScopedModel,) * 3)
    desk.opened(Stage.LLM, "a:large")
    async with desk.chosen:
        desk.chosen.warm()
    assert [model.warmed for model in desk.models] == [0, 1, 0]


async def test_all_are_left_within_a_second_whatever_hangs_or_fails():
    desk = Models((ScopedModel,) * 3)
    desk.models[2].on_leave = RuntimeError("no")
    desk.models[1].on_leave = Stall()

    async def live():
        async with desk.chosen:
            pass

    async with desk.doing(live()) as task:
        await desk.clock.advance(999)
        assert task.done()
    assert [model.exited for model in desk.models] == [1, 1, 1]


async def test_one_that_fails_to_begin_leaves_no_other_behind():
    desk = Models((ScopedModel, ScopedModel, ScriptedModel))

    async def refuse():
        raise RuntimeError("no")

    desk.models[1].__class__ = type(
        "Refusing", (ScopedModel,), {"__aenter__": lambda _self: refuse()}
    )
    with pytest.raises(RuntimeError):
        async with desk.chosen:
            pass
    assert desk.models[0].exited == 1


async def test_nothing_is_kept_of_a_request_that_failed():
    desk = Models()

    class MarkedError(ProviderError):
        pass

    failures = [
        MarkedError(ProviderFault.INVALID, "No.", provider="x", stage=Stage.LLM) for _ in range(3)
    ]
    marks = [weakref.ref(failure) for failure in failures]
    desk.script(*[[failures.pop()] for _ in range(3)])
    gc.collect()
    gc.disable()
    try:
        with pytest.raises(ProviderError):
            await desk.ask()
        await asyncio.sleep(0)
        assert [mark() for mark in marks] == [None] * 3
    finally:
        gc.enable()


STEPS = [
    lambda: trouble(retryable=True),
    lambda: trouble(ProviderFault.AUTH),
    lambda: trouble(ProviderFault.BUSY, retryable=True, retry_after_ms=300),
    lambda: trouble(ProviderFault.TRUNCATED, retryable=True),
    lambda: RuntimeError("a mistake"),
    Stall,
]


@pytest.mark.parametrize("seed", range(60))
async def test_whatever_fails_an_answer_is_one_candidates_own_and_every_request_is_told_of(seed):
    chance = random.Random(seed)
    desk = Models()
    for model in desk.models:
        for _ in range(40):
            said = [f"{model.name} "] * chance.randint(0, 3)
            failing = [chance.choice(STEPS)()] if chance.random() < 0.6 else []
            model.scripts.append([*said, *failing])
            model.on_entry.append(chance.choice(STEPS)() if chance.random() < 0.2 else None)
            model.on_exit.append(chance.choice(STEPS)() if chance.random() < 0.2 else None)
    for _ in range(12):
        received = []

        async def ask(received=received):
            async with desk.chosen.answer(ASKED) as answer:
                async for part in answer:
                    received.append(part.text)
                    assert part.text.strip() == desk.chosen.name

        async with desk.doing(ask()) as task:
            if chance.random() < 0.3:
                await desk.clock.advance(chance.randint(0, 2_000))
                task.cancel()
            await desk.clock.advance(20_000)
            assert task.done()
        assert len(set(received)) <= 1
        assert len(desk.reports) == sum(desk.asked)
        assert desk.all_left
    assert {task for task in asyncio.all_tasks() if task is not asyncio.current_task()} == set()
