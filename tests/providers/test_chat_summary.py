"""The summary of a conversation by a language model, by the real SDK against a real socket."""

import pytest
import pytest_asyncio

from calls.domain.items import Item, Role, Source
from calls.ports.errors import ProviderError, ProviderFault
from calls.providers.openai.client import clients_close
from calls.providers.openai.summary import ChatSummarizer, transcript
from tests.doubles.providers.base import Fault, serving
from tests.doubles.providers.openai_http import OpenAIHttpDouble, problem, says
from tests.providers.asking import server_of

CALLER = Item(1, Role.USER, "What time is it?", turn=1, source=Source.VOICE)
CHAT = "/chat/completions"


@pytest_asyncio.fixture
async def double():
    stand_in = OpenAIHttpDouble()
    async with serving(stand_in):
        yield stand_in
        await clients_close()


async def summary(double, language="en", profile="generic"):
    summarizer = ChatSummarizer(server_of(double, profile), "tiny")
    return await summarizer.summarize([CALLER], language=language)


@pytest.mark.asyncio
async def test_a_summary_is_asked_for_by_schema(double):
    fields = '{"title":"Time","summary":"They asked the time.","key_points":["Four"],"next_steps":[],"outcome":"answered","language":"en"}'
    double.answers.append(says(fields))

    draft = await summary(double)

    assert (draft.title, draft.key_points, draft.outcome) == ("Time", ("Four",), "answered")
    asked = double.requests(CHAT)[0].body
    assert asked["response_format"]["json_schema"]["strict"] is True
    assert "Caller: What time is it?" in asked["messages"][0]["content"]


def test_an_instruction_was_not_spoken():
    instruction = Item(2, Role.SYSTEM, "Be brief.", turn=1, source=Source.CLIENT)
    assert transcript([CALLER, instruction]) == "Caller: What time is it?"


@pytest.mark.asyncio
async def test_a_server_without_schemas_is_asked_again_and_its_prose_is_read(double):
    prose = 'Sure! ```json\n{"summary": "They asked the time.", "key_points": "no list"}\n```'
    double.fail(CHAT, Fault(status=400, body={"detail": "response_format"}))
    double.answers.append(says(prose))

    draft = await summary(double, language="de")

    assert (draft.summary, draft.key_points, draft.language) == ("They asked the time.", (), "de")
    assert "response_format" not in double.requests(CHAT)[1].body


@pytest.mark.asyncio
@pytest.mark.parametrize("text", ["", "I cannot.", '{"title": 1}', "[" * 60_000 + "{"])
async def test_a_summary_that_cannot_be_read_is_an_error_and_may_be_tried_again(double, text):
    double.answers.append(says(text))

    with pytest.raises(ProviderError) as caught:
        await summary(double)

    assert caught.value.retryable


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (problem(401, "invalid_api_key"), ProviderFault.AUTH),
        (Fault(status=200, body="<html>Welcome</html>"), ProviderFault.INVALID),
        (Fault(status=200, body={"error": "insufficient_quota"}), ProviderFault.QUOTA),
        (Fault(status=200, body={"choices": [{"message": None}]}), ProviderFault.INVALID),
    ],
)
async def test_a_server_that_fails_is_one_error(double, fault, kind):
    double.fail(CHAT, fault)

    with pytest.raises(ProviderError) as caught:
        await summary(double)

    assert caught.value.kind is kind
    assert caught.value.provider == "compatible"


@pytest.mark.asyncio
async def test_a_model_may_take_longer_than_anyone_on_the_telephone_would_wait(double):
    double.answers.append(says('{"summary": "They asked the time."}'))

    await summary(double)

    asked = double.requests(CHAT)[0]
    assert float(asked.headers["x-stainless-read-timeout"]) >= 30
