"""The telephone system's services, as the agent's tools and a call's beginning use them."""

import json
import logging

import pytest
import pytest_asyncio

from calls.ports.tools import CallInfo, ToolError
from calls.providers.avr import instructions, service, tools
from calls.providers.avr.instructions import instructions_for
from calls.providers.avr.service import ANSWER_BYTES
from calls.providers.avr.tools import Ami, HangUp, Transfer
from tests.doubles.avr_services import UNKNOWN, AmiDouble, InstructionsDouble
from tests.doubles.providers.base import Fault, serving

pytestmark = pytest.mark.asyncio

INFO = CallInfo(call_id="c1", agent="demo", language="en")


class Line:
    """A call as the tools see it."""

    def __init__(self):
        self.steps = []
        self.interrupted = False

    def end_once_heard(self):
        if self.interrupted:
            raise ToolError("The caller has interrupted; the call goes on.")
        self.steps.append("end")

    async def heard(self, *, within_ms):
        self.steps.append(("heard", within_ms))


@pytest_asyncio.fixture
async def ami():
    double = AmiDouble()
    async with serving(double):
        yield double


@pytest_asyncio.fixture
async def told():
    double = InstructionsDouble()
    double.known["u1"] = "You are a pirate."
    async with serving(double):
        yield double


def transfer(ami, uuid="u1", line=None):
    return Transfer(line or Line(), Ami(ami.origin, uuid))


def orders(ami):
    return [(path, body) for _, path, body in ami.orders]


# Transfers


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        ({"transfer_extension": "600"}, {"exten": "600", "context": "demo", "priority": 1}),
        ({"transfer_extension": 600}, {"exten": "600", "context": "demo", "priority": 1}),
        (
            {"transfer_extension": "sales", "transfer_context": "office", "transfer_priority": 3},
            {"exten": "sales", "context": "office", "priority": 3},
        ),
        (
            {"transfer_extension": "*72", "transfer_context": "", "transfer_priority": "2"},
            {"exten": "*72", "context": "demo", "priority": 2},
        ),
    ],
)
async def test_a_call_is_transferred(ami, arguments, fields):
    line = Line()
    said = await transfer(ami, line=line).run(INFO, arguments)
    assert orders(ami) == [("/transfer", {"uuid": "u1", **fields})]
    assert line.steps == [("heard", tools.HEARD_WITHIN_MS)]
    assert "transferred" in said


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"transfer_extension": ""},
        {"transfer_extension": "600\r\nAction: Originate"},
        {"transfer_extension": ["600"]},
        {"transfer_extension": "6" * 65},
        {"transfer_extension": "600", "transfer_context": "a b"},
        {"transfer_extension": "600", "transfer_priority": 0},
        {"transfer_extension": "600", "transfer_priority": "first"},
        {"transfer_extension": "600", "transfer_priority": [1]},
        {"transfer_extension": "600", "transfer_priority": float("inf")},
    ],
)
async def test_what_is_no_extension_is_told_to_the_model(ami, arguments):
    with pytest.raises(ToolError, match="not usable"):
        await transfer(ami).run(INFO, arguments)
    assert ami.asked == []


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (Fault(status=500, body={"message": "no"}), "could not transfer"),
        (Fault(status=302, headers={"Location": "/hangup"}), "could not transfer"),
        (Fault(drop_before_headers=True), "could not transfer"),
        (Fault(status=200, body="<p>welcome</p>"), "could not transfer"),
        (Fault(status=200, body={"message": "x" * ANSWER_BYTES}), "could not transfer"),
        (Fault(stall_headers=True), "did not answer in time"),
    ],
)
async def test_a_service_that_fails_is_asked_once(ami, monkeypatch, fault, sentence):
    monkeypatch.setattr(tools, "REQUEST_MS", 300)
    ami.fail("/transfer", fault)
    with pytest.raises(ToolError, match=sentence):
        await transfer(ami).run(INFO, {"transfer_extension": "600"})
    assert len(ami.asked) == 1


async def test_a_call_that_is_gone_is_told_so(ami):
    with pytest.raises(ToolError, match="does not know this call"):
        await transfer(ami, UNKNOWN).run(INFO, {"transfer_extension": "600"})


async def test_a_service_that_is_not_there():
    tool = Transfer(Line(), Ami("http://127.0.0.1:1", "u1"))
    with pytest.raises(ToolError, match="could not transfer"):
        await tool.run(INFO, {"transfer_extension": "600"})


# Hanging up


async def test_hanging_up_waits_for_the_goodbye():
    line = Line()
    assert "goodbye" in await HangUp(line).run(INFO, {})
    assert line.steps == ["end"]


async def test_an_interrupted_goodbye_hangs_nothing_up():
    line = Line()
    line.interrupted = True
    with pytest.raises(ToolError, match="goes on"):
        await HangUp(line).run(INFO, {})


async def test_the_telephone_system_is_told_of_the_end(ami):
    await Ami(ami.origin, "u1").hang_up()
    assert orders(ami) == [("/hangup", {"uuid": "u1"})]


async def test_a_hang_up_that_fails_is_only_noted(ami, caplog):
    caplog.set_level(logging.INFO)
    await Ami(ami.origin, UNKNOWN).hang_up()
    assert [record.message for record in caplog.records if record.name == tools.__name__] == [
        "AVR was not told to hang up"
    ]


@pytest.mark.parametrize("tool", [HangUp(Line()), Transfer(Line(), Ami("", ""))])
async def test_a_tool_is_described_as_models_want_it(tool):
    assert tool.spec.name.startswith("avr_")
    assert json.dumps(dict(tool.spec.parameters))
    assert tool.spec.parameters["type"] == "object"
    assert tool.timeout_ms >= 1_000


# Instructions


async def test_instructions_are_asked_for_by_the_call(told):
    assert await instructions_for(f"{told.origin}/instructions", "u1") == "You are a pirate."
    (asked,) = told.asked
    assert (asked.method, asked.headers["X-AVR-UUID"]) == ("GET", "u1")


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=500),
        Fault(status=302, headers={"Location": "/instructions"}),
        Fault(drop_before_headers=True),
        Fault(stall_headers=True),
        Fault(status=200, body="You are a pirate."),
        Fault(status=200, body=["You are a pirate."]),
        Fault(status=200, body={}),
        Fault(status=200, body={"system": ""}),
        Fault(status=200, body={"system": 7}),
        Fault(status=200, body={"system": "a\x00b"}),
        Fault(status=200, body={"system": "\ud800"}),
        Fault(status=200, body={"system": "x" * ANSWER_BYTES}),
    ],
)
async def test_without_usable_instructions_the_log_says_so(told, monkeypatch, caplog, fault):
    monkeypatch.setattr(instructions, "WITHIN_MS", 300)
    told.fail("/instructions", fault)
    assert await instructions_for(f"{told.origin}/instructions", "u1") is None
    (record,) = (entry for entry in caplog.records if entry.name == instructions.__name__)
    assert record.levelno == logging.WARNING
    assert "pirate" not in caplog.text


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x", "http://[", "http://"])
async def test_an_address_that_leads_nowhere(url):
    with pytest.raises(service.ServiceError):
        await service.request("GET", url, within_ms=1_000)
