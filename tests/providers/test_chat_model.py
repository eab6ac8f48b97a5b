"""The language model of the operator's choice, by the real SDK against a real socket."""

import asyncio

import pytest
import pytest_asyncio
from openai.types.chat.chat_completion_chunk import ChoiceDelta
from openai.types.chat.chat_completion_message import ChatCompletionMessage

from calls.domain.items import Item, Role, Source
from calls.ports.errors import ProviderError, ProviderFault
from calls.ports.speech import Prompt, TextDelta, ToolCallRequested
from calls.providers.openai.assembling import HANDLED_FIELDS, IGNORED_FIELDS
from calls.providers.openai.client import clients_close
from calls.providers.openai.llm import ChatLanguageModel
from tests.doubles.providers.base import Fault, serving
from tests.doubles.providers.openai_http import (
    Call,
    OpenAIHttpDouble,
    Quirk,
    Reply,
    calls_tool,
    problem,
    raw,
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

CHAT = "/chat/completions"


@pytest_asyncio.fixture
async def double():
    stand_in = OpenAIHttpDouble()
    async with serving(stand_in):
        yield stand_in
        await clients_close()


def model(double, profile="generic", name="tiny", **options):
    return ChatLanguageModel(server_of(double, profile), name, **options)


def openai(double, name="gpt-6-luna", **options):
    return ChatLanguageModel(server_of(double, "openai", "openai"), name, **options)


def fragment(index=None, call_id=None, name=None, arguments=None):
    call = {"index": index, "id": call_id, "function": {"name": name, "arguments": arguments}}
    return {k: v for k, v in call.items() if v is not None or k == "function"}


# What is asked


@pytest.mark.asyncio
async def test_text_comes_piece_by_piece_and_the_request_says_only_what_every_server_knows(double):
    double.quirks.add(Quirk.REFUSES_THE_UNKNOWN)
    double.answers.append(says("It is ", "four."))

    assert await parts_of(model(double)) == [TextDelta("It is "), TextDelta("four.")]
    [asked] = double.requests(CHAT)
    assert asked.headers["Authorization"] == "Bearer test-key"
    assert asked.body == {
        "model": "tiny",
        "stream": True,
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What time is it?"},
        ],
    }


@pytest.mark.asyncio
async def test_openai_is_asked_for_quick_short_answers_and_for_what_they_cost(double):
    await parts_of(
        openai(double, max_output_tokens=200, temperature=0.4), prompt(tools=(TOOL, STRICT))
    )

    asked = double.requests(CHAT)[0].body
    del asked["messages"]
    assert [tool["function"].get("strict") for tool in asked.pop("tools")] == [None, True]
    assert asked == {
        "model": "gpt-6-luna",
        "stream": True,
        "stream_options": {"include_usage": True, "include_obfuscation": False},
        "reasoning_effort": "none",
        "verbosity": "low",
        "temperature": 0.4,
        "max_completion_tokens": 200,
        "parallel_tool_calls": True,
    }


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("name", "effort", "sent"),
    [
        ("gpt-6-luna", "", {"reasoning_effort": "none", "verbosity": "low", "temperature": 0.5}),
        ("gpt-6-luna", "low", {"reasoning_effort": "low", "verbosity": "low"}),
        ("gpt-5-mini", "", {"reasoning_effort": "minimal", "verbosity": "low"}),
        ("o3", "", {"reasoning_effort": "low"}),
        ("gpt-4.1", "low", {"temperature": 0.5}),
        ("ft:gpt-4.1:acme::x", "", {"temperature": 0.5}),
    ],
)
async def test_a_temperature_goes_only_where_the_model_takes_one(double, name, effort, sent):
    await parts_of(openai(double, name, temperature=0.5, reasoning_effort=effort))

    asked = double.requests(CHAT)[0].body
    named = {"reasoning_effort", "verbosity", "temperature"}
    assert {key: asked[key] for key in named & asked.keys()} == sent


