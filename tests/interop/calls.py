"""A call as its client saw it, as the record has it, and whether the two agree."""

import asyncio
import json
import time
import wave
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from calls.audio.resample import Resampler
from calls.domain.audio import CALLER, SAMPLE_BYTES
from tests.server.stored import Stored
from tests.servers import RealServer

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"

# Speech


@cache
def speech(name: str, rate_hz: int = 16_000) -> bytes:
    """An utterance of the fixtures, s16le mono at that rate.

    `hello` is one of `audio`; `callers/friday` one of those that the offline recogniser understands
    word by word.
    """
    place = name if "/" in name else f"audio/{name}"
    with wave.open(str(FIXTURES / f"{place}.wav"), "rb") as wav:
        assert (wav.getframerate(), wav.getnchannels()) == (CALLER.rate_hz, 1)
        pcm = wav.readframes(wav.getnframes())
    resampler = Resampler(CALLER.rate_hz, rate_hz)
    return resampler.feed(pcm) + resampler.flush()


def silence(ms: int, rate_hz: int = 16_000) -> bytes:
    return bytes(rate_hz * ms // 1000 * SAMPLE_BYTES)


def pieces(data: bytes, size_bytes: int) -> list[bytes]:
    """All of it in pieces of that size, the last one shorter."""
    return [data[at : at + size_bytes] for at in range(0, len(data), size_bytes)]


async def at_pace(pcm: bytes, rate_hz: int, frame_ms: int = 20) -> AsyncIterator[bytes]:
    """Frames of that length, each when a microphone would have it."""
    began_s = time.monotonic()
    for number, frame in enumerate(pieces(pcm, rate_hz * frame_ms // 1000 * SAMPLE_BYTES)):
        due_s = began_s + (number + 1) * frame_ms / 1000
        await asyncio.sleep(max(0, due_s - time.monotonic()))
        yield frame


# What was seen


@dataclass(slots=True)
class Seen:
    """What a client knows of its call. What its protocol does not tell stays None.

    Attributes:
        greeting: what the agent said first, unasked.
        user: what was understood of the caller, or typed, or pressed; in order.
        agent: everything the agent said after the greeting; in order. Of an interrupted answer
            what was shown, which may be more than was heard, or less than was meant.
        tools: name and arguments of each tool call that the client was told of.
        end: reason of the end.
    """

    greeting: str | None = None
    user: list[str] | None = None
    agent: list[str] | None = None
    tools: list[tuple[str, Any]] | None = None
    end: str | None = None


@dataclass(slots=True)
class Record:
    """A call on the record of a server.

    `agent` are all words of the agent, `heard` how much of each was heard, in the same order.
    """

    conversation: dict[str, Any]
    items: list[dict[str, Any]]
    user: list[str] = field(init=False)
    agent: list[str] = field(init=False)
    heard: list[str] = field(init=False)
    tools: list[tuple[str, Any]] = field(init=False)

    def __post_init__(self) -> None:
        said = [item for item in self.items if item["role"] == "agent"]
        self.user = [item["text"] for item in self.items if item["role"] == "user"]
        self.agent = [item["text"] + item["unheard"] for item in said]
        self.heard = [item["text"] for item in said]
        self.tools = [
            (item["tool_name"], json.loads(item["arguments"] or "{}"))
            for item in self.items
            if item["role"] == "tool"
        ]

    @property
    def call_id(self) -> str:
        return str(self.conversation["call_id"])

    @property
    def metadata(self) -> dict[str, Any]:
        metadata: dict[str, Any] = json.loads(self.conversation["metadata"])
        return metadata

    def interrupted(self) -> list[dict[str, Any]]:
        """The answers that were cut short."""
        return [item for item in self.items if item["status"] == "interrupted"]


class Records:
    """The calls of a server that began after this was made."""

    def __init__(self, server: RealServer) -> None:
        self.stored = Stored(server.var_dir)
        self._before = set(self._ids())

    def _ids(self) -> list[str]:
        rows = self.stored.rows("SELECT call_id FROM calls_conversation ORDER BY started_at")
        return [row["call_id"] for row in rows]

    def new(self) -> list[str]:
        """Ids of the calls, oldest first."""
        return [call_id for call_id in self._ids() if call_id not in self._before]

    def only(self, timeout_s: float = 15) -> Record:
        """The one call, once it is over."""
        self.stored.until(lambda: len(self.new()) == 1, timeout_s)
        return self.ended(self.new()[0], timeout_s)

    def ended(self, call_id: str, timeout_s: float = 15) -> Record:
        """The call of that id, once it is over."""
        conversation = self.stored.ended(call_id, timeout_s)
        return Record(conversation, list(self.stored.items(call_id).values()))


def agree(seen: Seen, record: Record) -> None:
    """The record has what the client saw, in the same order, and nothing that it did not see."""
    agent = [] if seen.greeting is None else [seen.greeting]
    if seen.agent is not None:
        agent += seen.agent
        assert len(agent) == len(record.agent), (agent, record.agent)
    for shown, whole, heard in zip(agent, record.agent, record.heard, strict=False):
        assert _plain(whole).startswith(_plain(shown)), (shown, whole)
        assert _plain(shown).startswith(_plain(heard)), (shown, heard)
    if seen.user is not None:
        assert [_plain(text) for text in seen.user] == [_plain(text) for text in record.user]
    if seen.tools is not None:
        assert seen.tools == record.tools
    if seen.end is not None:
        assert seen.end == record.conversation["end_reason"]


def _plain(text: str) -> str:
    return " ".join(text.split())
