"""Sockets of ElevenLabs' text to speech, each with a few contexts: one for every piece of text."""

import asyncio
import base64
import binascii
import itertools
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from calls.domain.events import Stage
from calls.ports.clock import Clock
from calls.ports.errors import ProviderError, ProviderFault
from calls.providers.elevenlabs.alignment import socket_timing
from calls.providers.elevenlabs.faults import event_error, fault, socket_error
from calls.providers.elevenlabs.piece import Order, Piece
from calls.providers.elevenlabs.sound import Chunk
from calls.sockets import JsonSocket, SocketError, json_socket

MOST_OPEN = 4
"""The service allows five; the sixth ends the socket and all that is on it."""

KEEP_ALIVE_MS = 10_000
"""After so long without a word from us: a third of the time after which the service hangs up."""

FORGET_MS = 10_000
"""A context that nobody listens to counts as open for so long, unless its end is told before."""

SILENT_MS = 1_000
"""A socket on which nothing comes for so long, though a piece waits, may have nothing more to say:
when that piece is left, the next one gets another socket."""

OPENINGS = 3

Loss = Callable[[], ProviderError]
_LOST: Loss = partial(fault, ProviderFault.UNAVAILABLE, stage=Stage.TTS)
_SILENT: Loss = partial(fault, ProviderFault.TIMEOUT, stage=Stage.TTS)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a socket leads. `headers` hold the key."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    clock: Clock


class Line:
    """What leads to one voice in one language: a socket, and another one when it was lost.

    Args:
        start: starts a task that lives no longer than the call.
    """

    def __init__(self, place: Place, start: Callable[[Coroutine[Any, Any, None]], object]) -> None:
        self._place = place
        self._start = start
        self._connection: Connection | None = None

    def warm(self) -> "Connection":
        """Connect in the background, if there is no connection."""
        if self._connection is None or self._connection.lost:
            self._connection = Connection(self._place)
            self._start(self._connection.run())
        return self._connection

    @asynccontextmanager
    async def piece(self, order: Order) -> AsyncIterator[Piece]:
        """Have it said, as soon as there is room; leaving the context stops it.

        Raises:
            ProviderError: there is no connection to be had.
        """
        connection = await self._with_room()
        piece = connection.begin(order)
        try:
            yield piece
        finally:
            connection.leave(piece)

    async def _with_room(self) -> "Connection":
        for _ in range(OPENINGS):
            connection = self.warm()
            await connection.opened()
            if await connection.room():
                return connection
        raise fault(ProviderFault.UNAVAILABLE, stage=Stage.TTS)


