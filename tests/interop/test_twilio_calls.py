"""Whole calls by telephone: Twilio's side of a stream against the real server."""

import pytest
from websockets.exceptions import InvalidStatus

from calls.audio import ulaw
from calls.consumers.twilio import signature_of
from tests.interop.calls import Records, Seen, agree
from tests.interop.twilio_client import RATE_HZ, TwilioStream
from tests.server.test_calls_conversation import level

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(120)]

TOKEN = "a-token-of-the-account"


def url_of(server, agent="demo/"):
    return f"{server.ws_url}/ws/twilio/{agent}"


def tool_called(records):
    """Whether the question for which the agent needs a tool was understood."""
    items = records.stored.items(records.new()[0]).values()
    return any(item["role"] == "tool" for item in items)


async def test_a_call_with_all_that_can_happen(server, records):
    parameters = {"from": "+15550100", "campaign": "spring"}
    async with TwilioStream(url_of(server), parameters=parameters) as stream:
        await stream.hears_out()
        greeting_s = len(stream.heard) / RATE_HZ
        assert greeting_s > 1
        assert level(ulaw.decode(bytes(stream.heard))) > 500

        await stream.speaks("callers/hours")
        await stream.hears(800)
        await stream.speaks("callers/friday")
        await stream.cleared()
        assert any(mark.cleared for mark in stream.marks)
        await stream.hears_out()
        while not tool_called(records):  # a busy machine's ears may be too late
            await stream.speaks("callers/friday")
            await stream.hears_out()

        await stream.presses("42#")
        await stream.hears_out()

        await stream.speaks("callers/no-goodbye")
        assert await stream.closed() == 1000

    record = records.only()
    assert record.conversation["protocol"] == "twilio"
    assert record.conversation["heard"] == "reported"
    assert record.conversation["caller"] == "+15550100"
    assert record.metadata == parameters | {
        "callSid": stream.call_sid,
        "streamSid": stream.stream_sid,
        "accountSid": "AC00000000000000000000000000000001",
    }
    agree(Seen(tools=[("opening_hours", {"day": "Friday"})], end="agent_ended"), record)
    hours, *_, friday, digits, goodbye = record.user
    assert "opening hours" in hours.lower()
    assert "friday" in friday.lower()
    assert digits == "42"
    assert "goodbye" in goodbye.lower()
    (cut,) = record.interrupted()
    assert cut["text"]
    assert cut["unheard"]
    length_ms = cut["ended_ms"] - cut["started_ms"]
    played_ms = _heard_of(stream, cut["response_id"])
    # Between the last mark that was played and the next: the server carries it on.
    assert played_ms - 150 <= length_ms <= played_ms + 350
    greeting = record.items[0]
    assert abs(greeting["ended_ms"] - greeting["started_ms"] - greeting_s * 1_000) < 50


def _heard_of(stream, response_id):
    """How far the stream had played a response when it was cleared, as its marks say."""
    heard = [
        int(mark.name.partition(":")[2])
        for mark in stream.marks
        if mark.name.startswith(f"r{response_id}:") and not mark.cleared
    ]
    return max(heard, default=0)


async def test_the_agent_may_be_named_by_a_parameter(server, records):
    async with TwilioStream(url_of(server, ""), parameters={"agent": "demo"}) as stream:
        await stream.hears_out()
        await stream.hangs_up()
    record = records.only()
    assert record.conversation["agent_slug"] == "demo"
    assert record.conversation["end_reason"] == "caller_hung_up"
    assert not stream.clears
    assert not record.interrupted()


async def test_an_agent_that_is_not_there_ends_the_stream(server, records):
    async with TwilioStream(url_of(server, "nobody/")) as stream:
        assert await stream.closed(5) == 4404
    assert records.new() == []


async def test_a_dropped_socket_is_a_hang_up(server, records):
    async with TwilioStream(url_of(server)) as stream:
        await stream.hears(300)
    assert records.only().conversation["end_reason"] == "caller_hung_up"


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (["{}", "[]", "nonsense", b"\xff", '{"event": "media", "media": 1}'], None),
        (["x" * 20_000], 4413),
        (['{"event": "weather"}'] * 2_000, 4429),
    ],
    ids=["nonsense", "a long message", "a flood"],
)
async def test_nonsense_is_left_out_and_too_much_ends_the_stream(server, records, frames, code):
    async with TwilioStream(url_of(server)) as other, TwilioStream(url_of(server)) as stream:
        await stream.hears(100)
        for frame in frames:
            await stream.sends(frame)
        if code is None:
            await stream.hears_out()
            await stream.hangs_up()
        else:
            assert await stream.closed() == code
        await other.hears_out()
        assert other.close_code is None
        await other.hangs_up()
    for call_id in records.new():
        assert records.ended(call_id).conversation["end_reason"] == "caller_hung_up"


async def test_only_signed_streams_where_there_is_a_token(start_server):
    server = start_server(TWILIO_AUTH_TOKEN=TOKEN)
    records = Records(server)
    asked = f"wss://127.0.0.1:{server.port}/ws/twilio/demo/"
    for headers in ({}, {"X-Twilio-Signature": signature_of("another", asked)}):
        with pytest.raises(InvalidStatus) as refused:
            async with TwilioStream(url_of(server), headers=headers):
                pass
        assert refused.value.response.status_code == 403
    signed = {"X-Twilio-Signature": signature_of(TOKEN, asked)}
    async with TwilioStream(url_of(server), headers=signed) as stream:
        await stream.hears(300)
        await stream.hangs_up()
    assert records.only().conversation["protocol"] == "twilio"
