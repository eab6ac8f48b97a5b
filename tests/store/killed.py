"""A process that writes a call's record until it is killed; started by the tests.

Prints what was acknowledged, one line each: `item <id>`, `use <number>`.
"""

import asyncio
import sys

import django

django.setup()

from calls.domain.items import Item, ItemStatus, Role  # noqa: E402
from calls.store.recordings import recording_open  # noqa: E402
from tests.store.factories import opened, used  # noqa: E402


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def write(call_id: str) -> None:
    records = await opened(call_id)
    recording = recording_open(call_id)
    say("ready")
    item_id = 0
    while True:
        item_id += 1
        at_ms = item_id * 20
        item = Item(item_id, Role.AGENT, f"word {item_id}", 1, started_ms=at_ms)
        await records.store_item(item)
        say(f"item {item_id}")
        await records.store_use(used(item_id, "tts", "embedded", began_ms=at_ms))
        say(f"use {item_id}")
        running = Item(item_id + 1_000_000, Role.TOOL, "", 1, status=ItemStatus.IN_PROGRESS)
        await records.store_item(running)
        recording.caller(at_ms, b"\1\1" * 320)
        await asyncio.sleep(0.001)


asyncio.run(write(sys.argv[1]))
