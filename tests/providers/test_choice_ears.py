"""Who hears an utterance, who hears it again when that fails, and what is told of it."""

import asyncio
import random
from contextlib import aclosing

import pytest

from calls.domain.audio import CALLER
from calls.domain.events import Stage
from calls.ports.errors import ProviderError, ProviderFault
from calls.ports.speech import CallScoped
from calls.providers.choice.breaker import Breakers, BreakerState
from calls.providers.choice.kept import KEPT_MS
from calls.providers.choice.speech_to_text import ChosenEars
from tests.doubles.choice import Desk, trouble
from tests.doubles.speech import OnFeed, Partial, Pause, Scoped, ScriptedRecogniser, Stall, Tells

pytestmark = pytest.mark.asyncio


def frame(number):
    """20 ms that say which they are."""
    return number.to_bytes(2, "little") * CALLER.samples(20)


class ScopedRecogniser(Scoped, ScriptedRecogniser):
    pass


class Ears(Desk):
    def __init__(self, kinds=(ScriptedRecogniser,) * 3):
        super().__init__()
        self.stt = [kind() for kind in kinds]
        for letter, stt in zip("abc", self.stt, strict=False):
            stt.name = f"{letter}:whole"
        self.chosen = ChosenEars(self.stt, **self.shared)

    def script(self, *scripts):
        for stt, steps in zip(self.stt, scripts, strict=False):
            stt.scripts.append(steps)

    async def hear(self, frames=5, first=1):
        """An utterance of so many frames, said as they come."""
        async with self.chosen.utterance(language="de", context="Before.") as utterance:
            for number in range(first, first + frames):
                await utterance.feed(frame(number))
                await self.clock.settle()
            return await utterance.finish()

    @property
    def heard(self):
        return [len(stt.utterances) for stt in self.stt]

    @property
    def all_left(self):
        return all(heard.left for stt in self.stt for heard in stt.utterances)


def frames(first, last):
    return b"".join(frame(number) for number in range(first, last + 1))


async def test_the_first_hears_everything_as_it_comes():
    desk = Ears()
    desk.script(["what time is it"])

    async def live():
        async with desk.chosen.utterance(language="de", context="Before.") as utterance:
            for number in range(1, 4):
                await utterance.feed(frame(number))
                await desk.clock.settle()
                assert desk.stt[0].utterances[0].pcm == frames(1, number)
            return await utterance.finish()

    assert await desk.told(live()) == "what time is it"
    (heard,) = desk.stt[0].utterances
    assert (heard.language, heard.context, heard.left) == ("de", "Before.", True)
    (told,) = desk.reports
    assert (told.stage, told.provider, told.model, told.outcome) == (Stage.STT, "a", "whole", "ok")
    assert told.usage == {"audio_ms": 60}
    assert desk.heard == [1, 0, 0]


@pytest.mark.parametrize("where", ["entering", "feeding", "finishing"])
async def test_when_one_fails_the_next_hears_the_whole_utterance(where):
    desk = Ears()
    if where == "entering":
        desk.stt[0].on_entry.append(trouble())
        desk.script([], ["four"])
    else:
        desk.script([OnFeed(trouble()) if where == "feeding" else trouble()], ["four"])
    assert await desk.told(desk.hear()) == "four"
    assert desk.stt[1].utterances[0].pcm == frames(1, 5)
    assert desk.outcomes == [("a:whole", "unavailable"), ("b:whole", "ok")]
    assert desk.chosen.name == "b:whole"
    assert desk.all_left


@pytest.mark.parametrize(("own", "patience_ms"), [("a", 8_000), ("b", 4_000)])
async def test_an_engine_of_this_machine_with_nobody_behind_it_gets_all_the_time_there_is(
    own, patience_ms
):
    """Late words are better than none; a machine that is busy has no quicker engine."""
    desk = Ears((ScriptedRecogniser,))
    desk.breakers = Breakers(desk.clock, own=[f"{own}:whole"])
    desk.chosen = ChosenEars(desk.stt, **desk.shared)
    desk.script([Stall()])
    async with desk.chosen.utterance(language="de") as utterance:
        await utterance.feed(frame(1))
        await desk.clock.advance(1_000)
        async with desk.doing(utterance.finish()) as task:
            await desk.clock.advance(patience_ms - 1)
            assert not task.done()
            await desk.clock.advance(1)
            assert (await task).message == "Speech recognition took too long."


