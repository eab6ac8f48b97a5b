"""The language model of the operator's choice, by the real SDK against a real socket."""

import asyncio

import pytest
import pytest_asyncio

from calls.domain.items import Item, ItemStatus, Role, Source
from calls.ports.errors import ProviderError, ProviderFault
from calls.ports.speech import Prompt, TextDelta, ToolCallRequested
from calls.ports.tools import ToolSpec
from calls.providers.openai.address import ChatServer
from calls.providers.openai.client import clients_close
from calls.providers.openai.llm import ChatLanguageModel
from calls.providers.openai.summary import ChatSummarizer
from tests.doubles.chat_server import Script, chat_double, says

CALLER = Item(1, Role.USER, "What time is it?", turn=1, source=Source.VOICE)
TOOL = ToolSpec("clock", "Tells the time.", {"type": "object", "properties": {}})


@pytest_asyncio.fixture
async def server():
    async with chat_double() as double:
        yield double
        await clients_close()


def model(server, **options):
    return ChatLanguageModel(ChatServer(server.base_url, "tiny", **options))


def prompt(*items, tools=()):
    return Prompt("Be brief.", items or (CALLER,), tools, "en")


async def answers(server, asked=None):
    async with model(server).answer(asked or prompt()) as parts:
        return [part async for part in parts]


def fragment(index=None, call_id=None, name=None, arguments=None):
    call = {"index": index, "id": call_id, "function": {"name": name, "arguments": arguments}}
    return {k: v for k, v in call.items() if v is not None or k == "function"}


@pytest.mark.asyncio
async def test_text_comes_piece_by_piece_and_the_request_says_only_what_every_server_knows(server):
    server.scripts.append(says("It is ", "four."))

    assert await answers(server) == [TextDelta("It is "), TextDelta("four.")]
    assert server.requests[0].path == "/v1/chat/completions"
    assert server.requests[0].body == {
        "model": "tiny",
        "stream": True,
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What time is it?"},
        ],
    }


CALLS = [
    # id                                       fragments of the stream
    ("as documented", [[fragment(0, "a", "clock", "")], [fragment(0, None, None, '{"x":1}')]]),
    ("without an index, at once", [[fragment(None, "a", "clock", '{"x":1}')]]),
    ("without an index, in parts", [[fragment(None, "a", "clock", '{"x"')], [fragment(None, None, None, ":1}")]]),
    ("arguments as an object", [[fragment(0, "a", "clock", {"x": 1})]]),
]  # fmt: skip


@pytest.mark.asyncio
@pytest.mark.parametrize("parts", [pytest.param(c[1], id=c[0]) for c in CALLS])
async def test_a_tool_call_is_put_together_however_it_comes(server, parts):
    deltas = [{"tool_calls": calls} for calls in parts]
    server.scripts.append(Script([None, *deltas], finish="stop"))

    [call] = await answers(server, prompt(tools=(TOOL,)))

    assert (call.tool_call_id, call.name) == ("a", "clock")
    assert call.arguments.replace(" ", "") == '{"x":1}'


@pytest.mark.asyncio
async def test_two_calls_that_share_an_index_are_two(server):
    calls = [fragment(0, "a", "clock", "{}"), fragment(0, "b", "diary", "{}")]
    server.scripts.append(Script([{"tool_calls": calls}], finish="tool_calls"))

    assert await answers(server, prompt(tools=(TOOL,))) == [
        ToolCallRequested("a", "clock", "{}"),
        ToolCallRequested("b", "diary", "{}"),
    ]


@pytest.mark.asyncio
async def test_what_a_model_thinks_to_itself_is_not_said(server):
    server.scripts.append(says("<th", "ink>The caller is", " bored.</thi", "nk>It is <", "4."))

    assert "".join(part.text for part in await answers(server)) == "It is <4."


@pytest.mark.asyncio
async def test_the_model_sees_calls_with_their_results_and_what_was_heard(server):
    call = {"response_id": 3, "source": Source.TOOL, "tool_name": "clock", "arguments": "{}"}
    items = (
        CALLER,
        Item(2, Role.TOOL, "16:00", turn=1, tool_call_id="a", **call),
        Item(3, Role.TOOL, "", turn=1, tool_call_id="b", status=ItemStatus.IN_PROGRESS, **call),
        Item(4, Role.AGENT, "It is", turn=1, unheard=" four.", status=ItemStatus.INTERRUPTED),
    )

    await answers(server, prompt(*items))

    _system, _caller, calls, first, second, cut, _cue = server.requests[0].body["messages"]
    assert [entry["id"] for entry in calls["tool_calls"]] == ["a", "b"]
    assert (first["tool_call_id"], first["content"]) == ("a", "16:00")
    assert second["tool_call_id"] == "b"
    assert "still running" in second["content"]
    assert cut["content"].startswith("It is [interrupted")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("items", "cue"),
    [
        pytest.param((), "Greet the caller", id="an empty conversation"),
        pytest.param(
            (CALLER, Item(2, Role.AGENT, "It is", turn=1)), "Go on", id="its own words last"
        ),
    ],
)
async def test_a_model_that_was_not_asked_is_told_what_to_do(server, items, cue):
    await answers(server, Prompt("", items, (), "en"))

    last = server.requests[0].body["messages"][-1]
    assert last["role"] == "user"
    assert cue in last["content"]


