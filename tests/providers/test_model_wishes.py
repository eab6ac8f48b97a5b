"""How a language model over HTTP is told which tool to use, and how much to say."""

from dataclasses import replace

import pytest
import pytest_asyncio

from calls.providers.openai.client import clients_close
from calls.providers.openai.llm import ChatLanguageModel
from calls.providers.openai.responses import ResponsesLanguageModel
from tests.doubles.providers.base import serving
from tests.doubles.providers.openai_http import OpenAIHttpDouble, says
from tests.providers.asking import TOOL, parts_of, prompt, server_of

pytestmark = pytest.mark.asyncio

CHAT = (ChatLanguageModel, "/chat/completions", "max_completion_tokens")
RESPONSES = (ResponsesLanguageModel, "/responses", "max_output_tokens")


@pytest_asyncio.fixture
async def double():
    stand_in = OpenAIHttpDouble()
    async with serving(stand_in):
        yield stand_in
        await clients_close()


async def body(double, kind, asked, profile="openai", **options):
    double.answers.append(says("Yes."))
    made, path, _ = kind
    await parts_of(made(server_of(double, profile, "openai"), "gpt-6-luna", **options), asked)
    return double.requests(path)[0].body


@pytest.mark.parametrize(
    ("kind", "choice", "sent"),
    [
        (CHAT, "required", "required"),
        (CHAT, "clock", {"type": "function", "function": {"name": "clock"}}),
        (RESPONSES, "required", "required"),
        (RESPONSES, "clock", {"type": "function", "name": "clock"}),
    ],
)
async def test_a_tool_is_chosen_in_the_words_of_the_endpoint(double, kind, choice, sent):
    asked = replace(prompt(tools=(TOOL,)), tool_choice=choice)
    assert (await body(double, kind, asked))["tool_choice"] == sent


@pytest.mark.parametrize("kind", [CHAT, RESPONSES])
async def test_without_a_wish_nothing_is_chosen(double, kind):
    assert "tool_choice" not in await body(double, kind, prompt(tools=(TOOL,)))


async def test_a_server_that_may_not_know_the_choice_is_not_told(double):
    asked = replace(prompt(tools=(TOOL,)), tool_choice="required")
    assert "tool_choice" not in await body(double, CHAT, asked, "generic")


@pytest.mark.parametrize("kind", [CHAT, RESPONSES])
@pytest.mark.parametrize(
    ("own", "wanted", "sent"),
    [(None, 50, 50), (200, 50, 50), (50, 200, 50), (200, None, 200), (None, None, None)],
)
async def test_the_lower_limit_counts(double, kind, own, wanted, sent):
    asked = replace(prompt(), max_output_tokens=wanted)
    told = await body(double, kind, asked, max_output_tokens=own)
    assert told.get(kind[2]) == sent
