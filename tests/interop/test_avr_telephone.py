"""Calls by AVR that end, move on, or begin with what the telephone system says."""

import sqlite3
from contextlib import closing

import pytest

from tests.doubles.avr_services import AmiDouble, InstructionsDouble
from tests.doubles.providers.base import Fault, serving_in_thread
from tests.doubles.providers.openai_answers import Call, Reply, says
from tests.doubles.providers.openai_http import OpenAIHttpDouble
from tests.interop.avr_client import RATE_HZ, AvrCore
from tests.server.callers import kept_server

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(120)]

PUT_THROUGH = "I will put you through to my colleagues in the sales department now."
FAREWELL = "It was very nice to talk to you. Thank you for calling, and goodbye."


@pytest.fixture(scope="module")
def mind():
    double = OpenAIHttpDouble("test-key")
    with serving_in_thread(double):
        yield double


@pytest.fixture(scope="module")
def ami():
    double = AmiDouble()
    with serving_in_thread(double):
        yield double


@pytest.fixture(scope="module")
def told():
    double = InstructionsDouble()
    with serving_in_thread(double):
        yield double


@pytest.fixture(scope="module")
def server(installation, mind, ami, told, tmp_path_factory):
    environment = {
        "LLM_BASE_URL": mind.base_url,
        "LLM_API_KEY": "test-key",
        "LLM_MODEL": "gpt-5.4-mini",
        "AVR_AMI_URL": ami.origin,
        "AVR_URL_INSTRUCTIONS": f"{told.origin}/instructions",
    }
    place = tmp_path_factory.mktemp("avr") / "var"
    with kept_server(installation, place, **environment) as started:
        # Summaries would take the answers that the tests put down for calls.
        with closing(sqlite3.connect(place / "db.sqlite3", timeout=10)) as database:
            database.execute("UPDATE calls_agent SET summarized = 0")
            database.commit()
        yield started


@pytest.fixture(autouse=True)
def nothing_before(mind, ami, told):
    for double in (mind, ami, told):
        double.asked.clear()
        double.works_again()
    mind.answers.clear()
    ami.orders.clear()


def orders(ami):
    return [(path, body) for _, path, body in ami.orders]


def core_of(server, uuid):
    return AvrCore(f"{server.ws_url}/avr?agent=demo", uuid=uuid)


async def test_the_goodbye_is_heard_before_the_agent_hangs_up(server, mind, ami, records):
    async with core_of(server, "h1") as core:
        await core.hears_out()
        mind.answers += [Reply([FAREWELL, Call("avr_hangup")]), says("Have a nice day.")]
        await core.speaks("callers/hours")
        assert await core.closed() == 1000
        assert core.closed_with_ms == 0
        await core.until(lambda: bool(ami.orders), 5)
    assert orders(ami) == [("/hangup", {"uuid": "h1"})]
    assert core.transcripts("agent")[-1].startswith(FAREWELL)
    assert core.transcripts("agent")[-1].endswith("Have a nice day.")
    record = records.only()
    assert record.conversation["end_reason"] == "agent_ended"
    assert not record.interrupted()
    assert [name for name, _ in record.tools] == ["avr_hangup"]


async def test_who_speaks_into_the_goodbye_keeps_the_line(server, mind, ami, records):
    async with core_of(server, "h2") as core:
        await core.hears_out()
        mind.answers += [
            Reply([FAREWELL, Call("avr_hangup")]),
            says("Have a nice day."),
            says("Yes, I am still here."),
        ]
        await core.speaks("callers/hours")
        await core.hears(1_500)
        await core.speaks("callers/friday")
        await core.until(lambda: "still here" in core.transcripts("agent")[-1])
        await core.hears_out()
        assert core.close_code is None
        await core.hangs_up()
    assert records.only().conversation["end_reason"] == "caller_hung_up"
    assert orders(ami) == []


async def test_a_transfer_waits_until_the_caller_has_heard_of_it(server, mind, ami, records):
    wanted = {"transfer_extension": "600", "transfer_context": "office"}
    asked = Call("avr_transfer", '{"transfer_extension": "600", "transfer_context": "office"}')
    async with core_of(server, "t1") as core:
        await core.hears_out()
        mind.answers += [Reply([PUT_THROUGH, asked]), says("One moment.")]
        before = len(core.frames)
        await core.speaks("callers/hours")
        await core.until(lambda: bool(ami.orders), 20)
        order_s = ami.orders[0][0]
        told = [pcm for at_s, pcm in core.frames[before:] if at_s < order_s]
        length_s = len(b"".join(told)) / (RATE_HZ * 2)
        assert length_s > 2
        assert order_s > core.frames[before][0] + length_s - 0.3
        await core.hears_out()
        await core.hangs_up()  # the core does, when the line is gone
    fields = {"uuid": "t1", "exten": "600", "context": "office", "priority": 1}
    assert orders(ami) == [("/transfer", fields)]
    record = records.only()
    assert record.tools == [("avr_transfer", wanted)]
    assert not record.interrupted()


async def test_a_transfer_that_fails_is_told_to_the_agent(server, mind, ami, records):
    ami.fail("/transfer", Fault(status=500, body={"message": "broken"}))
    async with core_of(server, "t2") as core:
        await core.hears_out()
        mind.answers += [
            Reply(["One moment.", Call("avr_transfer", '{"transfer_extension": "600"}')]),
            says("I am sorry, nobody answers there."),
        ]
        await core.speaks("callers/hours")
        await core.until(lambda: "nobody answers" in core.transcripts("agent")[-1])
        await core.hangs_up()
    (tool,) = [item for item in records.only().items if item["role"] == "tool"]
    assert tool["status"] == "failed"
    assert "could not transfer the call" in tool["text"]
    result = mind.requests("/chat/completions")[-1].body["messages"][-1]
    assert (result["role"], "could not transfer" in result["content"]) == ("tool", True)


def prompts(mind):
    bodies = [asked.body for asked in mind.requests("/chat/completions")]
    return [body["messages"][0]["content"] for body in bodies]


@pytest.mark.parametrize(("uuid", "pirate"), [("i1", True), ("i2", False)])
async def test_each_call_has_its_instructions(server, mind, told, records, uuid, pirate):
    told.known["i1"] = "You are a pirate."
    async with core_of(server, uuid) as core:
        await core.hears_out()
        mind.answers += [says("Aye.")]
        await core.speaks("callers/hours")
        await core.until(lambda: core.transcripts("agent")[-1] == "Aye.")
        await core.hangs_up()
    assert [asked.headers["X-AVR-UUID"] for asked in told.asked] == [uuid]
    assert {("pirate" in prompt) for prompt in prompts(mind)} == {pirate}
    assert ("pirate" in records.only().conversation["agent_snapshot"]) is pirate


async def test_the_tools_are_offered_to_the_model(server, mind, records):
    async with core_of(server, "o1") as core:
        await core.hears_out()
        mind.answers += [says("Hello.")]
        await core.speaks("callers/hours")
        await core.until(lambda: bool(mind.asked), 20)
        await core.hangs_up()
    offered = {tool["function"]["name"] for tool in mind.asked[-1].body["tools"]}
    assert {"avr_hangup", "avr_transfer", "book_appointment"} <= offered
