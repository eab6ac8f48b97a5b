"""The stand-in for OpenAI's language models is right by what the real SDK reads of it."""

import pytest
import pytest_asyncio
from openai import AsyncOpenAI, BadRequestError, NotFoundError
from pydantic import BaseModel

from calls.providers.openai.address import Server
from calls.providers.openai.client import client, clients_close
from tests.doubles.providers.base import serving
from tests.doubles.providers.openai_http import Call, OpenAIHttpDouble, Reply, says

CLOCK = {
    "type": "object",
    "properties": {"place": {"type": "string"}},
    "required": ["place"],
    "additionalProperties": False,
}
CHAT_TOOL = {
    "type": "function",
    "function": {"name": "clock", "description": "", "parameters": CLOCK, "strict": True},
}
TOOL = {"type": "function", "name": "clock", "parameters": CLOCK, "strict": True}
HELLO = [{"role": "user", "content": "When do you open tomorrow?"}]


class Place(BaseModel):
    place: str


@pytest_asyncio.fixture
async def double():
    stand_in = OpenAIHttpDouble()
    async with serving(stand_in):
        yield stand_in
        await clients_close()


@pytest_asyncio.fixture
async def sdk(double) -> AsyncOpenAI:
    return await client(Server(double.base_url, double.key))


def hours_tool():
    return {"name": "opening_hours", "description": "Opening hours.", "parameters": CLOCK}


@pytest.mark.asyncio
async def test_its_models_are_listed(sdk):
    assert "gpt-6-luna" in [found.id async for found in sdk.models.list()]


@pytest.mark.asyncio
async def test_the_helper_of_chat_completions_reads_text_calls_and_usage(double, sdk):
    double.answers.append(Reply(["One ", "moment.", Call("clock", '{"place": "Oslo"}')]))

    async with sdk.chat.completions.stream(
        model="gpt-6-luna",
        messages=HELLO,
        tools=[CHAT_TOOL],
        stream_options={"include_usage": True},
    ) as stream:
        kinds = {event.type async for event in stream}
        final = await stream.get_final_completion()

    [choice] = final.choices
    assert choice.message.content == "One moment."
    [call] = choice.message.tool_calls
    assert (call.function.name, call.function.parsed_arguments) == ("clock", {"place": "Oslo"})
    assert choice.finish_reason == "tool_calls"
    assert final.usage.total_tokens == final.usage.prompt_tokens + 3
    assert {"content.delta", "content.done", "tool_calls.function.arguments.done"} <= kinds


@pytest.mark.asyncio
@pytest.mark.parametrize("included", [True, False])
async def test_usage_and_padding_come_as_asked(double, sdk, included):
    options = {"include_usage": included, "include_obfuscation": included}
    stream = await sdk.chat.completions.create(
        model="gpt-6-luna", messages=HELLO, stream=True, stream_options=options
    )
    chunks = [chunk async for chunk in stream]

    assert (chunks[-1].usage is not None) is included
    assert (chunks[-1].choices == []) is included
    assert {chunk.obfuscation is not None for chunk in chunks} == {included}
    assert stream.response.headers["openai-processing-ms"]


@pytest.mark.asyncio
async def test_the_helper_of_responses_reads_text_and_calls(double, sdk):
    call = Call("clock", '{"place": "Oslo"}', "call_a")
    double.answers.append(Reply(["One ", "moment.", call], thinking="Where?"))

    async with sdk.responses.stream(model="gpt-6-luna", input=HELLO, tools=[TOOL]) as stream:
        numbers = [event.sequence_number async for event in stream]
        final = await stream.get_final_response()

    assert numbers == [*range(len(numbers))]
    assert final.output_text == "One moment."
    called = final.output[-1]
    assert (called.name, called.call_id, called.parsed_arguments) == (
        "clock",
        "call_a",
        {"place": "Oslo"},
    )
    assert final.usage.output_tokens_details.reasoning_tokens == 1


@pytest.mark.asyncio
async def test_answers_in_one_piece_are_read_too(double, sdk):
    double.answers += [says("Four.", finish="length"), says("Five.", finish="max_output_tokens")]

    chat = await sdk.chat.completions.create(model="gpt-6-luna", messages=HELLO)
    response = await sdk.responses.create(model="gpt-6-luna", input="Hello?")

    assert (chat.choices[0].message.content, chat.choices[0].finish_reason) == ("Four.", "length")
    assert response.output_text == "Five."
    assert (chat._request_id, response._request_id) == ("req_1", "req_2")


