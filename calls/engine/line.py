"""The call's line to its client: one after another, and none waits for another."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

from calls.domain import effects as do
from calls.domain.errors import EndReason, ErrorCode
from calls.engine.lanes import Lane
from calls.ports.client import AudioEnd, AudioFrame, Client, Outgoing

CLIENT_JOBS = 512
"""A client that takes nothing of so many messages has gone."""

LAST_WORD_MS = 1_000
"""How long a client may take to hear why it is let go."""

CUT_WORD_MS = 200
CUT_CLOSE_MS = 100
"""The same for one whose call is cut, and then for the closing of its socket."""

END_CODE = 1000
GONE_CODE = 4408
TAKEN_OVER_CODE = 4409
RESTART_CODE = 4512

Start = Callable[[Coroutine[Any, Any, None]], Callable[[], object]]


class Line:
    """Messages to the client of the moment, in order; without one they are dropped.

    Args:
        overflow: the client takes nothing any more.
    """

    def __init__(self, *, overflow: Callable[[], None]) -> None:
        self._overflow = overflow
        self.client: Client | None = None
        self._lane = self._lane_to(None, CLIENT_JOBS)
        self._start: Start | None = None
        self._stop: Callable[[], object] = lambda: None
        self._told_end = False

    def begin(self, start: Start) -> None:
        """Send from now on, in the tasks that `start` starts."""
        self._start = start
        self._stop = start(self._lane.drain())

    def end(self) -> None:
        """Send nothing more. The client stays until `close`."""
        self._start = None

    def lead_to(self, client: Client | None, *, shown: int = 0) -> None:
        """What waits for the former client waits no longer, nor does what it does not take.

        Args:
            shown: how many messages more than usual this one is sent at once.
        """
        self.client = client
        self._lane = self._lane_to(client, CLIENT_JOBS + shown)
        self._stop()
        if self._start is not None:
            self._stop = self._start(self._lane.drain())

    def __len__(self) -> int:
        """How many messages wait for the client."""
        return len(self._lane)

    def put(self, message: Outgoing) -> None:
        if self.client is not None:
            self._lane.put(message)

    def clear(self, effect: do.ClearAudio) -> None:
        """Say so; what still waits of this response is part of what must not be heard."""
        self._lane.remove(
            lambda m: isinstance(m, AudioFrame | AudioEnd) and m.response_id == effect.response_id
        )
        self.put(effect)

    def let_go(self, client: Client, close_code: int, why: do.SendError | None = None) -> None:
        """Close the socket of a client that is not the call's any more."""
        if self._start is not None:
            self._start(_dismiss(client, close_code, *([] if why is None else [why])))

    async def idle(self) -> None:
        """Wait until everything was taken."""
        await self._lane.idle()

    async def tell_failure(self, reason: EndReason) -> None:
        """The last words of a call that cannot go on, past everything that waits."""
        if self.client is not None:
            message = "Something went wrong; the call has to end."
            why = do.SendError(ErrorCode.INTERNAL, message)
            await _tell(self.client, why, do.EndCall(reason))

    async def close(self, reason: EndReason) -> None:
        """Close the client's socket, because the call is over for this reason."""
        client, self.client = self.client, None
        if client is not None:
            restarted = reason is EndReason.RESTARTED
            await client.close(RESTART_CODE if restarted else END_CODE)

    async def cut(self, reason: EndReason) -> None:
        """Say that the call is over, past everything that waits, and close the client's socket.

        Takes a fraction of a second, whatever the client does or does not.
        """
        client, self.client = self.client, None
        self._stop()
        if client is None:
            return
        if not self._told_end:
            await _tell(client, do.EndCall(reason), within_ms=CUT_WORD_MS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CUT_CLOSE_MS / 1000):
                await client.close(END_CODE)

    def _lane_to(self, client: Client | None, room: int) -> Lane[Outgoing]:
        async def send(message: Outgoing) -> None:
            if client is not None:
                await client.send(message)
                self._told_end = self._told_end or isinstance(message, do.EndCall)

        return Lane(send, limit=room, overflow=lambda _lane, _job: self._overflow())


async def _dismiss(client: Client, close_code: int, *words: Outgoing) -> None:
    await _tell(client, *words)
    await client.close(close_code)


async def _tell(client: Client, *words: Outgoing, within_ms: int | None = None) -> None:
    within_ms = LAST_WORD_MS if within_ms is None else within_ms
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_ms / 1000):
            for word in words:
                await client.send(word)
