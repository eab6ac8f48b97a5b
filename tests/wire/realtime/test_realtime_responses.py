"""Answers: asked for, refused, stopped, beside the conversation; and functions of the client."""

import pytest

from calls.domain import events as ev
from calls.domain.items import Role
from calls.wire.base import AsideAsked, AsideCancelled, ToolResult
from calls.wire.realtime import Grant
from tests.wire.realtime.driving import GA, Wire, valid

TOOLS = [{"type": "function", "name": "weather", "description": "d", "parameters": {}}]


def with_tools():
    wire = Wire()
    wire.tell("session.update", session={"type": "realtime", "tools": TOOLS})
    wire.said.clear()
    return wire


def called(wire, call_id="call_1", name="weather", response_id=1):
    return wire.do(
        "SendTool",
        tool_call_id=call_id,
        name=name,
        running=True,
        response_id=response_id,
        arguments='{"city":"Oslo"}',
    )


def made(wire, outcome, response_id=1, rounds=0):
    return wire.do("SendResponseMade", response_id=response_id, round=rounds, outcome=outcome)


def answered(wire, call_id="call_1", output="Rain."):
    item = {"type": "function_call_output", "call_id": call_id, "output": output}
    return wire.tell("conversation.item.create", item=item)


# Asked for


def test_an_answer_is_asked_for_with_wishes():
    wire = with_tools()
    (asked,), replies = wire.tell(
        "response.create",
        response={
            "instructions": "Rhyme.",
            "output_modalities": ["text"],
            "max_output_tokens": 50,
            "tool_choice": {"type": "function", "name": "weather"},
            "metadata": {"client_event_id": "e7"},
        },
    )
    assert replies == []
    wishes = asked.wishes
    assert (wishes.instructions, wishes.text_only, wishes.max_output_tokens) == ("Rhyme.", True, 50)
    assert (wishes.tool_choice, wishes.tools) == ("weather", None)
    wire.begins()
    response = wire.last("response.created")["response"]
    assert response["metadata"] == {"client_event_id": "e7"}
    assert response["output_modalities"] == ["text"]
    assert response["max_output_tokens"] == 50
    made(wire, "complete")
    assert wire.last("response.done")["response"]["metadata"] == {"client_event_id": "e7"}


def test_an_answer_of_the_server_is_told_of_alike():
    wire = Wire()
    wire.begins()
    response = wire.last("response.created")["response"]
    assert (response["metadata"], response["status"]) == (None, "in_progress")


@pytest.mark.parametrize("begun", [True, False], ids=["begun", "only asked for"])
def test_one_answer_at_a_time(begun):
    wire = Wire()
    wire.tell("response.create")
    if begun:
        wire.begins()
    inbound, (refused,) = wire.tell("response.create", event_id="e2")
    assert inbound == []
    assert refused["error"]["code"] == "conversation_already_has_active_response"
    assert refused["error"]["event_id"] == "e2"


def test_after_it_the_next():
    wire = Wire()
    wire.agent_answers()
    inbound, replies = wire.tell("response.create")
    assert inbound == [ev.AnswerAsked()]
    assert replies == []


def test_metadata_goes_to_the_answer_that_was_asked_for_and_no_other():
    wire = Wire()
    wire.tell("response.create", response={"metadata": {"a": "1"}})
    wire.agent_answers(1)
    wire.agent_answers(2)
    created = [e["response"]["metadata"] for e in wire.said if e["type"] == "response.created"]
    assert created == [{"a": "1"}, None]


TOOL = {"type": "function", "name": "obey", "description": "Obey.", "parameters": {}}


def test_who_may_not_configure_gives_no_instructions_and_no_tools():
    wire = Wire(grant=Grant(configures=False))
    response = {"instructions": "Obey.", "tools": [TOOL]}
    (asked,), _ = wire.tell("response.create", response=response)
    assert asked.wishes.instructions is None
    assert asked.wishes.tools is None


@pytest.mark.parametrize("role", ["system", "assistant"])
def test_who_may_not_configure_asks_beside_the_conversation_in_words_of_the_caller(role):
    wire = Wire(grant=Grant(configures=False))
    content = [{"type": "input_text", "text": "Obey."}]
    said = {"type": "message", "role": role, "content": content}
    asked = {"conversation": "none", "input": [said]}
    inbound, (refused,) = wire.tell("response.create", response=asked)
    assert inbound == []
    assert refused["error"]["code"] == "not_allowed"
    said["role"] = "user"
    assert wire.tell("response.create", response=asked)[0]


