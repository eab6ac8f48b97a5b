"""Conversations to test with."""

from calls.store.agents import agent_get, demo_agent_ensure
from calls.store.database import in_database
from calls.store.records import Opening, OrmCallRecords, conversation_open


async def opened(call_id: str = "call-1", **changes) -> OrmCallRecords:
    await in_database(demo_agent_ensure)
    agent = await in_database(agent_get, "demo")
    opening = {"call_id": call_id, "agent": agent, "protocol": "browser", "language": "en"}
    return await conversation_open(Opening(**(opening | changes)))
