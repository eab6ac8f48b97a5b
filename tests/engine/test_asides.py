"""Answers beside the conversation: nothing of them is part of it, and nothing of them ends it."""

import pytest

from calls.domain import events as ev
from calls.domain.errors import EndReason
from calls.domain.events import Stage
from calls.domain.items import Item, Role
from calls.domain.wishes import Wishes
from calls.engine.asides import ASIDE_MS, MOST_ASIDES
from calls.ports.client import AsideAudio, AsideDone, AsideText, AsideTool
from calls.ports.errors import ProviderError, ProviderFault
from calls.ports.tools import ToolSpec
from calls.ports.usage import ServiceReport
from calls.ports.voice import SessionChange
from tests.doubles.voice import ScriptedVoice, UseTool, Wait, Words, milliseconds
from tests.engine.bench import call

pytestmark = pytest.mark.asyncio

QUESTION = (Item(1, Role.USER, "What is this call about?", turn=1),)
NOTHING = Wishes()


def voice(*script):
    made = ScriptedVoice()
    made.answers.append(script)
    return made


def of_asides(client):
    kinds = AsideText | AsideAudio | AsideTool | AsideDone
    return [message for message in client.messages if isinstance(message, kinds)]


def ends(client):
    return [message for message in of_asides(client) if isinstance(message, AsideDone)]


async def test_an_answer_comes_as_text_sound_and_tools_and_the_call_knows_nothing_of_it():
    async with call() as bench:
        client = await bench.attach()
        bench.next_asides.append(voice(Words("Weather.", 200), UseTool("note", '{"a": 1}')))
        state, effects = bench.runner.state, len(bench.effects)
        bench.runner.ask_aside("a1", QUESTION, Wishes(text_only=False))
        await bench.clock.advance(1_000)
        text, *sound, tool, done = of_asides(client)
        assert text == AsideText("a1", "Weather.")
        assert [ms for part in sound for ms in milliseconds(part.pcm)] == list(range(200))
        assert tool == AsideTool("a1", "t1", "note", '{"a": 1}')
        assert done == AsideDone("a1")
        assert (bench.runner.state, len(bench.effects)) == (state, effects)
        assert bench.voice.asked == []
        assert bench.records.items == {}
        assert bench.asides[0].left


async def test_it_is_asked_like_the_calls_own_session_would_be():
    async with call() as bench:
        await bench.attach()
        tool = ToolSpec("note", "Takes a note.", {"type": "object"})
        bench.runner.configure(SessionChange(system_prompt="Be brief.", tools=(tool,)))
        bench.runner.configure(SessionChange(speed=1.2, system_prompt="Be quick."))
        bench.runner.ask_aside("a1", QUESTION, Wishes(instructions="Sum up."))
        await bench.clock.settle()
        configured, asked = bench.asides[0].asked
        change = SessionChange(system_prompt="Be quick.", tools=(tool,), speed=1.2)
        assert configured.change == change
        assert asked.items == QUESTION
        assert asked.wishes.instructions == "Sum up."
        offered = {"name": "note", "description": "Takes a note.", "parameters": {"type": "object"}}
        assert asked.wishes.tools == (offered,), "nobody would run the agent's own"
        assert asked.tools_allowed


async def test_a_conversation_that_was_replaced_has_its_new_instructions():
    async with call() as bench:
        await bench.attach()
        bench.runner.post(ev.ConversationReset(entries=(), system_prompt="Be new."))
        bench.runner.post(ev.ConversationReset(entries=()))
        bench.runner.ask_aside("a1", QUESTION, NOTHING)
        await bench.clock.settle()
        assert bench.asides[0].asked[0].change == SessionChange(system_prompt="Be new.")


