"""Calls by several protocols, so that pictures of the admin have something to show."""

import asyncio

from tests.interop.avr_client import AvrCore
from tests.interop.micdrop_client import MicdropClient
from tests.interop.openai_sdk import talking
from tests.interop.twilio_client import TwilioStream
from tests.server.callers import Caller
from tests.server.keys import api_key
from tests.servers import RealServer

GOODBYE = "Thank you, goodbye"
TYPED = (
    ("Where can I park?", "How much is a cleaning?", GOODBYE),
    ("Are you a robot?", "What can you do?"),
)


async def typed_call(server: RealServer, lines: tuple[str, ...]) -> None:
    """Somebody else who calls, so that the list has something to show."""
    async with Caller(server.ws_url, hasty=False) as caller:
        await caller.start()
        await caller.hears_out(60)
        *asked, last = lines
        for line in asked:
            await caller.asks(line, 60)
        if last != GOODBYE:
            await caller.asks(last, 60)
            await caller.hangs_up()
            return
        await caller.types(last)
        await caller.message("end", timeout_s=60)


async def by_telephone(server: RealServer) -> None:
    """AVR's core: digits, a question that cuts an answer short, a goodbye."""
    query = "agent=demo&from=%2B15550142&to=5001&channel=PJSIP%2Ftrunk-00000013"
    async with AvrCore(f"{server.ws_url}/avr?{query}") as core:
        await core.hears_out(60)
        await core.presses("4711#")
        await core.hears_out(60)
        await core.speaks("callers/hours")
        await core.hears(2_200, 60)
        await core.speaks("callers/friday")
        await core.hears_out(60)
        while core.close_code is None:
            await core.speaks("callers/no-goodbye")
            await core.hears_out(60)


async def by_twilio(server: RealServer) -> None:
    """A caller who wants an appointment, and rings off."""
    address = f"{server.ws_url}/ws/twilio/demo/"
    async with TwilioStream(address, parameters={"from": "+15550100"}) as stream:
        for name in ("appointment", "monday"):
            await stream.hears_out(60)
            await stream.speaks(f"callers/{name}")
        await stream.hears_out(60)
        await stream.hangs_up()


async def by_micdrop(server: RealServer) -> None:
    """A page with micdrop's client."""
    async with MicdropClient(f"{server.ws_url}/call?v=2", "2") as client:
        await client.hears_out(60)
        await client.speaks("callers/friday")
        await client.hears_out(60)
        await client.speaks("callers/no-goodbye")
        await client.until(lambda: client.ended, 60)


async def by_realtime(server: RealServer) -> None:
    """A program with OpenAI's SDK, that gives instructions and writes."""
    key = await asyncio.to_thread(api_key, server)
    async with talking(server, key, model="demo") as talk:
        instruction = {"type": "message", "role": "system"}
        text = "The caller is a patient of Dr. Lee. Be brief."
        content = [{"type": "input_text", "text": text}]
        await talk.connection.conversation.item.create(item=instruction | {"content": content})
        for line in ("How much is a cleaning?", "When are you open on Friday?"):
            await talk.writes(line)
            done = await talk.answer()
            await asyncio.sleep(len(talk.sound(done["id"])) / 48_000 + 0.3)


async def all_at_once(server: RealServer) -> None:
    """All but the telephone call."""
    async with asyncio.TaskGroup() as group:
        for lines in TYPED:
            group.create_task(typed_call(server, lines))
        for call in (by_twilio, by_micdrop, by_realtime):
            group.create_task(call(server))
