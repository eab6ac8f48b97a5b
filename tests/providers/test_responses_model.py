"""A model behind OpenAI's Responses, by the real SDK against a real socket."""

import asyncio
from typing import get_args

import pytest
import pytest_asyncio
from openai.types.responses import ResponseStreamEvent

from calls.domain.items import Item, Role
from calls.ports.errors import ProviderError, ProviderFault
from calls.ports.speech import Prompt, TextDelta, ToolCallRequested
from calls.providers.openai.address import Server
from calls.providers.openai.client import clients_close
from calls.providers.openai.response_events import HANDLED_EVENTS, IGNORED_EVENTS
from calls.providers.openai.responses import ResponsesLanguageModel
from tests.doubles.providers.base import Fault, serving
from tests.doubles.providers.openai_http import (
    Call,
    OpenAIHttpDouble,
    Quirk,
    Reply,
    calls_tool,
    problem,
    says,
)
from tests.providers.asking import (
    CALLER,
    STRICT,
    TOOL,
    after_an_interruption,
    answer_of,
    nothing_left,
    parts_of,
    prompt,
    server_of,
    text_of,
    until,
)

RESPONSES = "/responses"


@pytest_asyncio.fixture
async def double():
    stand_in = OpenAIHttpDouble()
    async with serving(stand_in):
        yield stand_in
        await clients_close()


def model(double, profile="openai", name="gpt-6-luna", **options):
    return ResponsesLanguageModel(server_of(double, profile, "openai"), name, **options)


# What is asked


@pytest.mark.asyncio
async def test_the_server_is_told_everything_and_keeps_nothing(double):
    double.answers.append(says("It is ", "four."))
    asking = model(double, temperature=0.4, max_output_tokens=200)

    parts = await parts_of(asking, prompt(tools=(TOOL, STRICT)))

    assert parts == [TextDelta("It is "), TextDelta("four.")]
    [asked] = double.requests(RESPONSES)
    tools = asked.body.pop("tools")
    assert [(tool["name"], tool["strict"]) for tool in tools] == [
        ("clock", False),
        ("opening_hours", True),
    ]
    assert asked.body == {
        "model": "gpt-6-luna",
        "instructions": "Be brief.",
        "input": [{"role": "user", "content": "What time is it?"}],
        "store": False,
        "stream": True,
        "stream_options": {"include_obfuscation": False},
        "reasoning": {"effort": "none"},
        "text": {"verbosity": "low"},
        "temperature": 0.4,
        "max_output_tokens": 200,
        "parallel_tool_calls": True,
    }


@pytest.mark.asyncio
async def test_a_look_alike_is_sent_the_bare_minimum(double):
    await parts_of(model(double, "generic", "tiny", temperature=0.4), Prompt("", (), (), "en"))

    assert double.requests(RESPONSES)[0].body == {
        "model": "tiny",
        "input": [{"role": "user", "content": "(The call begins. Greet the caller.)"}],
        "store": False,
        "stream": True,
        "temperature": 0.4,
    }


def test_an_unknown_profile_is_refused():
    with pytest.raises(ValueError, match="openai"):
        ResponsesLanguageModel(Server("http://127.0.0.1:9/v1", profile="x"), "tiny")


@pytest.mark.asyncio
async def test_the_model_sees_every_call_with_its_output_and_what_was_heard(double):
    await parts_of(model(double), prompt(*after_an_interruption()))

    items = double.requests(RESPONSES)[0].body["input"]
    calls = [entry for entry in items if entry.get("type") == "function_call"]
    outputs = {e["call_id"]: e["output"] for e in items if e.get("type") == "function_call_output"}
    assert [call["call_id"] for call in calls] == ["a", "b", "c", "a_7"] == [*outputs]
    assert outputs["a"] == "16:00"
    assert "still running" in outputs["b"]
    assert "no result" in outputs["c"]
    assert calls[-1]["arguments"] == "{}"
    assert "It is [interrupted by the caller]" in [entry.get("content") for entry in items]
    assert items[-1] == {"role": "user", "content": "Go on."}


@pytest.mark.asyncio
async def test_a_model_cut_off_is_told_to_go_on(double):
    await parts_of(model(double), prompt(CALLER, Item(2, Role.AGENT, "It is", turn=1)))

    last = double.requests(RESPONSES)[0].body["input"][-1]
    assert last["role"] == "user"
    assert "Go on" in last["content"]


# What comes


@pytest.mark.asyncio
async def test_calls_come_after_the_words_with_the_ids_that_their_results_need(double):
    calls = [Call("clock", '{"x": 1}', "a"), Call("diary", "{}", "b")]
    double.answers.append(Reply(["One ", "moment.", *calls], thinking="Which tools?"))

    assert await parts_of(model(double), prompt(tools=(TOOL,))) == [
        TextDelta("One "),
        TextDelta("moment."),
        ToolCallRequested("a", "clock", '{"x": 1}'),
        ToolCallRequested("b", "diary", "{}"),
    ]


