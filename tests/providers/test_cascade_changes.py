"""A cascade that its client changes, and answers that are wished for otherwise."""

import pytest

from calls.domain.events import ResponseAudio
from calls.domain.items import Item, Role
from calls.domain.wishes import Wishes
from calls.ports.tools import ToolSpec
from calls.ports.voice import SessionChange
from calls.providers.cascade.session import Manner
from tests.doubles.speech import Pause
from tests.providers.parity import ASKED, of_kind, over, speak_to
from tests.providers.test_cascade import Parts

pytestmark = pytest.mark.asyncio

OURS = ToolSpec("clock", "Tells our time.")
THEIRS = ToolSpec("clock", "Tells the client's time.")
MANNER = Manner(system_prompt="Be kind.", tools=(OURS,), voice="anna", voices=frozenset({"emma"}))
RESULT = Item(2, Role.TOOL, "16:00", turn=1, tool_call_id="a", tool_name="clock", arguments="{}")


async def asked_after(change, wishes=None, *, items=ASKED, tools_allowed=True):
    """The prompt of an answer after that change, and what it was spoken with."""
    parts = Parts()
    parts.answer("Yes.")
    async with parts.session(MANNER) as (cascade, ear):
        await cascade.configure(change)
        await cascade.respond(1, items, tools_allowed=tools_allowed, wishes=wishes or Wishes())
        await ear.until(over(1))
    return parts.llm.asked[0].prompt, parts.tts.spoken[0]


@pytest.mark.parametrize(
    ("change", "spoken"),
    [
        (SessionChange(), ("en", "anna", 1.0)),
        (SessionChange(language="de-DE", speed=1.3), ("de-DE", "anna", 1.3)),
        (SessionChange(voice="emma"), ("en", "emma", 1.0)),
        (SessionChange(voice="marin"), ("en", "anna", 1.0)),
    ],
)
async def test_an_answer_is_spoken_as_the_client_wants(change, spoken):
    prompt, voiced = await asked_after(change)
    assert (voiced.language, voiced.voice, voiced.speed) == spoken
    assert prompt.language == spoken[0]


async def test_the_next_utterance_is_heard_in_the_new_language():
    parts = Parts()
    async with parts.session(MANNER) as (cascade, ear):
        await speak_to(cascade, 1)
        await cascade.configure(SessionChange(language="fr"))
        await speak_to(cascade, 1)
        await cascade.commit()
        await speak_to(cascade, 1)
        await ear.nothing_more()
    assert [heard.language for heard in parts.stt.utterances] == ["en", "fr"]


async def test_an_answer_that_goes_on_keeps_its_voice():
    parts, more = Parts(), Pause()
    parts.answer("It is four. Is", more, " that all?")
    async with parts.session(MANNER) as (cascade, ear):
        await cascade.respond(1, ASKED, tools_allowed=True)
        await ear.until_kind(ResponseAudio)
        await cascade.configure(SessionChange(voice="emma", text_only=True))
        more.go.set()
        await ear.until(over(1))
    assert {voiced.voice for voiced in parts.tts.spoken} == {"anna"}
    assert len(parts.tts.spoken) == 2


async def test_the_clients_tool_counts_before_ours_of_the_same_name():
    prompt, _ = await asked_after(SessionChange(tools=(THEIRS,)))
    assert [*prompt.tools] == [THEIRS]


async def test_tools_of_one_answer_are_objects_of_whatever_shape():
    wished = ({"name": "a", "description": "A.", "parameters": {"type": "object"}}, {"name": "b"})
    prompt, _ = await asked_after(SessionChange(), Wishes(tools=wished))
    assert [*prompt.tools] == [ToolSpec("a", "A.", {"type": "object"}), ToolSpec("b", "", {})]


@pytest.mark.parametrize(
    ("session", "wished", "asked"),
    [
        ("", "", ""),
        ("required", "", "required"),
        ("required", "auto", ""),
        ("", "clock", "clock"),
        ("clock", "required", "required"),
        ("", "what_is_not_there", ""),
    ],
)
async def test_a_choice_of_tools_is_passed_on_where_there_is_one(session, wished, asked):
    prompt, _ = await asked_after(SessionChange(tool_choice=session), Wishes(tool_choice=wished))
    assert (prompt.tool_choice, [*prompt.tools]) == (asked, [OURS])


@pytest.mark.parametrize(
    ("session", "wished", "allowed"),
    [("none", "", True), ("", "none", True), ("required", "", False)],
)
async def test_no_tool_is_offered_where_none_is_wanted(session, wished, allowed):
    prompt, _ = await asked_after(
        SessionChange(tool_choice=session), Wishes(tool_choice=wished), tools_allowed=allowed
    )
    assert (prompt.tool_choice, [*prompt.tools]) == ("", [])


async def test_after_its_tools_no_answer_is_forced_to_use_one_again():
    wishes = Wishes(tool_choice="required")
    prompt, _ = await asked_after(SessionChange(), wishes, items=(*ASKED, RESULT))
    assert (prompt.tool_choice, [*prompt.tools]) == ("", [OURS])


@pytest.mark.parametrize(
    ("session", "wished", "asked"),
    [(None, None, None), (100, None, 100), (100, 50, 50), (100, 0, None), (0, None, None)],
)
async def test_the_length_of_an_answer_is_limited(session, wished, asked):
    change = SessionChange(max_output_tokens=session)
    prompt, _ = await asked_after(change, Wishes(max_output_tokens=wished))
    assert prompt.max_output_tokens == asked


async def test_an_answer_may_be_spoken_in_a_session_of_text():
    parts = Parts()
    parts.answer("Yes.")
    async with parts.session(MANNER) as (cascade, ear):
        await cascade.configure(SessionChange(text_only=True))
        await cascade.respond(1, ASKED, tools_allowed=True, wishes=Wishes(text_only=False))
        events = await ear.until(over(1))
    assert of_kind(events, ResponseAudio)