@pytest.mark.parametrize("wished", [None, ()])
async def test_without_tools_of_the_clients_there_are_none(wished):
    async with call() as bench:
        await bench.attach()
        bench.runner.ask_aside("a1", QUESTION, Wishes(tools=wished))
        await bench.clock.settle()
        asked = bench.asides[0].asked[-1]
        assert (asked.wishes.tools, asked.tools_allowed) == ((), False)


async def test_without_items_it_is_about_the_conversation_as_it_stands():
    async with call() as bench:
        await bench.attach()
        bench.runner.post(ev.TextTyped(text="What time is it?"))
        await bench.clock.advance(3_000)
        bench.runner.ask_aside("a1", None, NOTHING)
        await bench.clock.settle()
        items = bench.asides[0].asked[-1].items
        assert [(item.role, item.text) for item in items] == [
            (Role.USER, "What time is it?"),
            (Role.AGENT, "Yes."),
        ]


async def test_several_go_on_at_once_and_one_more_is_refused():
    async with call() as bench:
        client = await bench.attach()
        waits = [Wait() for _ in range(MOST_ASIDES)]
        bench.next_asides.extend(voice(wait, Words(str(n))) for n, wait in enumerate(waits))
        for n in range(MOST_ASIDES + 1):
            bench.runner.ask_aside(f"a{n}", QUESTION, NOTHING)
        await bench.clock.settle()
        assert of_asides(client) == [AsideDone(f"a{MOST_ASIDES}", failed="busy")]
        assert len(bench.asides) == MOST_ASIDES
        for wait in reversed(waits):
            wait.go.set()
            await bench.clock.settle()
        assert [end.aside_id for end in ends(client)[1:]] == ["a3", "a2", "a1", "a0"]
        bench.runner.ask_aside("one more", QUESTION, NOTHING)
        await bench.clock.settle()
        assert ends(client)[-1] == AsideDone("one more")


async def test_two_of_one_name_are_not_mixed_up():
    async with call() as bench:
        client = await bench.attach()
        wait = Wait()
        bench.next_asides.append(voice(wait, Words("Mine.")))
        bench.runner.ask_aside("a", QUESTION, NOTHING)
        bench.runner.ask_aside("a", QUESTION, NOTHING)
        await bench.clock.settle()
        assert of_asides(client) == [AsideDone("a", failed="duplicate")]
        wait.go.set()
        await bench.clock.settle()
        assert ends(client)[-1] == AsideDone("a")


async def test_of_one_that_is_cancelled_nothing_follows():
    async with call() as bench:
        client = await bench.attach()
        wait = Wait()
        bench.next_asides.append(voice(Words("One."), wait, Words("Two.")))
        bench.runner.ask_aside("a", QUESTION, NOTHING)
        await bench.clock.settle()
        bench.runner.cancel_aside("what is not there")
        bench.runner.cancel_aside("a")
        bench.runner.cancel_aside("a")
        bench.runner.ask_aside("a", QUESTION, NOTHING)  # the name is free again
        wait.go.set()
        await bench.clock.settle()
        assert ends(client) == [AsideDone("a", cancelled=True), AsideDone("a")]
        texts = [message.text for message in of_asides(client) if isinstance(message, AsideText)]
        assert texts == ["One.", "Yes."]
        assert bench.asides[0].left


class Sore(ScriptedVoice):
    """It does not let itself be left in peace."""

    async def __aexit__(self, *exc):
        await super().__aexit__(*exc)
        raise failure()


async def test_one_that_was_cancelled_does_not_speak_for_the_next_of_its_name():
    async with call() as bench:
        client = await bench.attach()
        wait = Wait()
        bench.next_asides.extend([Sore(), voice(wait)])
        bench.next_asides[0].answers.append([Wait()])
        bench.runner.ask_aside("a", QUESTION, NOTHING)
        await bench.clock.settle()
        bench.runner.cancel_aside("a")
        bench.runner.ask_aside("a", QUESTION, NOTHING)
        await bench.clock.settle()
        assert ends(client) == [AsideDone("a", cancelled=True)]
        wait.go.set()
        await bench.clock.settle()
        assert ends(client)[1:] == [AsideDone("a")]


