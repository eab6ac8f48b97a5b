"""What the rows of `tests/vectors/micdrop.json` say, as things of the code."""

import json
from pathlib import Path

from calls.domain import effects as do
from calls.domain import events as ev
from calls.domain.audio import AGENT
from calls.domain.errors import EndReason, ErrorCode
from calls.domain.items import Item, ItemStatus, Role
from calls.ports.client import AudioEnd, AudioFrame
from calls.wire.base import ClientAudio, EncodedAudio, Knock
from calls.wire.micdrop.codec import Micdrop

ROOT = Path(__file__).resolve().parents[2]
ROWS = json.loads((ROOT / "tests/vectors/micdrop.json").read_text())


def codec_for(row):
    """A codec as the row's address, or its agent, has it."""
    query = dict(row.get("query", {}))
    if "version" in row:
        query.setdefault("v", row["version"])
    codec = Micdrop(Knock(query=query))
    if "assume" in row:
        codec.assume(row["assume"])
    return codec


# From the client


def frame_of(said):
    """A frame: text as it is, or an object with `hex` or `size` and `begins`."""
    if isinstance(said, str):
        return said
    if "hex" in said:
        return bytes.fromhex(said["hex"])
    return bytes.fromhex(said.get("begins", "")).ljust(said["size"], b"\1")


PLAIN = {
    ev.TalkStarted: lambda _m: "speaks",
    ev.TalkStopped: lambda _m: "has spoken",
    ev.TurnDropped: lambda m: "takes it back for good" if m.unanswered else "takes it back",
    ClientAudio: lambda m: {"pcm": len(m.pcm)},
    EncodedAudio: lambda m: {"file": len(m.data)},
}


def plain(received):
    """What was received, in the words of the rows."""
    return [PLAIN[type(inbound)](inbound) for inbound in received.inbound]


# From the server

ITEM = {
    "user": lambda m: {"role": Role.USER},
    "agent": lambda m: {"role": Role.AGENT, "response_id": m.get("response", 1)},
    "tool": lambda m: {
        "role": Role.TOOL,
        "response_id": m.get("response", 1),
        "tool_call_id": m.get("call", "call_1"),
        "tool_name": m["tool"],
        "arguments": m.get("arguments", "{}"),
    },
}


def item_of(said):
    kind = next(kind for kind in ITEM if kind in said)
    return Item(
        item_id=said["id"],
        text=said.get("output", "") if kind == "tool" else said[kind],
        turn=1,
        status=ItemStatus(said.get("status", "complete")),
        unheard=said.get("unheard", ""),
        metadata=said.get("metadata", {}),
        **ITEM[kind](said),
    )


EFFECTS = {
    "text": lambda m: do.SendResponseText(m.get("response", 1), m["text"], 0),
    "sound_ms": lambda m: AudioFrame(
        m.get("response", 1), 0, b"\x10\x04" * AGENT.samples(m["sound_ms"])
    ),
    "sound_end": lambda m: AudioEnd(m["sound_end"], 0),
    "clear": lambda m: do.ClearAudio(m["clear"]),
    "made": lambda m: do.SendResponseMade(m.get("response", 1), 0, do.Outcome(m["made"])),
    "phase": lambda m: do.SendPhase(do.Phase(m["phase"])),
    "id": lambda m: do.SendItem(item_of(m)),
    "end_call": lambda m: do.EndCall(EndReason(m["end_call"])),
    "error": lambda m: do.SendError(ErrorCode(m["error"]), "It went wrong."),
}


def message_of(said):
    return EFFECTS[next(key for key in EFFECTS if key in said)](said)


def shown(frames):
    """Frames in the words of the rows: of sound its kind, and how much it is."""
    return [frame if isinstance(frame, str) else _sound(frame) for frame in frames]


def _sound(frame):
    if frame[:1] == b"\xff" and frame[1] >= 0xE0:
        return "an MP3"
    return {"pcm": len(frame)}


def done(codec, step):
    """Do what a step says: a client's frame, or a server's message; the frames that come of it."""
    if isinstance(step, dict) and "from" not in step:
        return codec.send(message_of(step))
    return codec.receive(frame_of(step["from"] if isinstance(step, dict) else step)).replies
