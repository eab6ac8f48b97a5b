"""A realtime session that its client changes: what the other side is told, and when."""

import asyncio

import pytest
import pytest_asyncio

from calls.domain.events import TranscriptFinal
from calls.domain.items import Item, Role, Source
from calls.domain.wishes import Wishes
from calls.ports.tools import ToolSpec
from calls.ports.voice import SessionChange
from tests.doubles.providers.openai_realtime import Says
from tests.providers.parity import ASKED, in_session, over, speak_to
from tests.providers.realtime_rig import realtime_rig

pytestmark = pytest.mark.asyncio

WEATHER = ToolSpec("weather", "What it is like outside.")
MINE = ToolSpec("opening_hours", "When the client's shop is open.")


@pytest_asyncio.fixture
async def rig():
    async with realtime_rig() as rig:
        yield rig


class Set:
    """A rig whose session is set up otherwise."""

    def __init__(self, rig, **settings):
        self._rig, self._settings = rig, settings

    def session(self):
        return self._rig.session(**self._settings)

    def __getattr__(self, name):
        return getattr(self._rig, name)


def updates(rig, nth=0):
    """What the session was told to be after its beginning."""
    messages = [m for m in rig.double.sessions[nth].received if m["type"] == "session.update"]
    return [message["session"] for message in messages[1:]]


def created(rig):
    return [
        message["response"]
        for session in rig.double.sessions
        for message in session.received
        if message["type"] == "response.create"
    ]


async def eventually(met):
    async with asyncio.timeout(3):
        while not met():  # noqa: ASYNC110 - the other side of a socket sets no event
            await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (SessionChange(), []),
        (SessionChange(system_prompt="Be brief."), [{"instructions": "Be brief."}]),
        (SessionChange(system_prompt="Be kind."), []),
        (SessionChange(text_only=True), [{"output_modalities": ["text"]}]),
        (SessionChange(tool_choice="required"), [{"tool_choice": "required"}]),
        (
            SessionChange(tool_choice="opening_hours"),
            [{"tool_choice": {"type": "function", "name": "opening_hours"}}],
        ),
        (SessionChange(tool_choice="what_is_not_there"), []),
        (SessionChange(max_output_tokens=100), [{"max_output_tokens": 100}]),
        (SessionChange(max_output_tokens=0), []),
        (SessionChange(speed=9.0), [{"audio": {"output": {"speed": 1.5}}}]),
        (SessionChange(voice="cedar"), [{"audio": {"output": {"voice": "cedar"}}}]),
        (SessionChange(voice="a voice of somebody else"), []),
        (
            SessionChange(system_prompt="Be brief.", voice="cedar"),
            [{"instructions": "Be brief."}, {"audio": {"output": {"voice": "cedar"}}}],
        ),
    ],
)
async def test_only_what_is_different_is_told(rig, change, told):
    async with in_session(rig) as (session, _):
        await session.configure(change)
        await rig.settled()
    assert updates(rig) == [{"type": "realtime", **part} for part in told]


async def test_the_language_is_the_recognisers_and_the_instructions(rig):
    async with in_session(Set(rig, language_instruction=True)) as (session, _):
        await session.configure(SessionChange(language="de-DE"))
        await rig.settled()
    words, ears = updates(rig)
    assert words["instructions"].endswith("Always speak German, whatever language you hear.")
    assert ears["audio"]["input"]["transcription"]["languages"] == ["de"]


async def test_the_clients_tool_counts_before_ours_of_the_same_name(rig):
    async with in_session(rig) as (session, _):
        await session.configure(SessionChange(tools=(WEATHER, MINE)))
        await rig.settled()
    [told] = updates(rig)
    assert [(tool["name"], tool["description"]) for tool in told["tools"]] == [
        ("opening_hours", MINE.description),
        ("weather", WEATHER.description),
    ]


async def test_a_client_can_ask_for_less_than_the_agent_is_set_up_for_and_not_for_more(rig):
    async with in_session(Set(rig, max_output_tokens=500)) as (session, _):
        for wanted in (100, 4_000, 0):
            await session.configure(SessionChange(max_output_tokens=wanted))
        await rig.settled()
    assert [told["max_output_tokens"] for told in updates(rig)] == [100, 500]


async def test_the_voice_stays_once_it_was_heard(rig):
    rig.will_answer("It is four.")
    async with in_session(rig) as (session, ear):
        await session.respond(1, ASKED, tools_allowed=True)
        await ear.until(over(1))
        await session.configure(SessionChange(voice="cedar", system_prompt="Be brief."))
        await rig.settled()
    assert updates(rig) == [{"type": "realtime", "instructions": "Be brief."}]


