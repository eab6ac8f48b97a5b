"""The events of `audio-streaming-server` over Socket.IO: `docs/protocols/socketio.md` in code.

Its messages are named events with one payload each, not frames.
"""

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from calls.domain import effects as do
from calls.domain import events as ev
from calls.domain.audio import AGENT, SAMPLE_BYTES
from calls.domain.errors import EndReason, ErrorCode
from calls.ports.client import AudioEnd, AudioFrame, Outgoing, Pace, Playback
from calls.wire.base import ClientAudio, Hello, Inbound, Ready, Received, Terms
from calls.wire.fields import storable, text_of

RATE_HZ = 24_000
PACE = Pace(playback=Playback.ASSUMED, lead_ms=None, frame_ms=200)

_CHARS_PER_S = RATE_HZ * SAMPLE_BYTES * 4 / 3
"""What a second of sound is in base64."""

TERMS = Terms(
    name="socketio",
    message_bytes=1_000_000,
    sound_bytes_per_s=3 * _CHARS_PER_S,
    sound_reserve_bytes=15 * _CHARS_PER_S,
    sound_least_bytes=_CHARS_PER_S / 100,
)

METADATA_BYTES = 2_048
MOST_KEPT_MS = 300_000
"""Of a longer response there is no `response_audio`: it would be an event of 19 MB and more."""

SOUND = "audio_chunk"
EVENTS_IN = ("start", SOUND, "stop")
"""What clients send, beside leaving."""

EVENTS_OUT = (
    "backend_ready",
    "transcription_final",
    "response_transcript_partial",
    "response_transcript_final",
    "response_text_delta",
    "response_text_final",
    "response_audio_delta",
    "response_audio",
    "openai_error",
)

_STOPPED: tuple[Inbound, ...] = (
    ev.Muted(muted=True),
    ev.TalkStopped(),
    ev.Muted(muted=False),
)
"""What was said up to here is a turn, at once: silence would be long in coming from a client that
sends nothing more."""

_OF_THE_TRANSPORT = frozenset({"EIO", "transport", "sid", "t", "b64", "j", "token"})
_ENDED_EARLY = frozenset(
    {do.Outcome.INTERRUPTED, do.Outcome.CANCELLED, do.Outcome.FAILED, do.Outcome.SKIPPED}
)
_FAILURES = {
    EndReason.PROVIDER_FAILED: "A service that the agent needs has failed; the call has to end.",
    EndReason.ERROR: "Something went wrong; the call has to end.",
}


@dataclass(frozen=True, slots=True)
class Emitted:
    """An event for the client; `payload` is JSON: text, a list or an object."""

    event: str
    payload: Any


@dataclass(slots=True)
class _Said:
    """What the client has got of the response that goes on."""

    response_id: int
    text: str = ""
    deltas: list[str] = field(default_factory=list)
    sound_bytes: int = 0
    finished: bool = False