async def test_all_are_cancelled_at_once_before_they_have_even_begun():
    async with call() as bench:
        client = await bench.attach()
        for _ in range(3):
            for n in range(MOST_ASIDES):
                bench.runner.ask_aside(f"a{n}", QUESTION, NOTHING)
            bench.runner.cancel_aside(None)
            await bench.clock.settle()
        assert ends(client) == [AsideDone(f"a{n}", cancelled=True) for n in range(MOST_ASIDES)] * 3
        assert all(opened.left for opened in bench.asides)


def refusing():
    made = ScriptedVoice()
    made.refuses = failure()
    return made


def failure():
    return ProviderError(ProviderFault.BUSY, "Not now.", provider="x", stage=Stage.LLM)


FAILURES = {
    "not entered": (refusing, ProviderFault.BUSY.value),
    "session over": (lambda: voice(failure()), ProviderFault.BUSY.value),
    "defect": (lambda: voice(RuntimeError("what was said")), "unavailable"),
    "failed": (
        lambda: voice(Words("It"), ev.VoiceFailed(stage=Stage.LLM, message="No.")),
        "unavailable",
    ),
    "busy": (lambda: voice(ev.VoiceFailed(stage=Stage.LLM, message="No.", busy=True)), "busy"),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_a_failure_is_told_and_the_call_goes_on(name, caplog):
    made, told = FAILURES[name]
    async with call() as bench:
        client = await bench.attach()
        bench.next_asides.append(made())
        bench.runner.ask_aside("a", QUESTION, NOTHING)
        await bench.clock.settle()
        assert ends(client) == [AsideDone("a", failed=told)]
        bench.runner.post(ev.TextTyped(text="Are you there?"))
        await bench.clock.settle()
        assert bench.voice.whats() == ["respond"]
    assert "what was said" not in caplog.text


async def test_one_that_hangs_comes_to_an_end():
    async with call() as bench:
        client = await bench.attach()
        bench.next_asides.append(voice(Wait()))
        bench.runner.ask_aside("a", QUESTION, NOTHING)
        await bench.clock.advance(ASIDE_MS - 1)
        assert ends(client) == []
        await bench.clock.advance(1)
        assert ends(client) == [AsideDone("a", failed="timeout")]
        assert bench.asides[0].left


async def test_where_there_is_no_other_voice_there_are_no_asides():
    async with call(asides=False) as bench:
        client = await bench.attach()
        bench.runner.ask_aside("a", QUESTION, NOTHING)
        await bench.clock.settle()
        assert ends(client) == [AsideDone("a", failed="unavailable")]


async def test_what_it_comes_to_is_on_the_record():
    async with call() as bench:
        await bench.attach()
        wait = Wait()
        bench.next_asides.append(voice(wait))
        bench.runner.ask_aside("a", QUESTION, NOTHING)
        await bench.clock.settle()
        report = ServiceReport(
            stage=Stage.LLM,
            provider="scripted",
            model="m",
            outcome="ok",
            began_ms=bench.clock.now_ms(),
            first_ms=1,
            duration_ms=2,
            request_id="r",
            usage={"output_tokens": 3},
            estimated=False,
        )
        bench.asides[0].report(report, 1)
        await bench.clock.settle()
        (use,) = bench.records.uses.values()
        assert (use.response_id, use.usage) == (None, {"output_tokens": 3})


async def test_the_end_of_the_call_is_the_end_of_its_asides():
    async with call() as bench:
        await bench.attach()
        bench.next_asides.append(voice(Wait()))
        bench.runner.ask_aside("a", QUESTION, NOTHING)
        await bench.clock.settle()
        bench.hang_up()
        assert await bench.ended() is EndReason.CALLER_HUNG_UP
        assert bench.asides[0].left