ORPHAN = {"id": "a", "type": "function", "function": {"name": "clock", "arguments": "{}"}}
RESULT = {"role": "tool", "tool_call_id": "a", "content": "16:00"}
CHAT_REFUSED = [
    ("a call without a result", {"messages": [*HELLO, {"role": "assistant", "tool_calls": [ORPHAN]}]}),
    ("a result too late", {"messages": [{"role": "assistant", "tool_calls": [ORPHAN]}, *HELLO, RESULT]}),
    ("a result of nothing", {"messages": [*HELLO, RESULT]}),
    ("nothing said", {"messages": []}),
    ("a parameter that nobody knows", {"extra_body": {"volume": 11}}),
    ("options of a stream without one", {"stream_options": {"include_usage": True}}),
    ("a temperature while reasoning", {"temperature": 1.0, "reasoning_effort": "low"}),
    ("the old name of the limit", {"max_tokens": 5}),
    ("a tool with a strange name", {"tools": [{"type": "function", "function": {"name": "a b"}}]}),
    ("strict in name only", {"tools": [{"type": "function", "function": {"name": "a", "strict": True, "parameters": {"type": "object"}}}]}),
]  # fmt: skip


@pytest.mark.asyncio
@pytest.mark.parametrize("request_", [pytest.param(c[1], id=c[0]) for c in CHAT_REFUSED])
async def test_chat_completions_refuse_what_openai_refuses(sdk, request_):
    with pytest.raises(BadRequestError) as caught:
        await sdk.chat.completions.create(**{"model": "gpt-6-luna", "messages": HELLO} | request_)

    assert caught.value.type == "invalid_request_error"
    assert caught.value.request_id == "req_1"


CALLED = {"type": "function_call", "call_id": "a", "name": "clock", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "a", "output": "16:00"}
RESPONSES_REFUSED = [
    ("a call without an output", {"input": [*HELLO, CALLED]}),
    ("an output of nothing", {"input": [*HELLO, OUTPUT]}),
    ("two calls of one id", {"input": [CALLED, CALLED, OUTPUT]}),
    ("a tool that does not say whether it is strict", {"tools": [{"type": "function", "name": "a"}]}),
    ("a parameter of chat completions", {"extra_body": {"messages": HELLO}}),
]  # fmt: skip


@pytest.mark.asyncio
@pytest.mark.parametrize("request_", [pytest.param(c[1], id=c[0]) for c in RESPONSES_REFUSED])
async def test_responses_refuse_what_openai_refuses(sdk, request_):
    with pytest.raises(BadRequestError):
        await sdk.responses.create(**{"model": "gpt-6-luna", "input": HELLO} | request_)


@pytest.mark.asyncio
async def test_a_model_that_it_does_not_have_is_not_found(double, sdk):
    double.models = ("gpt-6-luna",)

    with pytest.raises(NotFoundError) as caught:
        await sdk.chat.completions.create(model="gpt-7", messages=HELLO)

    assert caught.value.code == "model_not_found"


@pytest.mark.asyncio
async def test_by_itself_it_calls_a_tool_that_fits_and_then_tells_its_result(sdk):
    tools = [CHAT_TOOL, {"type": "function", "function": hours_tool()}]
    asked = await sdk.chat.completions.create(model="gpt-4.1", messages=HELLO, tools=tools)
    message = asked.choices[0].message
    [call] = message.tool_calls
    result = {"role": "tool", "tool_call_id": call.id, "content": "From nine to five."}

    told = await sdk.chat.completions.create(
        model="gpt-4.1", messages=[*HELLO, message, result], tools=tools
    )

    assert call.function.name == "opening_hours"
    assert Place.model_validate_json(call.function.arguments).place
    assert "From nine to five." in told.choices[0].message.content


@pytest.mark.asyncio
async def test_by_itself_it_answers_to_what_was_asked(sdk):
    answered = await sdk.responses.create(model="gpt-4.1", input="Do you sell tea?")

    assert "Do you sell tea" in answered.output_text