class Connection:
    """One socket, from its handshake to its loss.

    One task of its own reads it, and another one writes: a piece that is left never has to wait to
    say so.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._open: dict[str, Piece] = {}
        self._forgets: dict[str, Callable[[], None]] = {}
        self._numbers = itertools.count(1)
        # None keeps the socket alive. Besides one of these only pieces wait that count as open.
        self._outbox: asyncio.Queue[Piece | None] = asyncio.Queue(MOST_OPEN + 1)
        self._changed = asyncio.Event()
        self._loss: Loss | None = None
        self._was_open = False
        self._heard_ms = place.clock.now_ms()

    @property
    def lost(self) -> bool:
        return self._loss is not None

    async def run(self) -> None:
        """Connect, and serve to the end; whatever goes wrong is told to the pieces."""
        try:
            async with json_socket(self._place.url, headers=self._place.headers) as socket:
                await self._serve(socket)
        except SocketError as error:
            self._lose(partial(socket_error, error, stage=Stage.TTS))
        except Exception:  # noqa: BLE001 - would end the call, of which this is a small part
            self._lose(partial(fault, ProviderFault.INVALID, stage=Stage.TTS))
        finally:
            self._lose(_LOST)

    async def opened(self) -> None:
        """Wait for the handshake.

        Raises:
            ProviderError: it failed.
        """
        while not self._was_open and self._loss is None:
            await self._change()
        if not self._was_open and self._loss is not None:
            raise self._loss()

    async def room(self) -> bool:
        """Wait until another piece may be begun; False: it was lost before."""
        while len(self._open) >= MOST_OPEN and not self.lost:
            await self._change()
        return not self.lost

    def begin(self, order: Order) -> Piece:
        """Have a piece said. There has to be `room`."""
        piece = Piece(f"piece-{next(self._numbers)}", order, self._place.clock)
        self._open[piece.context_id] = piece
        self._outbox.put_nowait(piece)
        return piece

    def leave(self, piece: Piece) -> None:
        """Nobody listens any more. Its context was closed when its text was sent."""
        piece.abandon()
        if not piece.sent or piece.context_id not in self._open:
            return
        if self._place.clock.now_ms() - self._heard_ms >= SILENT_MS:
            self._lose(_SILENT)
            if not self._outbox.full():
                self._outbox.put_nowait(None)  # to wake who closes it
            return
        due_ms = self._place.clock.now_ms() + FORGET_MS
        free = partial(self._free, piece.context_id)
        self._forgets[piece.context_id] = self._place.clock.call_at(due_ms, free)

    async def _serve(self, socket: JsonSocket) -> None:
        self._was_open = True
        self._tell()
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(self._write(socket))
            try:
                async for message in socket.messages():
                    self._take(message)
                    if self.lost:
                        break
            except SocketError as error:
                self._lose(partial(socket_error, error, stage=Stage.TTS))
            finally:
                writing.cancel()

    async def _write(self, socket: JsonSocket) -> None:
        clock = self._place.clock
        while True:
            keep_alive = partial(self._outbox.put_nowait, None)
            forget = clock.call_at(clock.now_ms() + KEEP_ALIVE_MS, keep_alive)
            try:
                await self._send(socket, await self._outbox.get())
            except SocketError:
                return  # the reader tells why
            finally:
                forget()

    async def _send(self, socket: JsonSocket, piece: Piece | None) -> None:
        if self.lost:
            await socket.close()
        elif piece is None:
            # Of no context: as the first message of one it would forbid settings in the second.
            # Should it open a context of no name, that is the fifth.
            await socket.send({"text": ""})
        elif piece.abandoned:
            self._free(piece.context_id)
        else:
            piece.sent, self._heard_ms = True, self._place.clock.now_ms()
            for message in piece.messages():
                await socket.send(message)

    def _take(self, message: Mapping[str, Any]) -> None:
        self._heard_ms = self._place.clock.now_ms()
        context_id = message.get("contextId") or message.get("context_id")
        piece = self._open.get(context_id) if isinstance(context_id, str) else None
        if message.get("error"):
            told = partial(event_error, message["error"], stage=Stage.TTS)
            if context_id is None:
                self._lose(told)
            elif piece is not None:
                piece.fail(told())
        elif piece is not None:
            self._feed(piece, message)

    def _feed(self, piece: Piece, message: Mapping[str, Any]) -> None:
        try:
            audio = base64.b64decode(message.get("audio") or "", validate=True)
        except (binascii.Error, ValueError, TypeError):
            piece.fail(fault(ProviderFault.INVALID, stage=Stage.TTS))
            return
        timing = socket_timing(message)
        if audio or timing.given or timing.spelled:
            piece.put(Chunk(audio, timing))
        if message.get("isFinal") or message.get("is_final"):
            piece.finish()
            self._free(piece.context_id)

    def _free(self, context_id: str) -> None:
        self._open.pop(context_id, None)
        self._forgets.pop(context_id, lambda: None)()
        self._tell()

    def _lose(self, loss: Loss) -> None:
        """It is of no further use; only the first reason counts."""
        if self._loss is not None:
            return
        self._loss = loss
        for piece in tuple(self._open.values()):
            piece.fail(loss())
            self._free(piece.context_id)
        self._tell()

    def _tell(self) -> None:
        self._changed.set()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
