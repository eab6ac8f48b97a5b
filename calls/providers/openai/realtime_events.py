"""The names of all events of a realtime server, and where sessions are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from calls.domain.events import Stage
from calls.providers.openai.address import Server

PCM = {"type": "audio/pcm", "rate": 24_000}

KNOWN_EVENTS = frozenset(
    {
        "conversation.created",
        "conversation.item.added",
        "conversation.item.created",
        "conversation.item.deleted",
        "conversation.item.done",
        "conversation.item.input_audio_transcription.completed",
        "conversation.item.input_audio_transcription.delta",
        "conversation.item.input_audio_transcription.failed",
        "conversation.item.input_audio_transcription.segment",
        "conversation.item.retrieved",
        "conversation.item.truncated",
        "error",
        "input_audio_buffer.cleared",
        "input_audio_buffer.committed",
        "input_audio_buffer.dtmf_event_received",
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
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
        "response.created",
        "response.done",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.mcp_call.completed",
        "response.mcp_call.failed",
        "response.mcp_call.in_progress",
        "response.mcp_call_arguments.delta",
        "response.mcp_call_arguments.done",
        "response.output_audio.delta",
        "response.output_audio.done",
        "response.output_audio_transcript.delta",
        "response.output_audio_transcript.done",
        "response.output_item.added",
        "response.output_item.done",
        "response.output_text.delta",
        "response.output_text.done",
        "session.created",
        "session.updated",
    }
)
"""What the SDK knows; servers may send more, which nobody misses."""


@dataclass(frozen=True, slots=True)
class RealtimeAddress:
    """Where a session is.

    Attributes:
        provider: under this name its errors go.
        stage: the service that it is for.
    """

    url: str
    provider: str
    stage: Stage
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


def realtime_address(server: Server, query: Mapping[str, str], stage: Stage) -> RealtimeAddress:
    """The WebSocket of a server: `model` in the query makes a conversation."""
    scheme, _, rest = server.base_url.rstrip("/").partition("://")
    url = f"{'wss' if scheme == 'https' else 'ws'}://{rest}/realtime?{urlencode(query)}"
    headers = {"Authorization": f"Bearer {server.api_key}"} if server.api_key else {}
    return RealtimeAddress(url, server.provider, stage, headers)
