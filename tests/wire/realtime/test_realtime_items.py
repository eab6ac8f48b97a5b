"""Items: given, asked for, cut and taken out."""

import pytest

from calls.domain import events as ev
from calls.domain.items import Role
from calls.wire.realtime import Grant
from calls.wire.realtime.items import MOST_ITEMS
from tests.wire.realtime.driving import BETA, GA, Wire, valid


def message(text="Hi.", role="user", **fields):
    kind = "output_text" if role == "assistant" else "input_text"
    content = [{"type": kind, "text": text}]
    return {"type": "message", "role": role, "content": content, **fields}


def create(wire, item, **fields):
    return wire.tell("conversation.item.create", item=item, **fields)


@pytest.mark.parametrize("dialect", [GA, BETA], ids=str)
@pytest.mark.parametrize(
    ("role", "means"), [("user", Role.USER), ("assistant", Role.AGENT), ("system", Role.SYSTEM)]
)
def test_a_message_is_given(dialect, role, means):
    wire = Wire(dialect)
    inbound, replies = create(wire, message(role=role, id="mine"))
    assert inbound == [ev.EntryGiven(role=means, text="Hi.", ref="mine")]
    names = [event["type"] for event in replies]
    if dialect is GA:
        assert names == ["conversation.item.added", "conversation.item.done"]
    else:
        assert names == ["conversation.item.created"]
    for event in replies:
        valid(dialect, event)
        assert event["previous_item_id"] is None
        assert event["item"]["status"] == "completed"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("Plain.", "Plain."),
        ([{"type": "input_text", "text": "A"}, {"type": "text", "text": "B"}], "A\nB"),
        ([{"type": "input_audio", "audio": "AAAA", "transcript": "Said."}], "Said."),
        ([{"type": "input_audio", "audio": "AAAA"}], "[audio]"),
        ([{"type": "input_image", "image_url": "data:,"}], "[image]"),
    ],
)
def test_what_a_model_reads_of_it(content, text):
    wire = Wire()
    inbound, replies = create(wire, {"type": "message", "role": "user", "content": content})
    (given,) = inbound
    assert given.text == text
    assert given.ref == replies[0]["item"]["id"]
    for part in replies[0]["item"]["content"]:
        assert part["type"] != "input_audio" or "transcript" in part
        assert "audio" not in part


def test_agents_have_words_and_never_null():
    wire = Wire()
    item = {"type": "message", "role": "assistant", "content": [{"type": "output_audio"}]}
    (given,), (added, _) = create(wire, item)
    assert given.text == "[audio]"
    assert added["item"]["content"] == [{"type": "output_audio", "transcript": ""}]


def test_an_empty_message_is_an_item_and_no_entry():
    wire = Wire()
    inbound, replies = create(wire, message(text=" "))
    assert inbound == []
    assert replies[0]["type"] == "conversation.item.added"


def test_items_stand_in_the_order_in_which_they_came():
    wire = Wire()
    create(wire, message(id="a"))
    create(wire, message(id="b"), previous_item_id="a")
    create(wire, message(id="c"), previous_item_id="root")
    before = [e["previous_item_id"] for e in wire.said if e["type"] == "conversation.item.added"]
    assert before == [None, "a", "b"]


@pytest.mark.parametrize(
    ("item", "fields", "code", "param"),
    [
        (None, {}, "missing_required_parameter", "item"),
        ({"type": "message"}, {}, "missing_required_parameter", "item.role"),
        ({"type": "message", "role": "user"}, {}, "missing_required_parameter", "item.content"),
        ({"type": "mcp_call"}, {}, "invalid_value", "item.type"),
        ({"type": "message", "role": "tool"}, {}, "invalid_value", "item.role"),
        (
            {"type": "message", "role": "user", "content": [{"type": "video"}]},
            {},
            "invalid_value",
            "item.content[0].type",
        ),
        (message("\ud800"), {}, "invalid_value", "item.content[0].text"),
        (message(id=""), {}, "invalid_value", "item.id"),
        (message(id="x" * 65), {}, "invalid_value", "item.id"),
        (message(id="taken"), {}, "invalid_value", "item.id"),
        (message(), {"previous_item_id": "nobody"}, "item_not_found", "previous_item_id"),
        (
            {"type": "function_call_output", "call_id": "c", "output": "o"},
            {},
            "invalid_value",
            "item.call_id",
        ),
        (
            {"type": "function_call_output", "output": "o"},
            {},
            "missing_required_parameter",
            "item.call_id",
        ),
    ],
)
def test_a_wrong_item_is_refused(item, fields, code, param):
    wire = Wire()
    create(wire, message(id="taken"))
    inbound, (refused,) = create(wire, item, event_id="e1", **fields)
    assert inbound == []
    error = refused["error"]
    assert (error["code"], error["param"], error["event_id"]) == (code, param, "e1")


@pytest.mark.parametrize(
    "item",
    [
        pytest.param(message(role="system"), id="instructions"),
        pytest.param(message(role="assistant"), id="words of the agent"),
        pytest.param(
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}, id="a call"
        ),
    ],
)
def test_who_may_not_configure_gives_words_of_the_caller_alone(item):
    wire = Wire(grant=Grant(configures=False))
    inbound, (refused,) = create(wire, item)
    assert inbound == []
    assert refused["error"]["code"] == "not_allowed"
    output = {"type": "function_call_output", "call_id": "c", "output": "Obey."}
    assert create(wire, output)[0] == []
    assert create(wire, message())[0]


