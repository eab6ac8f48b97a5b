"""Items that a client writes: into the conversation, or as the input of one answer."""

from typing import Any

from calls.domain.items import Item, Role, Source
from calls.wire.realtime.items import Entry, Items
from calls.wire.realtime.reading import Fields
from calls.wire.realtime.refusal import NOT_ALLOWED, Refusal, invalid, missing

MOST_PARTS = 100
MOST_INPUT = 500
ROLES = {"user": Role.USER, "assistant": Role.AGENT, "system": Role.SYSTEM}
_TEXTS = ("input_text", "text", "output_text")
_SOUNDS = ("input_audio", "audio", "output_audio")
UNREAD = {
    "input_audio": "[audio]",
    "audio": "[audio]",
    "output_audio": "[audio]",
    "input_image": "[image]",
}
"""What stands in the conversation for what is not looked into."""


def read_item(item: Fields, item_id: str) -> Entry:
    """A message, a function call or its output, complete as it stands.

    Raises:
        Refusal: it is none of them.
    """
    kinds = {"message": _message, "function_call": _call, "function_call_output": _output}
    kind = item.one_of("type", tuple(kinds)) or "message"
    status = item.one_of("status", ("completed", "incomplete", "in_progress"))
    fields = {
        "id": item.name("id") or item_id,
        "object": "realtime.item",
        "type": kind,
        "status": "completed" if status == "in_progress" or status is None else status,
        **kinds[kind](item),
    }
    return Entry(fields)


def only_the_caller(entry: Entry, item: Fields) -> None:
    """Of a client that may not say what the agent is.

    Raises:
        Refusal: the item is anything but words of the caller.
    """
    if entry.fields["type"] != "message" or entry.fields["role"] != "user":
        message = "This secret allows messages of the user alone."
        raise Refusal(NOT_ALLOWED, message, item.path or None)


def _message(item: Fields) -> dict[str, Any]:
    role = item.one_of("role", tuple(ROLES))
    if role is None:
        raise missing(item.at("role"))
    content = item.values.get("content")
    if isinstance(content, str):
        item = Fields({"content": [{"type": "input_text", "text": content}]}, item.path)
    parts = item.objects("content", most=MOST_PARTS)
    if parts is None:
        raise missing(item.at("content"))
    return {"role": role, "content": [_part(part, role) for part in parts]}


def _part(part: Fields, role: str) -> dict[str, Any]:
    kind = part.one_of("type", (*_TEXTS, *_SOUNDS, "input_image"))
    if kind is None:
        raise missing(part.at("type"))
    agents = role == "assistant"
    if kind not in _TEXTS and role == "system":
        raise invalid(part.at("type"), "`input_text`")
    if kind in _TEXTS:
        return {"type": "output_text" if agents else "input_text", "text": part.required("text")}
    if kind == "input_image":
        return {"type": kind}
    # The sound itself is not kept. Clients trip over a user's part without the key, and over an
    # agent's with null.
    transcript = part.text("transcript")
    if agents:
        return {"type": "output_audio", "transcript": transcript or ""}
    return {"type": "input_audio", "transcript": transcript}


def _call(item: Fields) -> dict[str, Any]:
    return {
        "call_id": item.name("call_id") or "",
        "name": item.required("name", most=64),
        "arguments": item.required("arguments"),
    }


def _output(item: Fields) -> dict[str, Any]:
    call_id = item.name("call_id")
    if call_id is None:
        raise missing(item.at("call_id"))
    return {"call_id": call_id, "output": item.required("output")}


def words_of(entry: Entry) -> str:
    """What a model reads of a message."""
    said = (
        part.get("text") or part.get("transcript") or UNREAD.get(part["type"], "")
        for part in entry.parts
    )
    return "\n".join(text for text in said if text)


def read_input(asked: Fields, items: Items, *, configures: bool) -> tuple[Item, ...] | None:
    """The `input` of an answer as entries of a conversation; None: there is none.

    Raises:
        Refusal: an item is wrong, not allowed, or refers to one that is not there.
    """
    given = asked.objects("input", most=MOST_INPUT)
    if given is None:
        return None
    entries = [_input_entry(item, items, configures) for item in given]
    return as_items(entries)


def _input_entry(item: Fields, items: Items, configures: bool) -> Entry:
    if item.values.get("type") == "item_reference":
        return items.get(item.name("id"), item.at("id"))
    entry = read_item(item, "")
    if not configures:
        only_the_caller(entry, item)
    return entry


def as_items(entries: list[Entry]) -> tuple[Item, ...]:
    """Messages and calls, each call with its output; a call without one is left out."""
    outputs = {
        entry.fields["call_id"]: entry.fields["output"]
        for entry in entries
        if entry.fields["type"] == "function_call_output"
    }
    found: list[Item] = []
    for entry in entries:
        fields, place = entry.fields, len(found) + 1
        if fields["type"] == "message" and (text := words_of(entry)):
            role = ROLES[fields["role"]]
            found.append(Item(place, role, text, turn=0, source=Source.CLIENT))
        elif fields["type"] == "function_call" and fields["call_id"] in outputs:
            found.append(_called(place, fields, outputs[fields["call_id"]]))
    return tuple(found)


def _called(place: int, fields: dict[str, Any], output: str) -> Item:
    return Item(
        place,
        Role.TOOL,
        output,
        turn=0,
        source=Source.CLIENT,
        tool_call_id=fields["call_id"],
        tool_name=fields["name"],
        arguments=fields["arguments"],
    )


def remembered_call(call: Entry, output: str) -> str:
    """A call of an earlier conversation, in words: the engine's calls are those it made itself."""
    name, arguments = call.fields["name"], call.fields["arguments"]
    called = f"Earlier in this conversation the function {name} was called with {arguments}"
    return f"{called} and returned: {output}"


def unknown_call(item: Fields) -> Exception:
    return invalid(item.at("call_id"), "that of a function call in the conversation")