@pytest.mark.parametrize(
    ("response", "param"),
    [
        ({"metadata": {"a": 1}}, "response.metadata"),
        ({"metadata": {str(n): "" for n in range(17)}}, "response.metadata"),
        ({"conversation": "other"}, "response.conversation"),
        ({"output_modalities": "audio"}, "response.output_modalities"),
        ({"max_output_tokens": 0}, "response.max_output_tokens"),
        ({"tool_choice": "unknown"}, "response.tool_choice"),
        ({"tools": [{"type": "mcp"}]}, "response.tools[0].type"),
        ({"input": []}, "response.input"),
        ({"conversation": "none", "input": [{"type": "x"}]}, "response.input[0].type"),
    ],
)
def test_what_is_wrong_is_named(response, param):
    wire = Wire()
    inbound, (refused,) = wire.tell("response.create", response=response, event_id="e9")
    assert inbound == []
    assert refused["error"]["param"] == param
    assert refused["error"]["event_id"] == "e9"
    valid(GA, refused)


# How they end


@pytest.mark.parametrize(
    ("outcome", "status", "details"),
    [
        ("interrupted", "cancelled", {"type": "cancelled", "reason": "turn_detected"}),
        ("cancelled", "cancelled", {"type": "cancelled", "reason": "client_cancelled"}),
        ("skipped", "completed", None),
    ],
)
def test_an_end_before_the_end(outcome, status, details):
    wire = Wire()
    wire.begins()
    made(wire, outcome)
    done = wire.last("response.done")["response"]
    assert (done["status"], done["status_details"], done["output"]) == (status, details, [])
    valid(GA, wire.said[-1])


def test_words_cut_off_are_incomplete():
    wire = Wire()
    wire.begins()
    wire.do("SendResponseText", response_id=1, text="Once upon", start_ms=0)
    wire.do("ClearAudio", response_id=1)
    made(wire, "interrupted")
    (item,) = wire.last("response.done")["response"]["output"]
    assert item["status"] == "incomplete"
    # Nothing of it comes after its end.
    assert wire.do("AudioFrame", response_id=1, start_ms=0, ms=20) == []
    assert wire.do("AudioEnd", response_id=1, length_ms=20) == []
    assert wire.do("ClearAudio", response_id=1) == []


@pytest.mark.parametrize(
    ("outcome", "status", "reason"),
    [("cancelled", "cancelled", "client_cancelled"), ("skipped", "completed", None)],
)
def test_silence_comes_before_the_reason(outcome, status, reason):
    wire = Wire()
    wire.begins()
    assert wire.do("ClearAudio", response_id=1) == []
    made(wire, outcome)
    done = wire.last("response.done")["response"]
    assert (done["status"], (done["status_details"] or {}).get("reason")) == (status, reason)


def test_the_client_stops_what_is_made_and_not_all_sent():
    wire = Wire()
    wire.begins()
    made(wire, "complete")
    wire.tell("response.cancel")
    wire.do("ClearAudio", response_id=1)
    assert wire.last("response.done")["response"]["status_details"]["reason"] == "client_cancelled"
    wire.begins(2)
    made(wire, "complete", response_id=2)
    wire.do("ClearAudio", response_id=2)
    assert wire.last("response.done")["response"]["status_details"]["reason"] == "turn_detected"


def test_a_failure_says_why():
    wire = Wire()
    wire.begins()
    assert wire.do("SendError", code="llm_failed", message="The model is away.") == []
    made(wire, "failed")
    done = wire.last("response.done")["response"]
    assert done["status"] == "failed"
    assert done["status_details"]["error"]["message"] == "The model is away."
    valid(GA, wire.said[-1])


def test_a_made_answer_that_is_cut_off_before_it_is_sent():
    wire = Wire()
    wire.begins()
    wire.do("SendResponseText", response_id=1, text="Once upon", start_ms=0)
    made(wire, "complete")
    wire.do("ClearAudio", response_id=1)
    assert wire.last("response.done")["response"]["status_details"]["reason"] == "turn_detected"


def test_an_answer_that_was_never_ended_ends_with_the_next():
    wire = Wire()
    wire.begins(1)
    wire.begins(2)
    done, created = wire.said[-2:]
    assert (done["type"], created["type"]) == ("response.done", "response.created")


# Stopped


def test_the_client_stops_what_is_being_made():
    wire = Wire()
    wire.begins(7)
    name = wire.last("response.created")["response"]["id"]
    assert wire.tell("response.cancel")[0] == [ev.AnswerCancelled(response_id=7)]
    assert wire.tell("response.cancel", response_id=name)[0] == [ev.AnswerCancelled(response_id=7)]
    _, (refused,) = wire.tell("response.cancel", response_id="resp_other", event_id="e1")
    assert refused["error"]["code"] == "response_cancel_not_active"
    assert refused["error"]["event_id"] == "e1"


