"""The conversation of a realtime session."""

import base64
import copy
from typing import Any

from tests.doubles.providers.openai_realtime_script import BYTES_PER_MS, RejectedError

CONTENT = {
    "user": ("input_text", "input_audio", "input_image"),
    "system": ("input_text",),
    "assistant": ("output_text",),
}


class Conversation:
    """Items in order, as dicts; an item with audio has its length as `audio_ms`."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []
        self.audio: dict[str, bytes] = {}
        """What was said or heard, by item."""

    def find(self, item_id: Any) -> dict[str, Any] | None:
        return next((item for item in self.items if item["id"] == item_id), None)

    def insert(self, item: dict[str, Any], after: str | None = None) -> str | None:
        """Put it in its place, the end as a rule; gives the id of the item before it."""
        if after is None:
            at = len(self.items)
        elif after == "root":
            at = 0
        elif (before := self.find(after)) is not None:
            at = self.items.index(before) + 1
        else:
            message = f"Item '{after}' does not exist."
            raise RejectedError("item_create_invalid_previous_item_id", message, "previous_item_id")
        previous = self.items[at - 1]["id"] if at else None
        self.items.insert(at, item)
        return previous

    def checked(self, item: Any, new_id: str) -> dict[str, Any]:
        """An item of the client's, as it is kept."""
        if not isinstance(item, dict) or "type" not in item:
            raise RejectedError("missing_required_parameter", "Missing: 'item.type'.", "item.type")
        item_id = item.get("id") or new_id
        if self.find(item_id) is not None:
            raise RejectedError("item_create_duplicate_item_id", "The id is taken.", "item.id")
        _CHECKS.get(item["type"], _no_such_type)(self, item)
        kept = {**copy.deepcopy(item), "id": item_id, "object": "realtime.item"}
        return kept | ({"status": "completed"} if item["type"] != "function_call_output" else {})

    def delete(self, item_id: Any) -> None:
        item = self._named(item_id, "delete")
        self.items.remove(item)

    def retrieved(self, item_id: Any) -> dict[str, Any]:
        """As it goes out, with its audio."""
        item = self._named(item_id, "retrieve")
        found = visible(item)
        for part in found.get("content", ()):
            if part["type"] in ("input_audio", "output_audio"):
                part["audio"] = base64.b64encode(self.audio.get(item_id, b"")).decode()
        return found

    def truncate(self, item_id: Any, content_index: Any, end_ms: Any) -> None:
        item = self._named(item_id, "truncate")
        if not isinstance(end_ms, int) or end_ms < 0 or content_index != 0:
            raise RejectedError("invalid_value", "Out of range.", "audio_end_ms")
        if item.get("role") != "assistant" or not item.get("audio_ms"):
            raise RejectedError(None, "Only model output audio messages can be truncated")
        if end_ms > item["audio_ms"]:
            message = f"Audio content of {item['audio_ms']}ms is already shorter than {end_ms}ms"
            raise RejectedError(None, message)
        item["audio_ms"] = end_ms
        item["content"][0].pop("transcript", None)
        self.audio[item_id] = self.audio.get(item_id, b"")[: end_ms * BYTES_PER_MS]

    def _named(self, item_id: Any, verb: str) -> dict[str, Any]:
        if (item := self.find(item_id)) is None:
            message = f"Error: the item with id '{item_id}' does not exist."
            raise RejectedError(f"item_{verb}_invalid_item_id", message, "item_id")
        return item

    def check_message(self, item: dict[str, Any]) -> None:
        kinds = CONTENT.get(item.get("role", ""))
        if kinds is None:
            raise RejectedError("invalid_value", "No such role.", "item.role")
        content = item.get("content")
        if not isinstance(content, list) or not content:
            raise RejectedError("missing_required_parameter", "Missing content.", "item.content")
        for index, part in enumerate(content):
            if part.get("type") not in kinds:
                message = f"Invalid value: '{part.get('type')}'. Supported values are: {kinds}."
                raise RejectedError("invalid_value", message, f"item.content[{index}].type")

    def check_call(self, item: dict[str, Any]) -> None:
        for key in ("name", "arguments"):
            if not isinstance(item.get(key), str):
                raise RejectedError("missing_required_parameter", "Missing.", f"item.{key}")

    def check_output(self, item: dict[str, Any]) -> None:
        if not isinstance(item.get("output"), str):
            raise RejectedError("missing_required_parameter", "Missing.", "item.output")
        called = {i.get("call_id") for i in self.items if i["type"] == "function_call"}
        if item.get("call_id") not in called:
            message = "Tool call ID not found in conversation."
            raise RejectedError("invalid_tool_call_id", message, "item.call_id")


def visible(item: dict[str, Any]) -> dict[str, Any]:
    """The item as it goes out: without our own marks."""
    return {key: copy.deepcopy(value) for key, value in item.items() if key != "audio_ms"}


def _no_such_type(_conversation: Conversation, item: dict[str, Any]) -> None:
    raise RejectedError("invalid_value", f"Invalid value: '{item['type']}'.", "item.type")


_CHECKS = {
    "message": Conversation.check_message,
    "function_call": Conversation.check_call,
    "function_call_output": Conversation.check_output,
}