async def test_after_a_failure_the_next_goes_on_live():
    desk = Ears()
    desk.script([OnFeed(None), OnFeed(trouble())], ["four"])
    async with desk.chosen.utterance(language="de") as utterance:
        for number in range(1, 5):
            await utterance.feed(frame(number))
            await desk.clock.settle()
        assert desk.stt[1].utterances[0].pcm == frames(1, 4)
        await utterance.feed(frame(5))
        await desk.clock.settle()
        assert desk.stt[1].utterances[0].pcm == frames(1, 5)
        assert await utterance.finish() == "four"


async def test_a_lost_connection_is_tried_once_more_with_the_same():
    desk = Ears((ScriptedRecogniser,))
    desk.stt[0].scripts += [[OnFeed(trouble(retryable=True))], ["four"]]
    assert await desk.told(desk.hear()) == "four"
    assert [heard.pcm for heard in desk.stt[0].utterances][1] == frames(1, 5)
    assert desk.outcomes == [("a:whole", "unavailable"), ("a:whole", "ok")]


async def test_feeding_never_waits_and_nothing_is_lost_while_one_opens():
    desk = Ears()
    door = Pause()
    desk.stt[0].on_entry.append(door)
    desk.script(["four"])
    async with desk.chosen.utterance(language="de") as utterance:
        for number in range(1, 6):
            await utterance.feed(frame(number))
        await desk.clock.settle()
        assert desk.stt[0].utterances[0].pcm == b""
        door.go.set()
        assert await utterance.finish() == "four"
    assert desk.stt[0].utterances[0].pcm == frames(1, 5)


async def test_the_limit_for_opening_runs_while_the_caller_speaks():
    desk = Ears()
    desk.stt[0].on_entry.append(Stall())
    desk.script([], ["four"])
    async with desk.chosen.utterance(language="de") as utterance:
        await utterance.feed(frame(1))
        await desk.clock.advance(3_999)
        assert desk.heard == [1, 0, 0]
        await desk.clock.advance(1)
        assert desk.stt[1].utterances[0].pcm == frame(1)
        assert await utterance.finish() == "four"


async def test_a_long_utterance_is_not_limited_before_its_end():
    desk = Ears()
    desk.script([Stall()], ["four"])
    async with desk.chosen.utterance(language="de") as utterance:
        await utterance.feed(frame(1))
        await desk.clock.advance(60_000)
        assert desk.heard == [1, 0, 0]
        async with desk.doing(utterance.finish()) as task:
            await desk.clock.advance(3_999)
            assert desk.heard == [1, 0, 0]
            await desk.clock.advance(1)
            assert await task == "four"


async def test_all_candidates_together_have_so_much_time_from_the_end_on():
    desk = Ears()
    desk.script([Stall()], [Stall()], ["never"])
    async with desk.chosen.utterance(language="de") as utterance:
        await utterance.feed(frame(1))
        await desk.clock.advance(5_000)
        async with desk.doing(utterance.finish()) as task:
            await desk.clock.advance(7_999)
            assert not task.done()
            await desk.clock.advance(1)
            assert (await task).message == "Speech recognition took too long."
    assert desk.heard == [1, 1, 0]


async def test_opening_and_finishing_share_one_limit_after_the_end():
    desk = Ears()
    slow = Pause()
    desk.stt[1].on_entry.append(slow)
    desk.script([trouble()], [Stall()], ["four"])
    async with desk.chosen.utterance(language="de") as utterance:
        await utterance.feed(frame(1))
        async with desk.doing(utterance.finish()) as task:
            await desk.clock.advance(3_000)
            slow.go.set()
            await desk.clock.advance(999)
            assert desk.heard == [1, 1, 0]
            await desk.clock.advance(1)
            assert await task == "four"