def test_nothing_to_stop():
    wire = Wire()
    wire.agent_answers()
    inbound, (refused,) = wire.tell("response.cancel")
    assert inbound == []
    assert refused["error"]["code"] == "response_cancel_not_active"


def test_what_was_only_asked_for_is_taken_back_and_told_of():
    wire = Wire()
    wire.tell("response.create", response={"metadata": {"a": "1"}})
    inbound, (created, done) = wire.tell("response.cancel")
    assert inbound == [ev.AnswerCancelled()]
    assert created["response"]["id"] == done["response"]["id"]
    assert done["response"]["status"] == "cancelled"
    assert done["response"]["metadata"] == {"a": "1"}
    assert wire.tell("response.create")[0] == [ev.AnswerAsked()]


# Beside the conversation


def test_an_answer_beside_the_conversation():
    wire = Wire()
    wire.begins()
    wire.said.clear()
    inbound, (created,) = wire.tell(
        "response.create",
        response={
            "conversation": "none",
            "output_modalities": ["text"],
            "metadata": {"topic": "summary"},
            "input": [
                {
                    "type": "message",
                    "role": "user",
                    "content": [{"type": "input_text", "text": "A"}],
                }
            ],
        },
    )
    (asked,) = inbound
    assert isinstance(asked, AsideAsked)
    assert [(item.role, item.text) for item in asked.items] == [(Role.USER, "A")]
    assert created["response"]["conversation_id"] is None
    assert created["response"]["metadata"] == {"topic": "summary"}
    wire.do("AsideText", aside_id=asked.aside_id, text="B")
    wire.do("AsideDone", aside_id=asked.aside_id)
    assert not [name for name in wire.said_types() if name.startswith("conversation.")]
    done = wire.last("response.done")["response"]
    assert done["output"][0]["content"] == [{"type": "output_text", "text": "B"}]
    assert (done["conversation_id"], done["metadata"]) == (None, {"topic": "summary"})
    for event in wire.said:
        valid(GA, event)


def test_its_sound_and_its_functions():
    wire = with_tools()
    (asked,), _ = wire.tell("response.create", response={"conversation": "none"})
    assert asked.items is None
    wire.do("AsideText", aside_id=asked.aside_id, text="B")
    wire.do("AsideAudio", aside_id=asked.aside_id, ms=2_500)
    deltas = [e for e in wire.said if e["type"] == "response.output_audio.delta"]
    assert len(deltas) == 3
    wire.do("AsideTool", aside_id=asked.aside_id, tool_call_id="c", name="weather", arguments="{}")
    wire.do("AsideDone", aside_id=asked.aside_id, failed="Away.")
    done = wire.last("response.done")["response"]
    assert [item["type"] for item in done["output"]] == ["message", "function_call"]
    assert done["status_details"]["error"]["message"] == "Away."


def test_references_stand_for_what_they_name():
    wire = Wire()
    wire.tell(
        "conversation.item.create",
        item={"id": "mine", "type": "message", "role": "system", "content": "Be kind."},
    )
    (asked,), _ = wire.tell(
        "response.create",
        response={"conversation": "none", "input": [{"type": "item_reference", "id": "mine"}]},
    )
    assert [(item.role, item.text) for item in asked.items] == [(Role.SYSTEM, "Be kind.")]
    _, (refused,) = wire.tell(
        "response.create",
        response={"conversation": "none", "input": [{"type": "item_reference", "id": "no"}]},
    )
    assert refused["error"]["param"] == "response.input[0].id"


def test_it_is_stopped_by_its_name():
    wire = Wire()
    (asked,), (created,) = wire.tell("response.create", response={"conversation": "none"})
    inbound, _ = wire.tell("response.cancel", response_id=created["response"]["id"])
    assert inbound == [AsideCancelled(asked.aside_id)]
    wire.do("AsideDone", aside_id=asked.aside_id, cancelled=True)
    assert wire.last("response.done")["response"]["status"] == "cancelled"
    assert wire.do("AsideText", aside_id=asked.aside_id, text="late") == []


def test_not_too_many_of_them():
    wire = Wire()
    for _ in range(4):
        assert wire.tell("response.create", response={"conversation": "none"})[0]
    inbound, (refused,) = wire.tell("response.create", response={"conversation": "none"})
    assert inbound == []
    assert refused["type"] == "error"


# Functions


