"""Data by a schema from a language model, by the real SDK against a real socket."""

import json

import pytest
import pytest_asyncio

from calls.domain.items import Item, Role, Source
from calls.ports.errors import ProviderError, ProviderFault
from calls.providers.openai.client import clients_close
from calls.providers.openai.extraction import ChatExtractor
from calls.providers.openai.structured import checked
from tests.doubles.providers.base import Fault, serving
from tests.doubles.providers.openai_http import OpenAIHttpDouble, problem, says
from tests.providers.asking import server_of

CALLER = Item(1, Role.USER, "A table for two in Bonn.", turn=1, source=Source.VOICE)
CHAT = "/chat/completions"
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "guests": {"type": "integer"}},
    "required": ["city", "guests"],
    "additionalProperties": False,
}
FITS = {"city": "Bonn", "guests": 2}


@pytest_asyncio.fixture
async def double():
    stand_in = OpenAIHttpDouble()
    async with serving(stand_in):
        yield stand_in
        await clients_close()


async def extracted(double, schema=SCHEMA):
    extractor = ChatExtractor(server_of(double, "generic"), "tiny")
    return await extractor.extract([CALLER], schema=schema, language="de")


@pytest.mark.asyncio
async def test_data_is_asked_for_by_the_agents_schema(double):
    double.answers.append(says(json.dumps(FITS)))
    assert await extracted(double) == FITS
    (asked,) = double.requests(CHAT)
    by = asked.body["response_format"]
    assert (by["type"], by["json_schema"]["schema"]) == ("json_schema", SCHEMA)
    assert by["json_schema"]["strict"] is True
    (message,) = asked.body["messages"]
    assert "Caller: A table for two in Bonn." in message["content"]
    assert json.dumps(SCHEMA) in message["content"]
    assert "tag de" in message["content"]


@pytest.mark.asyncio
async def test_a_schema_beyond_strict_is_asked_for_without_it(double):
    double.answers.append(says('{"city": "Bonn"}'))
    loose = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 9}}}
    assert await extracted(double, loose) == {"city": "Bonn"}
    (asked,) = double.requests(CHAT)
    assert asked.body["response_format"]["json_schema"]["strict"] is False


@pytest.mark.asyncio
async def test_a_server_that_refuses_schemas_is_asked_without(double):
    double.fail(CHAT, Fault(status=400, body={"detail": "response_format"}))
    double.answers.append(says(f"Sure!\n```json\n{json.dumps(FITS)}\n```\nAnything else?"))
    assert await extracted(double) == FITS
    _, second = double.requests(CHAT)
    assert "response_format" not in second.body


@pytest.mark.asyncio
async def test_the_model_is_told_once_what_does_not_fit(double):
    double.answers += [says('{"city": "Bonn", "guests": "two"}'), says(json.dumps(FITS))]
    assert await extracted(double) == FITS
    said = double.requests(CHAT)[1].body["messages"]
    assert [message["role"] for message in said] == ["user", "assistant", "user"]
    assert said[1]["content"] == '{"city": "Bonn", "guests": "two"}'
    assert "$.guests" in said[2]["content"]


@pytest.mark.asyncio
@pytest.mark.parametrize("text", ["", "I cannot.", '{"city": "Bonn"}', "[" * 60_000])
async def test_what_does_not_fit_twice_is_an_error(double, text):
    double.answers += [says(text), says(text)]
    with pytest.raises(ProviderError) as caught:
        await extracted(double)
    assert (caught.value.kind, caught.value.retryable) == (ProviderFault.INVALID, True)
    assert "Bonn" not in str(caught.value)
    assert len(double.requests(CHAT)) == 2


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (problem(401, "invalid_api_key"), ProviderFault.AUTH),
        (problem(429, "rate_limit_exceeded"), ProviderFault.BUSY),
        (problem(500), ProviderFault.UNAVAILABLE),
    ],
)
async def test_failures_are_the_providers_and_leave_nothing_behind(double, fault, kind):
    double.fail(CHAT, fault)
    with pytest.raises(ProviderError) as caught:
        await extracted(double)
    assert caught.value.kind is kind
    await double.requests(CHAT)[0].over.wait()
    assert double.busy == 0
    assert len(double.requests(CHAT)) == 1


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(FITS),
        f"  {json.dumps(FITS)}\n",
        f"```json\n{json.dumps(FITS)}\n```",
        f"Here {{it}} is:\n```\n{json.dumps(FITS)}\n```",
        f"It is {json.dumps(FITS)}, as you asked.",
        '{"city": "Bonn", "guests": 2,\n}',
    ],
)
def test_json_is_found_in_what_models_write_around_it(text):
    assert checked(text, SCHEMA) == (FITS, "")


def test_a_comma_in_words_stays():
    schema = {"type": "object", "properties": {"said": {"type": "string"}}}
    assert checked('{"said": "one,] two,}",}', schema) == ({"said": "one,] two,}"}, "")


@pytest.mark.parametrize(
    "text", ["{'city': 'Bonn', 'guests': 2}", '{"city": "Bonn", "guests": NaN}', '{"city": "Bonn']
)
def test_what_could_mean_something_else_is_not_repaired(text):
    value, why = checked(text, SCHEMA)
    assert value is None
    assert why == "It is not JSON."
