"""The SDK's own types are the measure: a new version of it that says more is noticed here."""

import pydantic
import pytest

from calls.wire.realtime.handling import HANDLERS
from calls.wire.realtime.writing import BETA_NAMES, EVENTS
from tests.wire.realtime.driving import BETA, GA, Wire, client_types, server_types, valid

REFUSED = {
    GA: {"output_audio_buffer.clear"},
    BETA: {"output_audio_buffer.clear", "transcription_session.update"},
}
NOT_SAID = {
    # pipecat ends its session at names that it does not know, and these are among them.
    "conversation.item.input_audio_transcription.segment",
    "input_audio_buffer.dtmf_event_received",
    "input_audio_buffer.timeout_triggered",
    # WebRTC and SIP.
    "output_audio_buffer.started",
    "output_audio_buffer.stopped",
    "output_audio_buffer.cleared",
    # There are no limits of this kind, no tool servers, no sessions that only transcribe.
    "rate_limits.updated",
    "transcription_session.updated",
    "mcp_list_tools.in_progress",
    "mcp_list_tools.completed",
    "mcp_list_tools.failed",
    "response.mcp_call.in_progress",
    "response.mcp_call.completed",
    "response.mcp_call.failed",
    "response.mcp_call_arguments.delta",
    "response.mcp_call_arguments.done",
}
ONLY = {
    GA: {"conversation.item.added", "conversation.item.done"},
    BETA: {"conversation.created", "conversation.item.created"},
}
BOTH = pytest.mark.parametrize("dialect", [GA, BETA], ids=str)


def said_in(dialect):
    others = ONLY[BETA if dialect is GA else GA]
    names = EVENTS - others
    return names if dialect is GA else {BETA_NAMES.get(name, name) for name in names}


@BOTH
def test_every_event_of_a_client_is_handled_or_refused_by_name(dialect):
    assert set(client_types(dialect)) == set(HANDLERS) | REFUSED[dialect]
    for kind in REFUSED[dialect]:
        inbound, (refused,) = Wire(dialect).tell(kind, event_id="e1")
        assert inbound == []
        assert refused["error"]["code"] == "unsupported_event"
        assert refused["error"]["event_id"] == "e1"


@BOTH
def test_every_event_of_the_server_is_said_or_known_not_to_be(dialect):
    known = set(server_types(dialect))
    said = said_in(dialect)
    assert said <= known
    assert known - said - NOT_SAID <= ONLY[BETA] if dialect is GA else known - said <= NOT_SAID


def test_the_types_are_a_measure():
    with pytest.raises(pydantic.ValidationError):
        valid(GA, {"type": "response.done", "event_id": 5, "response": {}})
    with pytest.raises(pydantic.ValidationError):
        valid(BETA, {"type": "error", "event_id": "e", "error": {"type": "x", "message": None}})
    with pytest.raises(KeyError):
        valid(BETA, {"type": "conversation.item.added"})