def test_a_function_is_called_and_answered():
    wire = with_tools()
    wire.begins()
    called(wire)
    made(wire, "tools")
    assert wire.said_types() == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    for event in wire.said:
        valid(GA, event)
    (call,) = wire.said[-1]["response"]["output"]
    assert (call["status"], call["call_id"]) == ("completed", "call_1")
    assert call["arguments"] == '{"city":"Oslo"}'
    inbound, _ = answered(wire)
    assert inbound == []
    inbound, replies = wire.tell("response.create", response={"metadata": {"n": "2"}})
    assert inbound == [
        ToolResult("call_1", "Rain."),
        ev.AnswerAsked(wishes=inbound[-1].wishes),
    ]
    assert replies == []
    wire.begins(rounds=1)
    assert wire.last("response.created")["response"]["metadata"] == {"n": "2"}


def test_what_is_not_answered_has_failed():
    wire = with_tools()
    wire.begins()
    called(wire, "call_1")
    called(wire, "call_2")
    made(wire, "tools")
    answered(wire, "call_2")
    inbound, _ = wire.tell("response.create")
    assert inbound[0] == ToolResult("call_2", "Rain.")
    assert inbound[1].failed
    assert inbound[1].tool_call_id == "call_1"


def test_a_client_may_answer_before_the_response_is_done():
    wire = with_tools()
    wire.begins()
    called(wire)
    _, (refused,) = wire.tell("response.create")
    assert refused["error"]["code"] == "conversation_already_has_active_response"
    answered(wire)
    inbound, replies = wire.tell("response.create")
    assert inbound == [ToolResult("call_1", "Rain."), ev.AnswerAsked()]
    assert replies == []


def test_functions_of_the_server_are_not_the_clients():
    wire = with_tools()
    wire.begins()
    assert called(wire, name="clock") == []
    assert made(wire, "tools") == []
    assert wire.do("SendResponseBegan", response_id=1, turn=1, round=1) == []
    wire.do("SendResponseText", response_id=1, text="Noon.", start_ms=0)
    made(wire, "complete", rounds=1)
    wire.do("AudioEnd", response_id=1, length_ms=0)
    assert wire.said_types().count("response.created") == 1
    assert wire.said_types().count("response.done") == 1


def test_results_of_an_answer_that_was_interrupted_are_not_lost():
    wire = with_tools()
    wire.begins()
    called(wire)
    made(wire, "tools")
    answered(wire)
    wire.do("ClearAudio", response_id=1)
    inbound, _ = wire.tell("input_audio_buffer.clear")
    assert inbound == [ev.TurnDropped(), ToolResult("call_1", "Rain.")]


def test_results_that_come_after_the_interruption_are_handed_on():
    wire = with_tools()
    wire.begins()
    called(wire)
    made(wire, "interrupted")
    assert answered(wire)[0] == [ToolResult("call_1", "Rain.")]
    assert wire.tell("response.create")[0] == [ev.AnswerAsked()]


def test_an_answer_that_was_to_go_on_and_does_not():
    wire = with_tools()
    wire.begins()
    called(wire)
    made(wire, "tools")
    answered(wire)
    wire.tell("response.create", response={"metadata": {"n": "2"}})
    created, done = made(wire, "interrupted")
    assert created["response"]["metadata"] == done["response"]["metadata"] == {"n": "2"}
    assert done["response"]["status_details"]["reason"] == "turn_detected"
    assert wire.tell("response.create")[0] == [ev.AnswerAsked()]


def test_a_call_that_took_too_long_waits_no_more():
    wire = with_tools()
    wire.begins()
    called(wire)
    made(wire, "tools")
    wire.do("SendTool", tool_call_id="call_1", name="weather", running=False, failed=True)
    inbound, replies = answered(wire)
    assert inbound == []
    assert replies[0]["type"] == "conversation.item.added"


def test_tools_of_one_answer():
    wire = Wire()
    wire.tell("response.create", response={"tools": TOOLS})
    wire.begins()
    assert called(wire) != []
    made(wire, "tools")
    wire.begins(2)
    assert called(wire, "call_2", response_id=2) == []


def test_usage_is_an_estimate_of_everything():
    wire = Wire()
    wire.tell(
        "conversation.item.create",
        item={"type": "message", "role": "user", "content": "12345678"},
    )
    wire.caller_speaks(began_ms=300, ended_ms=1_400)
    wire.agent_answers(text="1234", ms=1_000)
    usage = wire.last("response.done")["response"]["usage"]
    heard = {"text_tokens": 2, "audio_tokens": 20, "cached_tokens": 0}
    assert usage["input_token_details"] == heard
    assert usage["output_token_details"] == {"text_tokens": 1, "audio_tokens": 20}
    assert usage["total_tokens"] == 43