@pytest.mark.asyncio
async def test_a_server_that_streams_nothing_is_asked_for_the_whole(server):
    call = fragment(None, "a", "clock", "{}") | {"type": "function"}
    whole = {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": []}
    answer = Script([{"content": "One moment."}, {"tool_calls": [call]}])
    server.scripts += [Script(body=whole), answer]

    assert await answers(server, prompt(tools=(TOOL,))) == [
        TextDelta("One moment."),
        ToolCallRequested("a", "clock", "{}"),
    ]
    streamed, asked_again = server.requests
    assert streamed.body["stream"] is True
    assert "stream" not in asked_again.body
    assert asked_again.body["messages"] == streamed.body["messages"]


@pytest.mark.asyncio
async def test_a_server_that_has_no_answer_at_all_has_failed(server):
    nothing = {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": []}
    server.scripts += [Script(body=nothing), Script(body=nothing)]

    with pytest.raises(ProviderError) as caught:
        await answers(server)

    assert caught.value.kind is ProviderFault.TRUNCATED


FAULTS = [
    ("wrong key", Script(status=401, body={"error": {"message": "x", "code": "invalid_api_key"}}), ProviderFault.REFUSED, False),
    ("no such model", Script(status=404, body={"error": "model not found"}), ProviderFault.REFUSED, False),
    ("too many requests", Script(status=429, headers={"retry-after": "30"}, body={"error": {}}), ProviderFault.BUSY, True),
    ("nothing left to spend", Script(status=429, body={"error": {"code": "insufficient_quota"}}), ProviderFault.REFUSED, False),
    ("a proxy's page", Script(status=502, body="<html>Bad Gateway</html>"), ProviderFault.UNAVAILABLE, True),
    ("cut off", says("It is", " four", drop_after=1), ProviderFault.UNAVAILABLE, True),
    ("over too early", says("It is", finish=""), ProviderFault.TRUNCATED, True),
    ("no JSON", says("It is", " four", garbage_after=1), ProviderFault.INVALID, True),
]  # fmt: skip


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("script", "kind", "retryable"), [pytest.param(*f[1:], id=f[0]) for f in FAULTS]
)
async def test_every_fault_is_one_error_and_is_not_tried_again(server, script, kind, retryable):
    server.scripts.append(script)

    with pytest.raises(ProviderError) as caught:
        await answers(server)

    assert (caught.value.kind, caught.value.retryable) == (kind, retryable)
    assert len(server.requests) == 1
    if script.headers:
        assert caught.value.retry_after_ms == 30_000
    assert "time is it" not in str(caught.value)


@pytest.mark.asyncio
async def test_leaving_an_answer_frees_the_connection_at_once(server):
    server.scripts.append(says("It is", " four", stall_after=1))

    async with model(server).answer(prompt()) as parts:
        assert await anext(parts) == TextDelta("It is")

    async with asyncio.timeout(1):
        await server.requests[0].left_early.wait()


@pytest.mark.asyncio
async def test_a_summary_is_asked_for_by_schema(server):
    fields = '{"title":"Time","summary":"They asked the time.","key_points":["Four"],"next_steps":[],"outcome":"answered","language":"en"}'
    server.scripts.append(says(fields))

    draft = await ChatSummarizer(ChatServer(server.base_url, "tiny")).summarize(
        [CALLER], language="en"
    )

    assert (draft.title, draft.key_points, draft.outcome) == ("Time", ("Four",), "answered")
    asked = server.requests[0].body
    assert asked["response_format"]["json_schema"]["strict"] is True
    assert "Caller: What time is it?" in asked["messages"][0]["content"]


@pytest.mark.asyncio
async def test_a_server_without_schemas_is_asked_again_and_its_prose_is_read(server):
    prose = 'Sure! ```json\n{"summary": "They asked the time.", "key_points": "no list"}\n```'
    server.scripts += [Script(status=400, body={"detail": "response_format"}), says(prose)]

    draft = await ChatSummarizer(ChatServer(server.base_url, "tiny")).summarize(
        [CALLER], language="de"
    )

    assert (draft.summary, draft.key_points, draft.language) == ("They asked the time.", (), "de")


@pytest.mark.asyncio
@pytest.mark.parametrize("text", ["", "I cannot.", '{"title": 1}', "[" * 60_000 + "{"])
async def test_a_summary_that_cannot_be_read_is_an_error_and_may_be_tried_again(server, text):
    server.scripts.append(says(text))

    with pytest.raises(ProviderError) as caught:
        await ChatSummarizer(ChatServer(server.base_url, "t")).summarize([CALLER], language="en")

    assert caught.value.retryable