@pytest.mark.asyncio
async def test_the_limit_of_an_answer_has_the_name_that_the_server_knows(double):
    await parts_of(model(double, "vllm", max_output_tokens=50))

    asked = double.requests(CHAT)[0].body
    assert asked["max_tokens"] == 50
    assert "max_completion_tokens" not in asked


@pytest.mark.parametrize("kind", [ChatLanguageModel])
def test_an_unknown_profile_is_refused_with_the_names_of_those_known(kind):
    from calls.providers.openai.address import Server

    with pytest.raises(ValueError, match=r"'olama'.*ollama"):
        kind(Server("http://127.0.0.1:9/v1", profile="olama"), "tiny")


@pytest.mark.asyncio
async def test_what_an_answer_came_to_is_noted(double):
    double.cached_tokens = 7
    double.answers.append(says("It is ", "four.", thinking="They ask."))

    _, meter = await answer_of(openai(double))

    assert (meter.model, meter.request_id) == ("gpt-6-luna", "req_1")
    asked = double.requests(CHAT)[0].body
    assert meter.usage.pop("input_tokens") >= len(asked["messages"])
    assert meter.usage == {"cached_tokens": 7, "output_tokens": 5, "reasoning_tokens": 2}


@pytest.mark.asyncio
@pytest.mark.parametrize("profile", ["generic", "openai"])
async def test_the_model_sees_every_call_with_its_result_and_what_was_heard(double, profile):
    await parts_of(model(double, profile), prompt(*after_an_interruption()))

    [asked] = double.requests(CHAT)
    _system, _caller, calls, first, second, call, failed, cut, again, _, last = asked.body[
        "messages"
    ]
    assert [entry["id"] for entry in calls["tool_calls"]] == ["a", "b"]
    assert (first["tool_call_id"], first["content"]) == ("a", "16:00")
    assert "still running" in second["content"]
    assert (call["tool_calls"][0]["id"], failed["tool_call_id"]) == ("c", "c")
    assert call["tool_calls"][0]["function"] == {"name": "a_b", "arguments": "{}"}
    assert "no result" in failed["content"]
    assert cut["content"].startswith("It is [interrupted")
    # The same id a second time, and arguments that are no JSON, would fail at some servers.
    assert again["tool_calls"][0]["id"] == "a_7"
    assert again["tool_calls"][0]["function"]["arguments"] == "{}"
    assert last == {"role": "user", "content": "Go on."}


@pytest.mark.asyncio
async def test_an_instruction_in_the_conversation_is_one_of_the_system(double):
    instruction = Item(2, Role.SYSTEM, "Be brief.", turn=1, source=Source.CLIENT)
    await parts_of(model(double), Prompt("", (CALLER, instruction), (), "en"))

    asked = double.requests(CHAT)[0].body["messages"]
    assert asked[-1] == {"role": "system", "content": "Be brief."}
    assert len(asked) == 2


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
async def test_a_model_that_was_not_asked_is_told_what_to_do(double, items, cue):
    await parts_of(model(double), Prompt("", items, (), "en"))

    last = double.requests(CHAT)[0].body["messages"][-1]
    assert last["role"] == "user"
    assert cue in last["content"]


# What comes

CALLS = [
    # id                                       fragments of the stream
    ("as documented", [[fragment(0, "a", "clock", "")], [fragment(0, None, None, '{"x":1}')]]),
    ("without an index, at once", [[fragment(None, "a", "clock", '{"x":1}')]]),
    ("without an index, in parts", [[fragment(None, "a", "clock", '{"x"')], [fragment(None, None, None, ":1}")]]),
    ("arguments as an object", [[fragment(0, "a", "clock", {"x": 1})]]),
    ("id and name again and again", [[fragment(0, "a", "clock", '{"x"')], [fragment(0, "a", "clock", ":1}")]]),
    ("a fragment without function", [[{"index": 0, "id": "a"}], [fragment(0, None, "clock", '{"x":1}')]]),
]  # fmt: skip