def test_functions_of_an_earlier_conversation_are_told_in_words():
    wire = Wire()
    call = {"type": "function_call", "call_id": "c", "name": "weather", "arguments": "{}"}
    assert create(wire, call)[0] == []
    output = {"type": "function_call_output", "call_id": "c", "output": "Rain."}
    (given,), _ = create(wire, output)
    assert given.role is Role.SYSTEM
    assert "weather" in given.text
    assert "Rain." in given.text


def test_an_item_is_shown_again():
    wire = Wire()
    _, (added, _done) = create(wire, message(id="a"))
    inbound, (shown,) = wire.tell("conversation.item.retrieve", item_id="a")
    assert inbound == []
    assert shown["item"] == added["item"]
    valid(GA, shown)


@pytest.mark.parametrize("kind", ["retrieve", "delete", "truncate"])
@pytest.mark.parametrize(
    ("fields", "code"),
    [({"item_id": "no"}, "item_not_found"), ({}, "missing_required_parameter")],
)
def test_what_is_not_there(kind, fields, code):
    wire = Wire()
    inbound, (refused,) = wire.tell(
        f"conversation.item.{kind}", content_index=0, audio_end_ms=0, **fields
    )
    assert inbound == []
    assert (refused["error"]["code"], refused["error"]["param"]) == (code, "item_id")


def item_of(wire, role):
    added = [e["item"] for e in wire.said if e["type"] == "conversation.item.added"]
    return next(item["id"] for item in added if item.get("role") == role)


def test_an_item_is_taken_out():
    wire = Wire()
    wire.caller_speaks(turn=3)
    wire.agent_answers(response_id=5, turn=3)
    create(wire, message(id="mine"))
    removed = []
    for item_id in (item_of(wire, "user"), item_of(wire, "assistant"), "mine"):
        inbound, (deleted,) = wire.tell("conversation.item.delete", item_id=item_id)
        valid(GA, deleted)
        assert deleted["item_id"] == item_id
        removed += inbound
    assert removed == [
        ev.EntryRemoved(turn=3),
        ev.EntryRemoved(response_id=5),
        ev.EntryRemoved(ref="mine"),
    ]
    _, (added, _) = create(wire, message())
    assert added["previous_item_id"] is None


def test_an_answer_is_cut_where_it_was_heard():
    wire = Wire()
    wire.agent_answers(response_id=5, ms=400)
    item_id = item_of(wire, "assistant")
    inbound, (cut,) = wire.tell(
        "conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=150
    )
    assert inbound == [ev.HeardTold(response_id=5, heard_ms=150)]
    assert cut["audio_end_ms"] == 150
    valid(GA, cut)
    _, (shown,) = wire.tell("conversation.item.retrieve", item_id=item_id)
    assert shown["item"]["content"] == [{"type": "output_audio"}]


def test_the_second_round_begins_where_the_first_ended():
    wire = Wire()
    wire.tell(
        "session.update", session={"type": "realtime", "tools": [{"type": "function", "name": "f"}]}
    )
    wire.begins(5)
    wire.do("AudioFrame", response_id=5, start_ms=0, ms=300)
    wire.do("SendTool", tool_call_id="c", name="f", running=True, response_id=5, arguments="{}")
    wire.do("SendResponseMade", response_id=5, round=0, outcome="tools")
    wire.begins(5, rounds=1)
    wire.do("AudioFrame", response_id=5, start_ms=300, ms=200)
    second = wire.last("conversation.item.added")["item"]["id"]
    inbound, _ = wire.tell(
        "conversation.item.truncate", item_id=second, content_index=0, audio_end_ms=120
    )
    assert inbound == [ev.HeardTold(response_id=5, heard_ms=420)]


@pytest.mark.parametrize(
    ("heard_ms", "told"), [(400, 400), (450, 400), (600, None), (-1, None), ("1", None)]
)
def test_no_more_is_heard_than_was_sent(heard_ms, told):
    wire = Wire()
    wire.agent_answers(response_id=5, ms=400)
    inbound, (reply,) = wire.tell(
        "conversation.item.truncate",
        item_id=item_of(wire, "assistant"),
        content_index=0,
        audio_end_ms=heard_ms,
    )
    if told is None:
        assert inbound == []
        assert reply["error"]["param"] == "audio_end_ms"
    else:
        assert inbound == [ev.HeardTold(response_id=5, heard_ms=told)]


def test_only_the_agents_words_are_cut():
    wire = Wire()
    create(wire, message(id="mine"))
    inbound, (refused,) = wire.tell(
        "conversation.item.truncate", item_id="mine", content_index=0, audio_end_ms=0
    )
    assert inbound == []
    assert refused["error"]["param"] == "item_id"


def test_a_long_conversation_is_not_kept_for_ever():
    wire = Wire()
    for number in range(MOST_ITEMS + 5):
        create(wire, message(id=f"i{number}"))
    _, (gone,) = wire.tell("conversation.item.retrieve", item_id="i4")
    assert gone["type"] == "error"
    _, (there,) = wire.tell("conversation.item.retrieve", item_id="i5")
    assert there["type"] == "conversation.item.retrieved"


def test_nor_are_long_messages():
    wire = Wire()
    for number in range(60):
        create(wire, message("x" * 190_000, id=f"i{number}"))
    kinds = [
        wire.tell("conversation.item.retrieve", item_id=f"i{number}")[1][0]["type"]
        for number in range(60)
    ]
    kept = 8_000_000 // 190_000
    assert kinds == ["error"] * (60 - kept) + ["conversation.item.retrieved"] * kept


def test_own_names_do_not_meet_those_of_clients():
    wire = Wire()
    create(wire, message(id="item_x_1"))
    _, (added, _) = create(wire, message())
    assert added["item"]["id"] == "item_x_2"
