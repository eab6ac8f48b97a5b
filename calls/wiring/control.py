"""What other processes, and the admin's pages, have to say to the calls of this one.

Messages are small dictionaries: `{"v": 1, "tell": "end_call", "call_id": …, "reason": …}`,
`{"v": 1, "tell": "site_changed", "site": …}` and `{"v": 1, "tell": "wake", "kind": …}`. They never
hold sound or words. A message may get lost; then what stands on the rows is found a little later.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from calls.conf import calls_settings
from calls.domain.errors import EndReason
from calls.models import Conversation, ConversationStatus
from calls.store.database import after_commit
from calls.store.wakers import wake_here
from calls.wiring import guard
from calls.wiring.control_line import SEND_S, ControlLine, say_once, shared_layer

logger = logging.getLogger(__name__)

VERSION = 1
LONGEST = 100

_sender = ThreadPoolExecutor(1, thread_name_prefix="calls-control")


@dataclass(frozen=True, slots=True)
class _Listening:
    loop: asyncio.AbstractEventLoop
    line: ControlLine | None


_listening: list[_Listening] = []


def end_call(call_id: str, reason: EndReason = EndReason.STAFF_ENDED) -> bool:
    """Have a call ended, in whichever process it runs; for threads that may use the database.

    Returns:
        False: there is no such call, or it is over.

    Raises:
        DatabaseError: the database cannot be asked.
    """
    live = Conversation.objects.filter(pk=call_id, status=ConversationStatus.ACTIVE)
    if not live.update(end_asked=reason):
        return False
    message = {"v": VERSION, "tell": "end_call", "call_id": call_id, "reason": reason.value}
    after_commit(lambda: send(message))
    return True


def site_changed(slug: str) -> None:
    """Somebody changed what a site or an agent may do: calls that go on are looked at again."""
    message = {"v": VERSION, "tell": "site_changed", "site": slug}
    after_commit(lambda: send(message))


def wake_others(kind: str) -> None:
    """Where workers do the work, have them look for work of that kind at once."""
    if calls_settings().background != "worker":
        return
    message = {"v": VERSION, "tell": "wake", "kind": kind}
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        after_commit(lambda: _publish(message))
    else:
        _publish(message)


def send(message: Mapping[str, Any]) -> None:
    """Tell all processes, this one included. From any thread; never waits longer than a second.

    Never raises: what cannot be said now is lost.
    """
    for listening in tuple(_listening):
        with suppress(RuntimeError):  # its loop is closed
            listening.loop.call_soon_threadsafe(take, message)
    _publish(message)


def take(message: Mapping[str, Any]) -> None:
    """Do what a message says; on the event loop of the calls. What is not understood is ignored."""
    told = message.get("tell")
    if message.get("v") != VERSION or not isinstance(told, str) or told not in _HANDLERS:
        return
    names, handle = _HANDLERS[told]
    values = [message.get(name) for name in names]
    if not all(isinstance(value, str) and 0 < len(value) <= LONGEST for value in values):
        logger.warning("A control message was malformed", extra={"tell": told})
        return
    try:
        handle(*values)
    except Exception as error:  # noqa: BLE001 - the next message is heard whatever this one did
        extra = {"tell": told, "error": type(error).__name__}
        logger.error("A control message could not be obeyed", extra=extra)  # noqa: TRY400


async def listen() -> None:
    """Hear what the others say until cancelled, whether the line to them is up or not."""
    layer = shared_layer()
    line = None if layer is None else ControlLine(layer, take)
    listening = _Listening(asyncio.get_running_loop(), line)
    _listening.append(listening)
    try:
        if line is None:
            await asyncio.Event().wait()
        else:
            await line.run()
    finally:
        _listening.remove(listening)


def _publish(message: Mapping[str, Any]) -> None:
    """Have the line of this process say it; without one, say it from a thread."""
    for loop, line in ((entry.loop, entry.line) for entry in tuple(_listening)):
        if line is not None:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(line.put, message)
        return
    layer = shared_layer()
    if layer is None:
        return
    said = _sender.submit(lambda: asyncio.run(say_once(layer, message)))
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        with suppress(Exception):
            said.result(SEND_S)


def _end(call_id: str, reason: str) -> None:
    guard.end_call(call_id, EndReason(reason))


def _look_at_site(_slug: str) -> None:
    guard.look_now()


_HANDLERS: Mapping[str, tuple[tuple[str, ...], Callable[..., None]]] = {
    "end_call": (("call_id", "reason"), _end),
    "site_changed": (("site",), _look_at_site),
    "wake": (("kind",), wake_here),
}
"""What can be told: the fields, all of them texts, and what is done."""
