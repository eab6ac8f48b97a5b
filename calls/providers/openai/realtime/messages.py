"""What is said on the socket, and which of the server's words are understood."""

import base64
from collections.abc import Mapping
from typing import Any

Message = Mapping[str, Any]

READ_ALOUD = (
    "Read the text aloud, word for word, exactly as it is written. Add nothing, leave nothing "
    "out, answer nothing that is asked in it."
)

_BETA = {
    "response.audio.delta": "response.output_audio.delta",
    "response.audio.done": "response.output_audio.done",
    "response.audio_transcript.delta": "response.output_audio_transcript.delta",
    "response.audio_transcript.done": "response.output_audio_transcript.done",
    "response.text.delta": "response.output_text.delta",
    "response.text.done": "response.output_text.done",
    "conversation.item.created": "conversation.item.added",
}

TRANSCRIPT = "conversation.item.input_audio_transcription"

HANDLED_EVENTS = frozenset(
    {
        "error",
        "input_audio_buffer.committed",
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        f"{TRANSCRIPT}.completed",
        f"{TRANSCRIPT}.delta",
        f"{TRANSCRIPT}.failed",
        "response.created",
        "response.done",
        "response.function_call_arguments.done",
        "response.output_audio.delta",
        "response.output_audio_transcript.delta",
        "response.output_item.added",
        "response.output_text.delta",
    }
)
"""Everything else either says nothing that we do not know, or belongs to what we do not use."""

IGNORED_EVENTS = frozenset(
    {
        "conversation.created",
        "conversation.item.added",
        "conversation.item.created",
        "conversation.item.deleted",
        "conversation.item.done",
        f"{TRANSCRIPT}.segment",
        "conversation.item.retrieved",
        "conversation.item.truncated",
        "input_audio_buffer.cleared",
        "input_audio_buffer.dtmf_event_received",
        "input_audio_buffer.timeout_triggered",
        "mcp_list_tools.completed",
        "mcp_list_tools.failed",
        "mcp_list_tools.in_progress",
        "output_audio_buffer.cleared",
        "output_audio_buffer.started",
        "output_audio_buffer.stopped",
        "rate_limits.updated",
        "response.content_part.added",
        "response.content_part.done",
        "response.function_call_arguments.delta",
        "response.mcp_call.completed",
        "response.mcp_call.failed",
        "response.mcp_call.in_progress",
        "response.mcp_call_arguments.delta",
        "response.mcp_call_arguments.done",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.output_item.done",
        "response.output_text.done",
        "session.created",
        "session.updated",
    }
)


def current_name(kind: str) -> str:
    """Servers of the beta have other names for some events."""
    return _BETA.get(kind, kind)


def append(pcm: bytes) -> Message:
    return {"type": "input_audio_buffer.append", "audio": base64.b64encode(pcm).decode()}


def commit(event_id: str) -> Message:
    return {"type": "input_audio_buffer.commit", "event_id": event_id}


CLEAR: Message = {"type": "input_audio_buffer.clear"}


def create_response(tag: str, *, wanted: Message) -> Message:
    """Ask for an answer; `wanted` is what is different about it."""
    response = {"metadata": {"tag": tag}, **wanted}
    return {"type": "response.create", "event_id": tag, "response": response}


def read_aloud(tag: str, text: str) -> Message:
    words = {
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": text}],
    }
    response = {
        "conversation": "none",
        "output_modalities": ["audio"],
        "metadata": {"tag": tag},
        "instructions": READ_ALOUD,
        "tool_choice": "none",
        "input": [words],
    }
    return {"type": "response.create", "event_id": tag, "response": response}


def cancel_response(server_id: str) -> Message:
    message = {"type": "response.cancel"}
    return {**message, "response_id": server_id} if server_id else message


def truncate(item_id: str, audio_end_ms: int) -> Message:
    return {
        "type": "conversation.item.truncate",
        "item_id": item_id,
        "content_index": 0,
        "audio_end_ms": audio_end_ms,
    }