class AudioStreaming:
    """One connection's codec.

    Args:
        query: of the address: `agent`, `backend_ready`, and whatever goes on the record.
        auth: what the client gave as such; an `agent` in it counts before that of the address,
            and a `token` in it is the call's.
    """

    terms = TERMS

    def __init__(self, query: Mapping[str, str] | None = None, auth: object = None) -> None:
        fields = dict(query or {})
        named = fields.pop("agent", "")
        self._agent = auth.get("agent", named) if isinstance(auth, dict) else named
        token = auth.get("token") if isinstance(auth, dict) else ""
        self._token = token if isinstance(token, str) else ""
        self._told_once = fields.pop("backend_ready", "") == "once"
        self._metadata = _metadata(fields)
        self._half_sample = b""
        self._voiced = True
        self._events = 0
        self._said = _Said(0)

    # In

    def open(self, event: str, payload: object) -> Hello | None:  # noqa: ARG002 - `start` has none
        """Read an event that came before the call; None: go on waiting.

        Raises:
            WireError: `agent` is no text, or too long.
        """
        if event != "start":
            return None
        return Hello(
            agent=text_of({"agent": self._agent}, "agent", most=100),
            token=self._token,
            mic_rate_hz=RATE_HZ,
            pace=PACE,
            metadata=self._metadata,
        )

    def receive(self, event: str, payload: object) -> Received:
        """Read any later event. What cannot be read means nothing, and nothing is said of it."""
        if event == SOUND and isinstance(payload, str):
            pcm = self._sound(payload)
            return Received((ClientAudio(None, pcm),)) if pcm else Received()
        return Received(_STOPPED) if event == "stop" else Received()

    def _sound(self, text: str) -> bytes:
        """Whole samples; half of one waits for its other half, as in a stream of bytes."""
        text = "".join(text.split()).rstrip("=")
        try:
            data = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        except (ValueError, binascii.Error):
            return b""
        data = self._half_sample + data
        whole = len(data) - len(data) % SAMPLE_BYTES
        self._half_sample = data[whole:]
        return data[:whole]

    # Out

    def ready(self, ready: Ready) -> tuple[Emitted, ...]:
        """What the client is told once its call runs."""
        self._voiced = bool(ready.tts)
        return (_ready(f"{ready.agent_name} is ready. {ready.notice}".strip()),)

    def send(self, message: Outgoing) -> tuple[Emitted, ...]:
        """The events that say it, in order."""
        write = _WRITERS.get(type(message))
        return () if write is None else write(self, message)

    def error(self, code: ErrorCode, message: str) -> tuple[Emitted, ...]:
        """An error after which the connection is closed: this protocol knows no other."""
        ours = code is ErrorCode.INTERNAL
        error = {
            "type": "server_error" if ours else "invalid_request_error",
            "code": code.value,
            "message": message,
            "param": None,
            "event_id": None,
        }
        payload = {"event_id": self._event_id(), "type": "error", "error": error}
        return (Emitted("openai_error", payload),)

    def _event_id(self) -> str:
        self._events += 1
        return f"event_{self._events}"

    # Out: a response

    def _going_on(self, response_id: int) -> tuple[tuple[Emitted, ...], bool]:
        """What has to be told before more of this response; and whether more of it may be."""
        if response_id <= self._said.response_id:
            return (), response_id == self._said.response_id and not self._said.finished
        done = self._finish()
        self._said = _Said(response_id)
        return done, True

    def _text(self, message: do.SendResponseText) -> tuple[Emitted, ...]:
        before, wanted = self._going_on(message.response_id)
        if not wanted:
            return before
        self._said.text += message.text
        if not self._voiced:
            return (*before, Emitted("response_text_delta", message.text))
        delta = {
            "event_id": self._event_id(),
            "type": "response.audio_transcript.delta",
            "response_id": f"resp_{message.response_id}",
            "item_id": f"item_{message.response_id}",
            "output_index": 0,
            "content_index": 0,
            "delta": message.text,
        }
        return (*before, Emitted("response_transcript_partial", delta))

    def _audio(self, frame: AudioFrame) -> tuple[Emitted, ...]:
        before, wanted = self._going_on(frame.response_id)
        pcm = frame.pcm[: len(frame.pcm) // SAMPLE_BYTES * SAMPLE_BYTES]
        if not wanted or not pcm:
            return before
        delta = base64.b64encode(pcm).decode()
        said = self._said
        said.sound_bytes += len(pcm)
        if AGENT.ms_of(said.sound_bytes) <= MOST_KEPT_MS:
            said.deltas.append(delta)
        else:
            said.deltas.clear()
        return (*before, Emitted("response_audio_delta", delta))

    def _end(self, message: AudioEnd | do.SendResponseMade) -> tuple[Emitted, ...]:
        if isinstance(message, do.SendResponseMade) and message.outcome not in _ENDED_EARLY:
            return ()
        return self._finish() if message.response_id == self._said.response_id else ()

    def _clear(self, message: do.ClearAudio) -> tuple[Emitted, ...]:
        """Silence comes first: nothing else of this protocol stops a client's loudspeaker."""
        said = self._said
        if message.response_id != said.response_id:
            return ()
        heard, said.sound_bytes = said.sound_bytes > 0, 0
        silence = (_ready("Listening."),) if heard and not self._told_once else ()
        return (*silence, *self._finish())

    def _finish(self) -> tuple[Emitted, ...]:
        """Nothing more of it follows: all that was sent of it, once."""
        said = self._said
        if said.finished:
            return ()
        final = "response_transcript_final" if self._voiced else "response_text_final"
        audio = (Emitted("response_audio", said.deltas),) if said.deltas else ()
        said.finished, said.deltas = True, []
        return (*audio, Emitted(final, said.text)) if said.text else audio

    def _ended(self, message: do.EndCall) -> tuple[Emitted, ...]:
        done = self._finish()
        if message.reason not in _FAILURES:
            return done
        return (*done, *self.error(ErrorCode.INTERNAL, _FAILURES[message.reason]))


def _transcript(message: do.SendTranscript) -> tuple[Emitted, ...]:
    if not message.final or not message.text.strip():
        return ()
    return (Emitted("transcription_final", message.text),)


def _ready(message: str) -> Emitted:
    return Emitted("backend_ready", {"message": message})


def _metadata(fields: Mapping[str, str]) -> dict[str, str]:
    """The fields that fit on the record; the others are left out."""
    metadata: dict[str, str] = {}
    for name, value in fields.items():
        if name not in _OF_THE_TRANSPORT and storable(name) and storable(value):
            more = {**metadata, name: value}
            if len(json.dumps(more)) <= METADATA_BYTES:
                metadata = more
    return metadata


_WRITERS: Mapping[type, Callable[[AudioStreaming, Any], tuple[Emitted, ...]]] = {
    AudioFrame: AudioStreaming._audio,
    AudioEnd: AudioStreaming._end,
    do.SendResponseText: AudioStreaming._text,
    do.SendResponseMade: AudioStreaming._end,
    do.SendTranscript: lambda _, message: _transcript(message),
    do.ClearAudio: AudioStreaming._clear,
    do.EndCall: AudioStreaming._ended,
}