@pytest.mark.asyncio
@pytest.mark.parametrize("parts", [pytest.param(c[1], id=c[0]) for c in CALLS])
async def test_a_tool_call_is_put_together_however_it_comes(double, parts):
    double.answers.append(raw(*({"tool_calls": calls} for calls in parts)))

    [call] = await parts_of(model(double), prompt(tools=(TOOL,)))

    assert (call.tool_call_id, call.name) == ("a", "clock")
    assert call.arguments.replace(" ", "") == '{"x":1}'


TWO_CALLS = [
    ("one index", [fragment(0, "a", "clock", "{}"), fragment(0, "b", "diary", "{}")], ["a", "b"]),
    ("one id", [fragment(0, "a", "clock", "{}"), fragment(1, "a", "diary", "{}")], ["a", None]),
    ("neither", [fragment(None, None, "clock", "{}"), fragment(None, None, "diary", "{}")], [None, None]),
]  # fmt: skip


@pytest.mark.asyncio
@pytest.mark.parametrize(("calls", "ids"), [pytest.param(*c[1:], id=c[0]) for c in TWO_CALLS])
async def test_two_calls_are_two_and_have_ids_of_their_own(double, calls, ids):
    double.answers.append(raw({"tool_calls": calls}))

    first, second = await parts_of(model(double), prompt(tools=(TOOL,)))

    assert (first.name, second.name) == ("clock", "diary")
    assert (first.arguments, second.arguments) == ("{}", "{}")
    assert first.tool_call_id != second.tool_call_id
    for call, expected in zip((first, second), ids, strict=True):
        assert call.tool_call_id == expected or (expected is None and call.tool_call_id)


@pytest.mark.asyncio
async def test_a_call_in_the_old_form_is_a_call(double):
    double.answers.append(
        raw({"function_call": {"name": "clock", "arguments": "{"}}, {"function_call": {"arguments": "}"}}, finish="function_call")
    )  # fmt: skip

    [call] = await parts_of(model(double), prompt(tools=(TOOL,)))

    assert (call.name, call.arguments) == ("clock", "{}")


QUIRKS = [q for q in Quirk if q not in {Quirk.NO_FINISH, Quirk.PING, Quirk.REFUSES_THE_UNKNOWN}]


@pytest.mark.asyncio
@pytest.mark.parametrize("quirk", QUIRKS, ids=lambda quirk: quirk.name)
async def test_a_server_may_be_odd_and_is_understood(double, quirk):
    double.quirks.add(quirk)
    two = [Call("clock", '{"x": 1}'), Call("diary", '{"y": 2}')]
    double.answers.append(Reply(["One ", "moment.", *two], thinking="Which tools?"))

    parts = await parts_of(model(double), prompt(tools=(TOOL,)))

    assert text_of(parts) == "One moment."
    calls = [part for part in parts if isinstance(part, ToolCallRequested)]
    assert [(call.name, call.arguments) for call in calls] == [
        ("clock", '{"x": 1}'),
        ("diary", '{"y": 2}'),
    ]
    assert len({call.tool_call_id for call in calls}) == 2
    assert len(double.requests(CHAT)) == 1


@pytest.mark.asyncio
async def test_what_a_model_thinks_to_itself_is_not_said(double):
    double.answers.append(
        says("<th", "ink>The caller is", " bored.</thi", "nk>It is <", "4.", thinking="Bored.")
    )

    assert text_of(await parts_of(model(double))) == "It is <4."


@pytest.mark.asyncio
async def test_a_refusal_is_said(double):
    double.answers.append(Reply(refusal="I cannot help with that."))

    assert text_of(await parts_of(model(double))) == "I cannot help with that."