async def test_all_failed_is_the_last_failure_told_at_the_end():
    desk = Ears()
    last = trouble(message="The last.")
    desk.script([OnFeed(trouble())], [OnFeed(trouble())], [OnFeed(last)])
    async with desk.chosen.utterance(language="de") as utterance:
        for number in range(1, 9):
            await utterance.feed(frame(number))
            await desk.clock.settle()
        with pytest.raises(ProviderError) as caught:
            await utterance.finish()
    assert caught.value is last
    assert desk.all_left


async def test_nobody_to_ask_is_said_at_the_end():
    desk = Ears()
    for letter in "abc":
        desk.opened(Stage.STT, f"{letter}:whole")
    with pytest.raises(ProviderError) as caught:
        await desk.told(desk.hear())
    assert caught.value.message == "No provider is available."
    assert (desk.heard, desk.reports) == ([0, 0, 0], [])


async def test_nothing_understood_is_a_result():
    desk = Ears()
    desk.script([""], ["never"])
    assert await desk.told(desk.hear()) == ""
    assert desk.outcomes == [("a:whole", "ok")]


async def test_partials_are_those_of_whoever_hears():
    desk = Ears()
    desk.script(
        [Partial("what"), OnFeed(None), OnFeed(trouble())],
        [Partial("wha"), "what time"],
    )
    told = []

    async def listen(utterance):
        async with aclosing(utterance.partials()) as partials:
            async for text in partials:
                told.append(text)  # noqa: PERF401 - watched as it grows

    async with desk.chosen.utterance(language="de") as utterance, asyncio.TaskGroup() as group:
        group.create_task(listen(utterance))
        await desk.clock.settle()
        for number in range(1, 4):
            await utterance.feed(frame(number))
            await desk.clock.settle()
        assert await utterance.finish() == "what time"
    assert told == ["what", "wha"]


async def test_a_partial_from_before_somebody_listens_is_not_lost():
    desk = Ears()
    desk.script([Partial("what")])
    async with desk.chosen.utterance(language="de") as utterance:
        await utterance.feed(frame(1))
        await desk.clock.settle()
        async with aclosing(utterance.partials()) as partials:
            async with asyncio.timeout(1):
                assert await anext(partials) == "what"


