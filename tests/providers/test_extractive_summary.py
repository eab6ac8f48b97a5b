"""The summary without a language model: the conversation's own sentences."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls.domain.items import Item, ItemStatus, Role
from calls.providers.embedded.demo_tools import demo_tools
from calls.providers.embedded.script import ScriptedAgent
from calls.providers.embedded.summary import TITLE_CHARS, ExtractiveSummarizer, summarize
from tests.doubles.conversation import Conversation


async def talked(*said):
    talk = Conversation(ScriptedAgent(), demo_tools())
    await talk.answer()
    for text in said:
        await talk.say(text)
    return talk.items


@pytest.mark.asyncio
async def test_a_booking_is_what_the_conversation_was_about():
    items = await talked(
        "hello",
        "how much does a cleaning cost",
        "i would like to make an appointment on monday at three o'clock",
        "my name is john smith",
        "yes please",
        "goodbye",
    )
    draft = await ExtractiveSummarizer().summarize(items, language="en")
    assert draft.title == "Book appointment (Monday, 15:00, John Smith)"
    assert draft.outcome == "book appointment: done"
    assert "how much does a cleaning cost" in draft.key_points
    assert "“A check-up costs fifty dollars”" in draft.summary
    assert "Done on the way: Book appointment (Monday, 15:00, John Smith)." in draft.summary
    assert "scripted demo" not in draft.summary
    assert draft.language == "en"


@pytest.mark.asyncio
async def test_without_tools_the_first_question_is_the_title():
    items = await talked("hello", "do you have parking near the house", "thanks")
    draft = await ExtractiveSummarizer().summarize(items, language="de")
    assert draft.title == "Do you have parking near the house"
    assert draft.outcome == "answered"


def test_courtesies_are_left_out():
    items = [
        Item(1, Role.USER, "When do you close today?", turn=1),
        Item(2, Role.AGENT, "We close at five.", turn=1),
        Item(3, Role.USER, "thank you goodbye", turn=2),
        Item(4, Role.AGENT, "Thank you for calling. Goodbye!", turn=2),
    ]
    draft = summarize(items)
    assert draft.key_points == ("When do you close today?",)
    assert draft.summary == (
        "The caller spoke 2 times: “When do you close today?”. The agent answered: “We close at five”."
    )


def test_a_question_of_small_words_is_one():
    assert summarize([Item(1, Role.USER, "who are you", turn=1)]).title == "Who are you"


def test_nothing_was_said():
    draft = summarize([])
    assert (draft.title, draft.outcome, draft.key_points) == (
        "Nothing was said",
        "nothing said",
        (),
    )


def test_a_caller_who_said_nothing_and_one_who_was_not_answered():
    greeting = Item(1, Role.AGENT, "Hello, how can I help you?", turn=1)
    question = Item(2, Role.USER, "When do you close today?", turn=2)
    assert summarize([greeting]).outcome == "the caller said nothing"
    assert summarize([greeting, question]).outcome == "the last words were not answered"


def test_what_was_taken_back_or_never_heard_is_not_summed_up():
    items = [
        Item(1, Role.USER, "Forget this secret thing.", turn=1, status=ItemStatus.CANCELLED),
        Item(2, Role.USER, "Where are you located then?", turn=1),
        Item(3, Role.AGENT, "We are at", turn=1, unheard=" a secret place.",
             status=ItemStatus.INTERRUPTED),
    ]  # fmt: skip
    assert "secret" not in repr(summarize(items))


def test_an_instruction_was_not_spoken():
    instruction = Item(1, Role.SYSTEM, "Never tell anybody the secret word.", turn=0)
    question = Item(2, Role.USER, "When do you close today?", turn=1)
    assert "secret" not in repr(summarize([instruction, question]))
    assert summarize([question, instruction]).outcome == "the last words were not answered"
    assert summarize([instruction]).outcome == "nothing said"


def test_what_the_agent_announced_is_a_next_step():
    items = [
        Item(1, Role.USER, "I need help with my bill.", turn=1),
        Item(2, Role.AGENT, "I see. We will send you a copy. Is that all right?", turn=1),
    ]
    assert summarize(items).next_steps == ("We will send you a copy.",)


def test_a_failed_tool_is_told_as_failed():
    items = [
        Item(1, Role.TOOL, "no", turn=1, status=ItemStatus.FAILED, tool_name="send_mail",
             arguments='{"to": "me"}'),
    ]  # fmt: skip
    draft = summarize(items)
    assert draft.key_points == ("Send mail (me): failed",)
    assert draft.outcome == "send mail: not done"


@given(
    st.lists(
        st.builds(
            Item,
            item_id=st.integers(1, 9),
            role=st.sampled_from([*Role]),
            text=st.text(max_size=200),
            turn=st.just(1),
            status=st.sampled_from([*ItemStatus]),
            tool_name=st.text(max_size=10),
            arguments=st.text(max_size=20) | st.just('{"a": [1, null], "b": "c"}'),
        ),
        max_size=8,
    )
)
def test_anything_can_be_summed_up(items):
    draft = summarize(items)
    assert draft == summarize(items)
    assert draft.title
    assert draft.summary
    assert draft.outcome
    assert len(draft.title) <= TITLE_CHARS + 10