@pytest.mark.asyncio
async def test_an_answer_that_became_too_long_is_said_as_far_as_it_goes(double):
    double.answers.append(says("It is", finish="length"))

    assert text_of(await parts_of(model(double))) == "It is"


@pytest.mark.asyncio
async def test_a_server_that_streams_nothing_is_asked_for_the_whole(double):
    double.fail(CHAT, Fault(status=200, body=": nothing", headers={"x-request-id": "req_0"}))
    double.answers.append(Reply(["One moment.", Call("clock", "{}", "a")]))

    assert await parts_of(model(double, "openai"), prompt(tools=(TOOL,))) == [
        TextDelta("One moment."),
        ToolCallRequested("a", "clock", "{}"),
    ]
    _streamed, asked_again = double.requests(CHAT)
    assert "stream" not in asked_again.body
    assert "stream_options" not in asked_again.body
    assert asked_again.body["tools"]


@pytest.mark.asyncio
@pytest.mark.parametrize("line", ["5", "null", "[]", '"hello"', "{}", '{"choices": null}'])
async def test_a_piece_of_another_shape_changes_nothing(double, line):
    double.fail(CHAT, Fault(after=2, garbage=f"data: {line}\n\n"))
    double.answers.append(says("It is ", "four."))

    assert text_of(await parts_of(model(double))) == "It is four."


@pytest.mark.asyncio
async def test_the_connection_of_a_finished_answer_serves_the_next(double):
    for _ in range(3):
        await parts_of(model(double))

    assert {asked.left_early.is_set() for asked in double.asked} == {False}


@pytest.mark.asyncio
async def test_a_stall_after_the_end_costs_nothing(double):
    double.answers.append(says("It is four."))
    double.fail(CHAT, Fault(after=3, stall=True))

    parts, meter = await answer_of(model(double, "openai", timeout_s=0.2))

    assert text_of(parts) == "It is four."
    assert "output_tokens" not in meter.usage


# What goes wrong


async def failure(model):
    with pytest.raises(ProviderError) as caught:
        await parts_of(model)
    error = caught.value
    assert "time is it" not in str(error)
    assert "your request" not in str(error)
    assert "test-key" not in str(error)
    return error