@pytest.mark.asyncio
async def test_what_an_answer_came_to_is_noted(double):
    double.cached_tokens = 7
    double.answers.append(says("It is ", "four.", thinking="They ask."))

    _, meter = await answer_of(model(double))

    assert (meter.model, meter.request_id) == ("gpt-6-luna", "req_1")
    assert meter.usage.pop("input_tokens") > 0
    assert meter.usage == {"cached_tokens": 7, "output_tokens": 5, "reasoning_tokens": 2}


@pytest.mark.asyncio
@pytest.mark.parametrize("quirk", [Quirk.COMMENT, Quirk.IGNORES_STREAM])
async def test_a_server_may_be_odd_and_is_understood(double, quirk):
    double.quirks.add(quirk)
    double.answers.append(Reply(["One moment.", Call("clock", "{}", "a")]))

    parts = await parts_of(model(double), prompt(tools=(TOOL,)))

    assert parts == [TextDelta("One moment."), ToolCallRequested("a", "clock", "{}")]
    assert len(double.asked) == 1


@pytest.mark.asyncio
async def test_a_server_that_streams_nothing_is_asked_for_the_whole(double):
    double.fail(RESPONSES, Fault(status=200, body=": nothing"))
    double.answers.append(says("It is four."))

    assert text_of(await parts_of(model(double))) == "It is four."
    _streamed, asked_again = double.requests(RESPONSES)
    assert not {"stream", "stream_options"} & asked_again.body.keys()


@pytest.mark.asyncio
async def test_thoughts_are_not_said_and_a_refusal_is(double):
    double.answers += [says("<think>Hm.</think>Four."), Reply(refusal="I cannot do that.")]

    assert text_of(await parts_of(model(double))) == "Four."
    assert text_of(await parts_of(model(double))) == "I cannot do that."


@pytest.mark.asyncio
async def test_an_answer_that_became_too_long_is_said_as_far_as_it_goes(double):
    double.answers.append(says("It is", finish="max_output_tokens"))

    assert text_of(await parts_of(model(double))) == "It is"


@pytest.mark.asyncio
async def test_an_event_that_nobody_knows_changes_nothing(double):
    double.fail(RESPONSES, Fault(after=4, event={"type": "response.something.new", "delta": "x"}))
    double.answers.append(says("It is four."))

    assert text_of(await parts_of(model(double))) == "It is four."


# What goes wrong


async def failure(model):
    with pytest.raises(ProviderError) as caught:
        await parts_of(model)
    error = caught.value
    assert "time is it" not in str(error)
    assert "your request" not in str(error)
    return error


def failed(code):
    response = {"id": "resp_1", "object": "response", "status": "failed", "output": []}
    error = {"code": code, "message": "your request"}
    return {
        "type": "response.failed",
        "sequence_number": 9,
        "response": response | {"error": error},
    }


def error_event(code):
    return {
        "type": "error",
        "code": code,
        "message": "your request",
        "param": None,
        "sequence_number": 9,
    }


FAULTS = [
    # id                     the fault                                                       kind
    ("400",                  problem(400, "invalid_value", "invalid_request_error"),         ProviderFault.REFUSED),
    ("401",                  problem(401, "invalid_api_key", "invalid_request_error"),       ProviderFault.AUTH),
    ("404",                  problem(404, "model_not_found", "invalid_request_error"),       ProviderFault.NOT_FOUND),
    ("429",                  problem(429, "rate_limit_exceeded"),                            ProviderFault.BUSY),
    ("no credit",            problem(429, "insufficient_quota"),                             ProviderFault.QUOTA),
    ("500",                  problem(500),                                                   ProviderFault.UNAVAILABLE),
    ("a proxy's page",       Fault(status=502, body="<html>Bad Gateway</html>"),             ProviderFault.UNAVAILABLE),
    ("dropped",              Fault(drop_before_headers=True),                                ProviderFault.UNAVAILABLE),
    ("silent",               Fault(stall_headers=True),                                      ProviderFault.TIMEOUT),
    ("dropped midway",       Fault(after=5, drop=True),                                      ProviderFault.UNAVAILABLE),
    ("over too early",       Fault(after=5, clean_eof=True),                                 ProviderFault.TRUNCATED),
    ("silent midway",        Fault(after=5, stall=True),                                     ProviderFault.TIMEOUT),
    ("no JSON",              Fault(after=5, garbage="data: {not json\n\n"),                  ProviderFault.INVALID),
    ("a ping",               Fault(after=5, garbage="event: ping\ndata:\n\n"),               ProviderFault.INVALID),
    ("an error object",      Fault(after=5, event={"error": {"message": "x", "code": "rate_limit_exceeded"}}), ProviderFault.BUSY),
    ("an error event",       Fault(after=5, event=error_event("rate_limit_exceeded")),       ProviderFault.BUSY),
    ("one without a code",   Fault(after=5, event=error_event(None)),                        ProviderFault.UNAVAILABLE),
    ("one of the account",   Fault(after=5, event=error_event("insufficient_quota")),        ProviderFault.QUOTA),
    ("failed",               Fault(after=5, event=failed("server_error")),                   ProviderFault.UNAVAILABLE),
    ("failed by its prompt", Fault(after=5, event=failed("invalid_prompt")),                 ProviderFault.REFUSED),
    ("an error in 200",      Fault(status=200, body={"error": {"code": "model_not_found"}}), ProviderFault.NOT_FOUND),
    ("another JSON in 200",  Fault(status=200, body={"choices": []}),                        ProviderFault.TRUNCATED),
]  # fmt: skip