async def test_of_a_very_long_utterance_the_end_is_kept():
    desk = Ears()
    seconds = [bytes([number]) * CALLER.bytes(1_000) for number in range(1, KEPT_MS // 1_000 + 6)]
    desk.script([trouble()], ["four"])
    async with desk.chosen.utterance(language="de") as utterance:
        for second in seconds:
            await utterance.feed(second)
            await desk.clock.settle()
        assert await utterance.finish() == "four"
    assert desk.stt[0].utterances[0].pcm == b"".join(seconds)
    assert desk.stt[1].utterances[0].pcm == b"".join(seconds[5:])


@pytest.mark.parametrize("when", ["entering", "hearing", "finishing"])
async def test_leaving_early_frees_the_candidate_and_is_told_of(when):
    desk = Ears()
    desk.script([Stall()])
    if when == "entering":
        desk.stt[0].on_entry.append(Stall())

    async def leave_early():
        async with desk.chosen.utterance(language="de") as utterance:
            await utterance.feed(frame(1))
            await desk.clock.settle()
            if when == "finishing":
                await utterance.finish()

    async with desk.doing(leave_early()) as task:
        task.cancel()
        await desk.clock.settle()
        assert task.done()
        assert desk.outcomes == [("a:whole", "cancelled")]
    assert desk.all_left
    assert desk.state(Stage.STT, "a:whole") is BreakerState.CLOSED


async def test_one_that_does_not_let_go_holds_nobody_up_for_long():
    desk = Ears()
    desk.script(["four"])
    desk.stt[0].on_exit.append(Stall())
    texts = []

    async def hear():
        async with desk.chosen.utterance(language="de") as utterance:
            await utterance.feed(frame(1))
            texts.append(await utterance.finish())

    async with desk.doing(hear()) as task:
        assert texts == ["four"]
        await desk.clock.advance(399)
        assert not task.done()
        await desk.clock.advance(1)
        assert task.done()
    assert desk.outcomes == [("a:whole", "ok")]


async def test_every_cancellation_reaches_one_that_does_not_let_go():
    desk = Ears()
    desk.script([Stall()])
    desk.stt[0].on_entry.append(Stall())
    desk.stt[0].on_exit.append(Stall())
    async with desk.doing(desk.hear()) as task:
        for _ in range(2):
            assert not task.done()
            task.cancel()
            await desk.clock.settle()
        assert task.cancelled()


async def test_the_error_in_the_block_is_the_one_that_comes_out():
    desk = Ears()
    desk.script([trouble()] * 3)
    with pytest.raises(KeyError):
        async with desk.chosen.utterance(language="de"):
            raise KeyError


async def test_what_the_provider_says_is_told():
    desk = Ears()
    desk.script([Partial("fo"), Tells("whole-2", "req-1", {"input_tokens": 7}), "four"])
    await desk.told(desk.hear())
    (told,) = desk.reports
    assert (told.model, told.request_id) == ("whole-2", "req-1")
    assert told.usage == {"audio_ms": 100, "input_tokens": 7}


async def test_times_count_from_when_the_candidate_was_asked():
    desk = Ears()
    desk.script([OnFeed(None), trouble()], [Partial("fo"), Pause(), "four"])
    pause = desk.stt[1].scripts[0][1]

    async def hear():
        async with desk.chosen.utterance(language="de") as utterance:
            await utterance.feed(frame(1))
            await desk.clock.sleep(1_000)
            return await utterance.finish()

    async with desk.doing(hear()) as task:
        await desk.clock.advance(1_000)
        await desk.clock.advance(250)
        pause.go.set()
        await task
    first, second = desk.reports
    assert (first.began_ms, first.first_ms, first.duration_ms) == (1_000_000, None, 1_000)
    assert (second.began_ms, second.first_ms, second.duration_ms) == (1_001_000, 0, 250)


async def test_it_is_a_service_of_one_call():
    desk = Ears((ScopedRecogniser, ScriptedRecogniser, ScopedRecogniser))
    assert isinstance(desk.chosen, CallScoped)
    async with desk.chosen:
        desk.chosen.warm()
    assert [(stt.entered, stt.warmed, stt.exited) for stt in (desk.stt[0], desk.stt[2])] == [
        (1, 1, 1),
        (1, 0, 1),
    ]


STEPS = [
    lambda: OnFeed(trouble(retryable=True)),
    lambda: OnFeed(ValueError("a mistake")),
    lambda: trouble(ProviderFault.AUTH),
    lambda: trouble(ProviderFault.BUSY, retry_after_ms=300),
    Stall,
    lambda: "heard",
]


@pytest.mark.parametrize("seed", range(40))
async def test_whatever_fails_the_one_who_understood_heard_everything(seed):
    chance = random.Random(seed)
    desk = Ears()
    for stt in desk.stt:
        for _ in range(40):
            stt.scripts.append([chance.choice(STEPS)(), f"{stt.name} heard"])
            stt.on_entry.append(chance.choice([None, None, trouble(), Stall()]))
            stt.on_exit.append(chance.choice([None, None, RuntimeError("no"), Stall()]))

    async def hear():
        async with desk.chosen.utterance(language="de") as utterance:
            for number in range(1, 7):
                await utterance.feed(frame(number))
                await desk.clock.sleep(20)
            return await utterance.finish()

    for _ in range(10):
        async with desk.doing(hear()) as task:
            if chance.random() < 0.3:
                await desk.clock.advance(chance.randint(0, 6_000))
                task.cancel()
            await desk.clock.advance(30_000)
            assert task.done()
        if not task.cancelled() and isinstance(task.result(), str):
            (by,) = [stt for stt in desk.stt if stt.name == desk.chosen.name]
            assert by.utterances[-1].pcm == frames(1, 6)
        assert len(desk.reports) == sum(desk.heard)
        assert desk.all_left
    assert {task for task in asyncio.all_tasks() if task is not asyncio.current_task()} == set()