FAULTS = [
    # id                        the fault                                                    kind                        ms
    ("400",                     problem(400, "invalid_value", "invalid_request_error"),      ProviderFault.REFUSED,      None),
    ("401",                     problem(401, "invalid_api_key", "invalid_request_error"),    ProviderFault.AUTH,         None),
    ("403",                     problem(403),                                                ProviderFault.AUTH,         None),
    ("404",                     problem(404, "model_not_found", "invalid_request_error"),    ProviderFault.NOT_FOUND,    None),
    ("404 of Ollama",           Fault(status=404, body={"error": "model not found"}),        ProviderFault.NOT_FOUND,    None),
    ("408",                     problem(408),                                                ProviderFault.TIMEOUT,      None),
    ("422 of FastAPI",          Fault(status=422, body={"detail": [{"type": "extra"}]}),     ProviderFault.REFUSED,      None),
    ("429 in seconds",          problem(429, "rate_limit_exceeded", retry_after="1"),        ProviderFault.BUSY,         1_000),
    ("429 in milliseconds",     problem(429, retry_after="1", retry_after_ms="200"),         ProviderFault.BUSY,         200),
    ("429 at once",             problem(429, retry_after="0"),                               ProviderFault.BUSY,         0),
    ("429 much later",          problem(429, retry_after="130"),                             ProviderFault.BUSY,         130_000),
    ("429 without a time",      problem(429),                                                ProviderFault.BUSY,         None),
    ("429 some day",            problem(429, retry_after="soon"),                            ProviderFault.BUSY,         None),
    ("no credit",               problem(429, "insufficient_quota", x_should_retry="false"),  ProviderFault.QUOTA,        None),
    ("no credit, as a text",    Fault(status=400, body={"error": "insufficient_quota"}),     ProviderFault.QUOTA,        None),
    ("no credit, in a detail",  Fault(status=403, body={"detail": {"error": {"code": "billing_hard_limit_reached"}}}), ProviderFault.QUOTA, None),
    ("closed account",          problem(500, "account_deactivated"),                         ProviderFault.AUTH,         None),
    ("500",                     problem(500),                                                ProviderFault.UNAVAILABLE,  None),
    ("a proxy's page",          Fault(status=502, body="<html>Bad Gateway</html>"),          ProviderFault.UNAVAILABLE,  None),
    ("503",                     problem(503, retry_after="2"),                               ProviderFault.BUSY,         2_000),
    ("dropped",                 Fault(drop_before_headers=True),                             ProviderFault.UNAVAILABLE,  None),
    ("silent",                  Fault(stall_headers=True),                                   ProviderFault.TIMEOUT,      None),
    ("dropped midway",          Fault(after=2, drop=True),                                   ProviderFault.UNAVAILABLE,  None),
    ("over too early",          Fault(after=2, clean_eof=True),                              ProviderFault.TRUNCATED,    None),
    ("silent midway",           Fault(after=2, stall=True),                                  ProviderFault.TIMEOUT,      None),
    ("an error midway",         Fault(after=2, event={"error": {"message": "x", "type": "server_error"}}),    ProviderFault.UNAVAILABLE, None),
    ("a limit midway",          Fault(after=2, event={"error": {"message": "x", "code": "rate_limit_exceeded"}}), ProviderFault.BUSY,    None),
    ("a status midway",         Fault(after=2, event={"error": {"message": "x", "code": 429}}),               ProviderFault.BUSY,        None),
    ("no credit midway",        Fault(after=2, event={"error": "insufficient_quota"}),       ProviderFault.QUOTA,        None),
    ("no JSON",                 Fault(after=2, garbage="data: {not json\n\n"),               ProviderFault.INVALID,      None),
    ("an error in 200",         Fault(status=200, body={"error": {"code": "model_not_found"}}), ProviderFault.NOT_FOUND, None),
    ("a text in 200",           Fault(status=200, body={"error": "out of memory"}),          ProviderFault.UNAVAILABLE,  None),
    ("another JSON in 200",     Fault(status=200, body=["what"]),                            ProviderFault.TRUNCATED,    None),
]  # fmt: skip


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("fault", "kind", "later_ms"), [pytest.param(*f[1:], id=f[0]) for f in FAULTS]
)
async def test_every_fault_is_one_error_soon_and_is_not_tried_again(double, fault, kind, later_ms):
    before = asyncio.all_tasks()
    double.fail(CHAT, fault)
    double.answers.append(says("It is", " four", "."))

    async with asyncio.timeout(2):
        error = await failure(model(double, timeout_s=0.3))

    fatal = {"auth", "quota", "not_found", "refused"}
    assert (error.kind, error.retry_after_ms) == (kind, later_ms)
    assert error.retryable is (kind not in fatal)
    assert error.provider == "compatible"
    assert len(double.asked) == 1
    await nothing_left(double, before)


@pytest.mark.asyncio
async def test_when_to_try_again_may_be_a_date(double):
    dates = {
        "retry_after": "Sat, 21 Nov 2026 10:00:30 GMT",
        "date": "Sat, 21 Nov 2026 10:00:00 GMT",
    }
    double.fail(CHAT, problem(429, **dates))

    assert (await failure(model(double))).retry_after_ms == 30_000


@pytest.mark.asyncio
async def test_an_error_names_the_request(double):
    double.fail(CHAT, problem(500))

    assert (await failure(model(double))).request_id == "req_failed"