@pytest.mark.asyncio
@pytest.mark.parametrize(("fault", "kind"), [pytest.param(*f[1:], id=f[0]) for f in FAULTS])
async def test_every_fault_is_one_error_soon_and_is_not_tried_again(double, fault, kind):
    before = asyncio.all_tasks()
    double.fail(RESPONSES, fault)
    double.answers.append(says("It is", " four", "."))

    async with asyncio.timeout(2):
        error = await failure(model(double, timeout_s=0.3))

    assert error.kind is kind
    assert error.retryable is (kind not in {"auth", "quota", "not_found", "refused"})
    assert error.provider == "openai"
    assert len(double.asked) == 1
    await nothing_left(double, before)


ENDINGS = [
    ("not allowed to go on", says("It is", finish="content_filter"), ProviderFault.REFUSED),
    ("cut off for some reason", says("It is", finish="steered"), ProviderFault.TRUNCATED),
    ("nothing but thoughts", says(thinking="Hm.", finish="max_output_tokens"), ProviderFault.TRUNCATED),
    ("a call cut off", Reply([Call("clock", '{"x": ')], finish="max_output_tokens"), ProviderFault.TRUNCATED),
    ("a call of nothing", calls_tool(""), ProviderFault.INVALID),
]  # fmt: skip


@pytest.mark.asyncio
@pytest.mark.parametrize(("reply", "kind"), [pytest.param(*e[1:], id=e[0]) for e in ENDINGS])
async def test_an_answer_that_is_none_is_an_error(double, reply, kind):
    double.answers.append(reply)

    error = await failure(model(double))

    assert (error.kind, error.request_id) == (kind, "req_1")


@pytest.mark.asyncio
async def test_an_answer_without_its_last_event_is_cut_off(double):
    double.quirks.add(Quirk.NO_FINISH)

    assert (await failure(model(double))).kind is ProviderFault.TRUNCATED


# Leaving


@pytest.mark.asyncio
@pytest.mark.parametrize("taken", [0, 1])
async def test_leaving_an_answer_frees_the_connection_at_once(double, taken):
    before = asyncio.all_tasks()
    double.fail(RESPONSES, Fault(after=5, stall=True))
    double.answers.append(says("It is", " four"))

    async with model(double).answer(prompt()) as parts:
        for _ in range(taken):
            assert await anext(parts) == TextDelta("It is")

    await nothing_left(double, before)
    assert double.asked[0].left_early.is_set()


CANCELLED = [
    ("while it opens", Fault(stall_headers=True)),
    ("before the first event", Fault(after=0, stall=True)),
    ("while it reads", Fault(after=5, stall=True)),
]


@pytest.mark.asyncio
@pytest.mark.parametrize("fault", [pytest.param(c[1], id=c[0]) for c in CANCELLED])
async def test_cancelling_the_task_frees_the_connection_at_once(double, fault):
    before = asyncio.all_tasks()
    double.fail(RESPONSES, fault)
    double.answers.append(says("It is", " four"))

    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(parts_of(model(double)))
        await until(lambda: double.asked and double.asked[0].sent == fault.after)
        reading.cancel()

    await nothing_left(double, before)
    assert double.asked[0].left_early.is_set()


# Drift


def test_every_event_of_the_sdk_is_handled_or_left_out_on_purpose():
    union, *_ = get_args(ResponseStreamEvent)
    known = {
        name
        for event in get_args(union)
        for name in get_args(event.model_fields["type"].annotation)
    }

    assert not HANDLED_EVENTS & IGNORED_EVENTS
    assert known == HANDLED_EVENTS | IGNORED_EVENTS
