"""What a response of a realtime session consists of: messages and function calls."""

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tests.doubles.providers.openai_realtime_items import visible
from tests.doubles.providers.openai_realtime_script import BYTES_PER_MS, CallsTool

if TYPE_CHECKING:
    from tests.doubles.providers.openai_realtime_responses import Response

ARGUMENTS_PIECE = 8


class Message:
    """What the model says: the only part of its item."""

    def __init__(self, response: "Response", place: int) -> None:
        self._response = response
        self._texts = response.text_only
        part = {"type": "output_text", "text": ""}
        if not self._texts:
            part = {"type": "output_audio", "transcript": ""}
        self.item: dict[str, Any] = _item(response, "message") | {"role": "assistant"}
        self.item |= {"content": [part], "audio_ms": 0}
        self._where = {"item_id": self.item["id"], "output_index": place}
        self._kind = "output_text" if self._texts else "output_audio_transcript"

    def begin(self) -> None:
        _added(self._response, self.item | {"content": []}, self.item, self._where["output_index"])
        self._emit("response.content_part.added", part=self._part())

    def text(self, piece: str) -> None:
        part = self.item["content"][0]
        key = "text" if self._texts else "transcript"
        part[key] = part.get(key, "") + piece
        self._emit(f"response.{self._kind}.delta", delta=piece)

    def sound(self, pcm: bytes) -> None:
        session, item_id = self._response.session, self.item["id"]
        session.responses.has_spoken = True
        self._response.spoken_ms += len(pcm) // BYTES_PER_MS
        heard = session.conversation.audio.get(item_id, b"") + pcm
        session.conversation.audio[item_id] = heard
        self.item["audio_ms"] = len(heard) // BYTES_PER_MS
        self._emit("response.output_audio.delta", delta=base64.b64encode(pcm).decode())

    def end(self, status: str) -> None:
        said = text_of(self.item)
        if self._texts:
            self._emit("response.output_text.done", text=said)
        else:
            self._emit("response.output_audio.done")
            self._emit("response.output_audio_transcript.done", transcript=said)
        self._emit("response.content_part.done", part=self._part())
        _done(self._response, self.item, status, self._where["output_index"])

    def _emit(self, kind: str, **fields: Any) -> None:
        self._response.emit(kind, **self._where, content_index=0, **fields)

    def _part(self) -> dict[str, str]:
        said = text_of(self.item)
        if self._texts:
            return {"type": "text", "text": said}
        return {"type": "audio", "transcript": said}


class Call:
    """A function call: the only content of its item."""

    def __init__(self, response: "Response", call: CallsTool, place: int) -> None:
        self._response = response
        self._arguments = call.arguments
        call_id = call.call_id or response.session.new_id("call")
        self.item: dict[str, Any] = _item(response, "function_call")
        self.item |= {"name": call.name, "call_id": call_id, "arguments": ""}
        self._where = {"item_id": self.item["id"], "output_index": place, "call_id": call_id}

    def begin(self) -> None:
        _added(self._response, self.item, self.item, self._where["output_index"])

    def pieces(self) -> None:
        for at in range(0, len(self._arguments), ARGUMENTS_PIECE):
            piece = self._arguments[at : at + ARGUMENTS_PIECE]
            self.item["arguments"] += piece
            kind = "response.function_call_arguments.delta"
            self._response.emit(kind, **self._where, delta=piece)

    def end(self, status: str) -> None:
        kind, said = "response.function_call_arguments.done", self.item["arguments"]
        self._response.emit(kind, **self._where, name=self.item["name"], arguments=said)
        _done(self._response, self.item, status, self._where["output_index"])


def _item(response: "Response", kind: str) -> dict[str, Any]:
    item_id = response.session.new_id("item")
    return {"id": item_id, "object": "realtime.item", "type": kind, "status": "in_progress"}


def _added(response: "Response", shown: dict[str, Any], kept: dict[str, Any], place: int) -> None:
    response.emit("response.output_item.added", output_index=place, item=visible(shown))
    if not response.beside:
        previous = response.session.conversation.insert(kept)
        response.session.emit_item("added", shown, previous)


def _done(response: "Response", item: dict[str, Any], status: str, place: int) -> None:
    item["status"] = status
    response.emit("response.output_item.done", output_index=place, item=visible(item))
    if not response.beside:
        items = response.session.conversation.items
        at = items.index(item) if item in items else 0
        response.session.emit_item("done", item, items[at - 1]["id"] if at else None)


def text_of(item: Mapping[str, Any]) -> str:
    parts = item.get("content") or ()
    told = [part.get("transcript") or part.get("text") or "" for part in parts]
    return " ".join([*told, item.get("output") or ""]).strip(" ") if len(parts) != 1 else told[0]