async def test_a_session_that_is_rebuilt_is_told_all_of_it(rig):
    async with in_session(rig) as (session, ear):
        change = SessionChange(
            system_prompt="Be brief.", tools=(WEATHER,), text_only=True, voice="cedar", speed=1.2
        )
        await session.configure(change)
        await rig.settled()
        rig.double.cut_session(1006)
        await rig.settled()
        await rig.time_passes(500)
        await eventually(lambda: len(rig.double.sessions) == 2)
        await rig.settled()
        await session.configure(SessionChange(system_prompt="Be quick."))
        rig.will_answer("Yes.")
        await session.respond(1, ASKED, tools_allowed=True)
        await ear.until(over(1))
    config = rig.double.sessions[1].config
    assert config["output_modalities"] == ["text"]
    assert config["audio"]["output"] | {"voice": "cedar", "speed": 1.2} == config["audio"]["output"]
    assert rig.offered() == [["opening_hours", "weather"]]
    assert rig.prompts()[0][0] == "Be quick."


async def test_what_was_begun_before_the_change_is_not_the_answer(rig):
    rig.will_hear("what time is it")
    rig.will_answer("It is four, I should say.")
    rig.will_answer("Four.")
    async with in_session(rig) as (session, ear):
        await speak_to(session)
        await session.commit()
        await ear.until_kind(TranscriptFinal)
        await eventually(lambda: rig.double.saw)
        await session.configure(SessionChange(system_prompt="Be brief."))
        heard = Item(1, Role.USER, "what time is it", turn=1, source=Source.VOICE)
        await session.respond(1, (heard,), tools_allowed=True)
        events = await ear.until(over(1))
    assert "".join(getattr(event, "text", "") for event in events).endswith("Four.")
    assert [prompt for prompt, _, _ in rig.prompts()] == ["Be kind.", "Be brief."]


@pytest.mark.parametrize(
    ("wishes", "told"),
    [
        (Wishes(), {}),
        (Wishes(metadata={"topic": "none of theirs"}), {}),
        (Wishes(instructions=""), {"instructions": ""}),
        (Wishes(text_only=True), {"output_modalities": ["text"]}),
        (Wishes(max_output_tokens=50), {"max_output_tokens": 50}),
        (Wishes(max_output_tokens=0), {"max_output_tokens": "inf"}),
        (Wishes(tool_choice="auto"), {"tool_choice": "auto"}),
        (Wishes(tool_choice="required"), {"tool_choice": "required"}),
        (Wishes(tool_choice="none"), {"tool_choice": "none"}),
        (
            Wishes(tool_choice="opening_hours"),
            {"tool_choice": {"type": "function", "name": "opening_hours"}},
        ),
        (Wishes(tools=(), tool_choice="required"), {"tools": [], "tool_choice": "auto"}),
    ],
)
async def test_an_answer_is_asked_for_as_it_is_wished_for(rig, wishes, told):
    rig.double.answers.append(Says("Yes."))
    async with in_session(rig) as (session, ear):
        await session.respond(1, ASKED, tools_allowed=True, wishes=wishes)
        await ear.until(over(1))
    [asked] = created(rig)
    del asked["metadata"]
    assert asked == told


async def test_after_its_tools_no_answer_is_forced_to_use_one_again(rig):
    rig.will_ask_for_tool("opening_hours", "{}")
    rig.will_answer("From nine to five.")
    async with in_session(rig) as (session, ear):
        await session.configure(SessionChange(tool_choice="required"))
        await session.respond(1, ASKED, tools_allowed=True)
        asked = (await ear.until(over(1)))[0]
        result = Item(
            2,
            Role.TOOL,
            "9-17",
            turn=1,
            tool_call_id=asked.tool_call_id,
            tool_name="opening_hours",
            arguments="{}",
        )
        await session.respond(1, (*ASKED, result), tools_allowed=True)
        await eventually(lambda: len(rig.double.choices) == 2)
        await ear.nothing_more()
    assert rig.double.choices == ["required", "auto"]


async def test_given_words_of_a_text_session_ask_nobody(rig):
    async with in_session(rig) as (session, ear):
        await session.configure(SessionChange(text_only=True))
        await session.say(1, "One moment, please.")
        await ear.until(over(1))
        await rig.settled()
    assert created(rig) == []