ENDINGS = [
    ("not allowed to go on", says("It is", finish="content_filter"), ProviderFault.REFUSED),
    ("nothing but thoughts", says(thinking="Hm.", finish="length"), ProviderFault.TRUNCATED),
    ("a call cut off", Reply([Call("clock", '{"x": ')], finish="length"), ProviderFault.TRUNCATED),
    ("a call of nothing", calls_tool(""), ProviderFault.INVALID),
    ("failed midway", says("It is", finish="error"), ProviderFault.UNAVAILABLE),
    ("no choices at all", Reply(body={"choices": []}), ProviderFault.TRUNCATED),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(("reply", "kind"), [pytest.param(*e[1:], id=e[0]) for e in ENDINGS])
async def test_an_answer_that_is_none_is_an_error(double, reply, kind):
    double.answers.append(reply)

    assert (await failure(model(double))).kind is kind


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("quirk", "kind"),
    [
        (Quirk.NO_FINISH, ProviderFault.TRUNCATED),
        (Quirk.PING, ProviderFault.INVALID),
        (Quirk.REFUSES_THE_UNKNOWN, ProviderFault.REFUSED),
    ],
)
async def test_what_cannot_be_understood_is_an_error(double, quirk, kind):
    double.quirks.add(quirk)

    assert (await failure(model(double, "vllm"))).kind is kind


@pytest.mark.asyncio
async def test_a_wrong_key_is_said_so(double):
    double.key = "another"
    wrong = model(double)
    double.key = "test-key"

    assert (await failure(wrong)).kind is ProviderFault.AUTH


@pytest.mark.asyncio
async def test_a_server_that_is_not_there_is_unavailable():
    async with serving(OpenAIHttpDouble()) as origin:
        pass
    double = OpenAIHttpDouble()
    double.origin = origin

    assert (await failure(model(double, timeout_s=0.5))).kind is ProviderFault.UNAVAILABLE
    await clients_close()


# Leaving


@pytest.mark.asyncio
@pytest.mark.parametrize("taken", [0, 1])
async def test_leaving_an_answer_frees_the_connection_at_once(double, taken):
    before = asyncio.all_tasks()
    double.fail(CHAT, Fault(after=2, stall=True))
    double.answers.append(says("It is", " four"))

    async with model(double).answer(prompt()) as parts:
        for _ in range(taken):
            assert await anext(parts) == TextDelta("It is")

    await nothing_left(double, before)
    assert double.asked[0].left_early.is_set()


@pytest.mark.asyncio
async def test_breaking_off_in_the_middle_of_much_text_frees_the_connection(double):
    before = asyncio.all_tasks()
    double.piece_delay_s = 0.01
    double.answers.append(says(*["word "] * 500))

    async with model(double).answer(prompt()) as parts:
        async for _ in parts:
            break

    await nothing_left(double, before)
    assert double.asked[0].left_early.is_set()
    assert double.asked[0].sent < 100


CANCELLED = [
    ("while it opens", Fault(stall_headers=True)),
    ("before the first piece", Fault(after=0, stall=True)),
    ("while it reads", Fault(after=2, stall=True)),
]


@pytest.mark.asyncio
@pytest.mark.parametrize("fault", [pytest.param(c[1], id=c[0]) for c in CANCELLED])
async def test_cancelling_the_task_frees_the_connection_at_once(double, fault):
    before = asyncio.all_tasks()
    double.fail(CHAT, fault)
    double.answers.append(says("It is", " four"))

    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(parts_of(model(double)))
        await until(lambda: double.asked and double.asked[0].sent == fault.after)
        reading.cancel()

    await nothing_left(double, before)
    assert double.asked[0].left_early.is_set()


@pytest.mark.asyncio
async def test_many_abandoned_answers_leave_room_for_the_next(double):
    for _ in range(20):
        double.fail(CHAT, Fault(after=1, stall=True))
        async with model(double).answer(prompt()):
            pass

    assert await parts_of(model(double))


# Drift


def test_every_field_of_a_delta_is_known():
    fields = {*ChoiceDelta.model_fields, *ChatCompletionMessage.model_fields}

    assert fields == HANDLED_FIELDS | IGNORED_FIELDS
