"""What runs beside the calls: at the start of a process, all the time, and at its end."""

import asyncio
import gc
import sys

from calls.conf import calls_settings
from calls.store.gateway import gateway_close
from calls.store.recordings import recordings_close
from calls.store.records import heartbeat
from calls.store.work import work_leave
from calls.wiring import control, guard, networked
from calls.wiring.chores import chores
from calls.wiring.gauges import watch_lag
from calls.wiring.shared import audio_files, detector, local_speech, registry, speech

HEARTBEAT_S = 5

LONGEST_THREAD_TURN_S = 0.0005
"""How long a thread that writes records may keep the event loop waiting; Python's own 5 ms would
stand between a caller's last word and the answer."""


async def startup() -> None:
    """Make the process ready: models loaded, engines warm, background work running.

    A server that knows no lifespan does all this at the first call.
    """
    sys.setswitchinterval(LONGEST_THREAD_TURN_S)
    await asyncio.to_thread(detector)
    await begin()
    # What is loaded by now stays: to look through it for garbage takes a tenth of a second, in
    # which no call is served.
    gc.freeze()


async def shutdown() -> None:
    """End the calls well, then everything that belongs to them; idempotent.

    Cancelling it is a hurry: calls are told to end at once.
    """
    try:
        await drain()
    finally:
        await _close()


async def drain() -> None:
    """End the calls well, and begin no other: what goes on at the deadline is cut.

    Cancelling it is a hurry.
    """
    work_leave()
    await registry().drain(deadline_ms=calls_settings().drain_ms)


async def _close() -> None:
    await registry().close()
    await speech().close()
    await local_speech().close()
    await audio_files().close()
    await asyncio.to_thread(_close_store)
    await networked.close()


def _close_store() -> None:
    recordings_close()
    gateway_close()


async def begin() -> None:
    """Have everything run that runs beside calls, unless it does already."""
    work_leave(leaving=False)
    await registry().keep_once("speech", speech().warm)
    await registry().keep_once("providers", networked.warm)
    await registry().keep_once("heartbeats", _heartbeats)
    await registry().keep_once("loop lag", watch_lag)
    await registry().keep_once("limits", guard.watch)
    await registry().keep_once("control", control.listen)
    for chore in chores(everywhere=calls_settings().background == "worker"):
        await registry().keep_once(chore.kind, chore.loop)


async def _heartbeats() -> None:
    while True:
        heartbeat([call.call_id for call in registry()])
        await asyncio.sleep(HEARTBEAT_S)
