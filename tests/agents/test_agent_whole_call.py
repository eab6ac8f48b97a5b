"""Whole calls of agents in code that misbehave, are interrupted, or take the call in hand."""

import threading

import pytest

from calls.agents import Message, VoiceAgent
from calls.domain import effects as do
from calls.domain import events as ev
from calls.domain.errors import EndReason
from calls.domain.items import ItemStatus
from calls.ports.client import AudioFrame
from tests.agents.bench import code_call


class Quiet(VoiceAgent):
    """The caller speaks first; every message is kept."""

    first_message = ""

    def __init__(self):
        self.seen = []

    def on_message(self, message):
        self.seen.append(message)


class Crashing(Quiet):
    """Fails at the first question, and at a word of its own."""

    async def generate_answer(self, conversation):
        last = conversation[-1].content
        if last == "one":
            raise LookupError(last)
        return f"You said {last}."

    def text_to_speech(self, text):
        if "pomegranate" in text:
            raise OSError(text)
        return b"\1\0" * 2_400


@pytest.mark.asyncio
async def test_a_call_survives_the_failures_of_its_code(info, caplog):
    agent = Crashing()
    async with code_call(agent, info) as call:
        for word in ("one", "two", "pomegranate"):
            await call.caller_types(word)
        apology = call.runner.state.policy.apology_text
        assert call.said() == [
            ("user", "one"),
            ("agent", apology),
            ("user", "two"),
            ("agent", "You said two."),
            ("user", "pomegranate"),
            ("agent", ""),
        ]
        assert call.records.items[6].unheard == "You said pomegranate."
        assert call.client.errors() == ["llm_failed", "tts_failed"]
        assert not call.running.done()
    assert "pomegranate" not in caplog.text
    assert call.records.reason is EndReason.CALLER_HUNG_UP


class Deaf(Quiet):
    """Fails to listen."""

    def speech_to_text(self, audio, previous_message):
        raise SystemExit(audio)


@pytest.mark.asyncio
async def test_ears_that_fail_are_apologised_for(info):
    async with code_call(Deaf(), info) as call:
        await call.caller_says(bytes(32_000))
        assert call.said() == [("agent", call.runner.state.policy.apology_text)]
        assert call.client.errors() == ["stt_failed"]


class Storyteller(Quiet):
    """Never comes to an end."""

    def __init__(self):
        super().__init__()
        self.closed = threading.Event()

    def generate_answer(self, conversation):
        if len(conversation) > 2:
            yield "Well."
            return
        try:
            while True:
                yield "And then they walked on. "
        finally:
            self.closed.set()

    def text_to_speech(self, text):
        return b"\1\0" * 24_000


@pytest.mark.asyncio
async def test_an_interrupted_answer_is_told_as_it_was_heard_and_its_iterator_closed(info):
    agent = Storyteller()
    async with code_call(agent, info) as call:
        call.runner.post(ev.TextTyped(text="Tell me a story."))
        await call.until(lambda: call.runner.state.response and call.client.of(AudioFrame))
        await call.clock.advance(2_500)
        await call.caller_types("Stop.")
        await call.until(agent.closed.is_set)
        await call.until(lambda: len(agent.seen) == 4)
    story = agent.seen[1]
    assert story.content.startswith("And then they walked on. And then")
    assert "walked on" in story.unheard
    assert [message.role for message in agent.seen] == ["user", "assistant", "user", "assistant"]
    assert call.records.items[2].status is ItemStatus.INTERRUPTED


class Managing(Quiet):
    """Takes its own call in hand."""

    system_prompt = "Be kind."

    def __init__(self):
        super().__init__()
        self.conversations = []

    def generate_answer(self, conversation):
        self.conversations.append([(m.role, m.content) for m in conversation])
        if conversation[-1].content == "start over":
            self.call.reset_conversation(
                [Message("system", "Be stern."), Message("assistant", "Name?")]
            )
        elif conversation[-1].content == "enough":
            self.call.end()
        return "All right."


@pytest.mark.asyncio
async def test_a_conversation_can_be_replaced_and_a_call_ended_from_a_thread(info):
    agent = Managing()
    async with code_call(agent, info) as call:
        await call.caller_types("start over")
        await call.caller_types("Ada")
        assert agent.call.conversation == (
            Message("assistant", "Name?"),
            Message("user", "Ada"),
            Message("assistant", "All right."),
        )
        call.runner.post(ev.TextTyped(text="enough"))
        await call.until(call.running.done)
    assert agent.conversations[:2] == [
        [("system", "Be kind."), ("user", "start over")],
        [("system", "Be stern."), ("assistant", "Name?"), ("user", "Ada")],
    ]
    assert ("user", "start over") in call.said()
    assert call.records.reason is EndReason.AGENT_ENDED


class Configured(VoiceAgent):
    """Leaves everything to its row but the voice."""

    disable_tts = True


@pytest.mark.asyncio
async def test_an_agent_that_says_nothing_is_as_configured_and_may_be_silent(info):
    async with code_call(Configured(), info) as call:
        call.llm.scripts.append(["Four o'clock."])
        await call.caller_types("What time is it?")
        assert call.said() == [("user", "What time is it?"), ("agent", "Four o'clock.")]
        assert call.client.of(AudioFrame) == []
        assert call.client.of(do.SendResponseText)[0].text == "Four o'clock."
