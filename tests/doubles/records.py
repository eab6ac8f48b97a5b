"""A call's record and its recording, in memory."""

import asyncio
from dataclasses import dataclass

from calls.domain.audio import AGENT, CALLER, AudioFormat
from calls.domain.errors import EndReason
from calls.domain.items import Item
from calls.domain.timings import Turn
from calls.domain.usage import ServiceUse


class MemoryRecords:
    """`CallRecords` that a test can slow down: nothing is stored while `open` is not set."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.items: dict[int, Item] = {}
        self.turns: dict[int, Turn] = {}
        self.uses: dict[int, ServiceUse] = {}
        self.reason: EndReason | None = None
        self.duration_ms = 0
        self.finishes = 0
        self.fails_with: Exception | None = None

    async def store_item(self, item: Item) -> None:
        await self._write()
        self.items[item.item_id] = item

    async def store_turn(self, turn: Turn) -> None:
        await self._write()
        self.turns[turn.turn] = turn

    async def store_use(self, use: ServiceUse) -> None:
        await self._write()
        self.uses[use.number] = use

    async def finish(self, reason: EndReason, *, duration_ms: int) -> None:
        self.finishes += 1
        self.reason, self.duration_ms = reason, duration_ms

    async def _write(self) -> None:
        await self.open.wait()
        if self.fails_with is not None:
            raise self.fails_with


@dataclass(frozen=True)
class Piece:
    start_ms: int
    pcm: bytes


class MemoryRecording:
    """`RecordingSink` that keeps what it was given, and lays it out by the port's rules."""

    def __init__(self) -> None:
        self.pieces: dict[str, list[Piece]] = {"caller": [], "agent": []}
        self.end_ms: int | None = None
        self.closes = 0

    def caller(self, start_ms: int, pcm: bytes) -> None:
        self.pieces["caller"].append(Piece(start_ms, pcm))

    def agent(self, start_ms: int, pcm: bytes) -> None:
        self.pieces["agent"].append(Piece(start_ms, pcm))

    async def close(self, end_ms: int) -> None:
        self.closes += 1
        self.end_ms = end_ms

    def laid_out(self, side: str) -> bytes:
        """One side of the call: gaps are silence, overlaps dropped."""
        track = bytearray()
        sound = _FORMATS[side]
        for piece in self.pieces[side]:
            at = sound.bytes(piece.start_ms)
            track += bytes(max(0, at - len(track)))
            track += piece.pcm[len(track) - at :]
        return bytes(track)

    def sound_at(self, side: str, ms: int) -> bytes:
        """The millisecond of that side which begins at `ms`."""
        sound = _FORMATS[side]
        return self.laid_out(side)[sound.bytes(ms) : sound.bytes(ms + 1)]


_FORMATS: dict[str, AudioFormat] = {"caller": CALLER, "agent": AGENT}
