"""Browser protocol, version 1: `docs/protocols/browser.md` in code."""

import json
import struct
from collections.abc import Callable, Mapping
from typing import Any

from calls.domain import effects as do
from calls.domain import events as ev
from calls.domain.errors import ErrorCode
from calls.domain.items import Item, Role
from calls.ports.client import AudioEnd, AudioFrame, Outgoing, Pace, Playback
from calls.wire.base import (
    CLOSE_CODES,
    ClientAudio,
    Frame,
    Hello,
    Inbound,
    Ready,
    Received,
    Resume,
    Terms,
    TurnsMode,
    WireError,
)
from calls.wire.fields import (
    all_storable,
    bad,
    flag_of,
    int_of,
    object_of,
    parse_object,
    text_of,
    without_nan,
)

VERSION = 1
START_MS = 5_000
START_BYTES = 8_192
TOKEN_CHARS = 4_096
TEXT_BYTES = 16_384
AUDIO_BYTES = 8_192
METADATA_BYTES = 2_048
TYPED_CHARS = 2_000
REPORTING = Pace(playback=Playback.REPORTED)
COUNTED = Pace(playback=Playback.PACED)
_AUDIO_IN = struct.Struct("<I")
_AUDIO_OUT = struct.Struct("<II")
_U32 = 2**32
_MOST_U32 = _U32 - 1


_FASTEST_HZ = 16_000
_SAMPLE_BYTES = 2
_AUDIO_PACE = 1.25
_AUDIO_RESERVE_MS = 15_000
_LEAST_FRAME_MS = 10
"""A frame counts for so much sound at least: what it costs is the same."""


def _terms(rate_hz: int) -> Terms:
    """Sound is taken at the pace of speech, in samples of the client's microphone."""
    rate = rate_hz * _SAMPLE_BYTES
    return Terms(
        name="browser",
        resumes=True,
        restart_code=4512,
        message_bytes=TEXT_BYTES,
        start_ms=START_MS,
        sound_bytes_per_s=rate * _AUDIO_PACE,
        sound_reserve_bytes=rate * _AUDIO_RESERVE_MS / 1000,
        sound_least_bytes=rate * _LEAST_FRAME_MS / 1000,
    )


class Browser:
    """One socket's codec. Stateless but for the microphone's rate."""

    def __init__(self) -> None:
        self.terms = _terms(_FASTEST_HZ)

    def greet(self) -> Hello | None:
        """Nothing: the page speaks first."""
        return None

    def late(self) -> Hello:
        """No call begins without a first message.

        Raises:
            WireError: START_TIMEOUT.
        """
        raise WireError(ErrorCode.START_TIMEOUT, "No first message came in time.", 4408)

    def close_code(self, code: ErrorCode) -> int:
        return CLOSE_CODES.get(code, 4400)

    def open(self, frame: Frame) -> Hello:
        """Read the first message.

        Raises:
            WireError: with a close code, always.
        """
        try:
            hello = _hello(frame)
        except WireError as error:
            code = error.close_code or 4400
            raise WireError(error.code, error.message, code) from None
        self.terms = _terms(hello.mic_rate_hz or _FASTEST_HZ)
        return hello

    def receive(self, frame: Frame) -> Received:
        """Read any later message.

        Raises:
            WireError: without a close code the call goes on.
        """
        if isinstance(frame, bytes):
            return Received((_client_audio(frame),))
        message = parse_object(frame, max_bytes=TEXT_BYTES)
        kind = message.get("type")
        if kind == "ping":
            return Received(replies=(_json(type="pong", t=int_of(message, "t")),))
        read = _MESSAGES.get(kind) if isinstance(kind, str) else None
        if read is None:
            raise bad("`type` is not one of this protocol's messages.")
        return Received((read(message),))

    def send(self, message: Outgoing) -> tuple[Frame, ...]:
        """The frames that say it: none, or one."""
        write = _WRITERS.get(type(message))
        return () if write is None else (write(message),)

    def ready(self, ready: Ready) -> tuple[Frame, ...]:
        return (_ready(ready),)

    def error(self, code: ErrorCode, message: str, *, fatal: bool) -> tuple[Frame, ...]:
        return (_json(type="error", code=code, message=message, fatal=fatal),)


def _ready(ready: Ready) -> Frame:
    return _json(
        type="ready",
        v=VERSION,
        call_id=ready.call_id,
        resume_secret=ready.resume_secret,
        resumed=ready.resumed,
        agent={"slug": ready.agent_slug, "name": ready.agent_name},
        language=ready.language,
        notice=ready.notice,
        recording=ready.recording,
        providers={"stt": ready.stt, "llm": ready.llm, "tts": ready.tts},
        audio={"rate_hz": 24_000},
        microphone_position=ready.mic_position,
        turns="push_to_talk" if ready.push_to_talk else "auto",
        limits={"max_call_ms": ready.max_call_ms, "resume_ms": ready.resume_ms},
    )


def _json(**fields: Any) -> str:
    # Escaped to ASCII: a lone surrogate from a model must not break the socket.
    try:
        return json.dumps(fields, separators=(",", ":"), allow_nan=False)
    except ValueError:
        return json.dumps(without_nan(fields), separators=(",", ":"))


# In


def _hello(frame: Frame) -> Hello:
    if not isinstance(frame, str):
        raise bad("The first message must be text.")
    message = parse_object(frame, max_bytes=START_BYTES)
    if message.get("type") != "start":
        raise bad("The first message must be of type `start`.")
    if message.get("v") != VERSION or isinstance(message.get("v"), bool):
        raise bad(f"This server speaks version {VERSION} of the protocol.")
    return Hello(
        agent=text_of(message, "agent", most=100),
        token=text_of(message, "token", most=TOKEN_CHARS),
        language=text_of(message, "language", most=35),
        mic_rate_hz=_microphone(message),
        push_to_talk=_push_to_talk(message.get("turns", "auto")),
        pace=REPORTING if "playback" in _capabilities(message) else COUNTED,
        consented=_consented(message),
        metadata=_metadata(message),
        resume=_resume(message),
    )


def _consented(message: dict[str, Any]) -> bool:
    return message.get("consent") is not None and flag_of(message, "consent")


def _microphone(message: dict[str, Any]) -> int | None:
    microphone = object_of(message, "microphone")
    if microphone is None:
        return None
    return int_of(microphone, "rate_hz", least=8_000, most=48_000)


def _push_to_talk(mode: object) -> bool:
    if mode not in ("auto", "push_to_talk"):
        raise bad("`turns` must be `auto` or `push_to_talk`.")
    return mode == "push_to_talk"


def _capabilities(message: dict[str, Any]) -> list[Any]:
    value = message.get("capabilities", [])
    if not isinstance(value, list) or len(value) > 20:
        raise bad("`capabilities` must be a short list.")
    return value


def _metadata(message: dict[str, Any]) -> Mapping[str, Any]:
    metadata = object_of(message, "metadata") or {}
    try:
        text = json.dumps(metadata, ensure_ascii=False)
    except RecursionError:
        raise bad("`metadata` is nested too deeply.") from None
    if len(text.encode(errors="replace")) > METADATA_BYTES or not all_storable(metadata):
        raise bad(f"`metadata` must be plain JSON of at most {METADATA_BYTES} bytes.")
    return metadata


def _resume(message: dict[str, Any]) -> Resume | None:
    resume = object_of(message, "resume")
    if resume is None:
        return None
    played = object_of(resume, "played")
    return Resume(
        call_id=text_of(resume, "call_id", least=1, most=100),
        secret=text_of(resume, "secret", least=1, most=200),
        response_id=None if played is None else int_of(played, "response_id", most=_MOST_U32),
        played_ms=None if played is None else int_of(played, "played_ms", most=_MOST_U32),
    )


def _client_audio(frame: bytes) -> ClientAudio:
    if len(frame) > AUDIO_BYTES:
        raise WireError(ErrorCode.TOO_LARGE, f"Sound is at most {AUDIO_BYTES} bytes.", 4413)
    if len(frame) < _AUDIO_IN.size or len(frame) % 2:
        raise bad("Sound is a position of 4 bytes and an even number of bytes of PCM.")
    (position,) = _AUDIO_IN.unpack_from(frame)
    return ClientAudio(position, frame[_AUDIO_IN.size :])


def _typed(message: dict[str, Any]) -> Inbound:
    text = text_of(message, "text", least=1, most=TYPED_CHARS).strip()
    if not text:
        raise bad("`text` must not be blank.")
    return ev.TextTyped(text=text)


def _talk(message: dict[str, Any]) -> Inbound:
    return ev.TalkStarted() if flag_of(message, "pressed") else ev.TalkStopped()


def _played(message: dict[str, Any]) -> Inbound:
    return ev.Played(
        response_id=int_of(message, "response_id", most=_MOST_U32),
        played_ms=int_of(message, "played_ms", most=_MOST_U32),
        buffered_ms=int_of(message, "buffered_ms", most=_MOST_U32),
    )


def _cut(message: dict[str, Any]) -> Inbound:
    return ev.PlaybackCut(
        response_id=int_of(message, "response_id", most=_MOST_U32),
        played_ms=int_of(message, "played_ms", most=_MOST_U32),
    )


_MESSAGES: Mapping[str, Callable[[dict[str, Any]], Inbound]] = {
    "text": _typed,
    "mute": lambda message: ev.Muted(muted=flag_of(message, "muted")),
    "turns": lambda message: TurnsMode(_push_to_talk(message.get("mode"))),
    "talk": _talk,
    "played": _played,
    "cut": _cut,
    "hang_up": lambda _message: ev.HungUp(),
}

# Out


def _audio(frame: AudioFrame) -> Frame:
    return _AUDIO_OUT.pack(frame.response_id % _U32, frame.start_ms % _U32) + frame.pcm


def _turn(effect: do.SendTurn) -> Frame:
    timings = effect.turn.timings
    return _json(
        type="turn",
        turn=effect.turn.turn,
        latency_ms=timings.latency_ms,
        stages=timings.stages(),
    )


def _item(effect: do.SendItem) -> Frame:
    return _json(type="item", item=item_fields(effect.item))


def item_fields(item: Item) -> dict[str, Any]:
    """An item as the page and the export show it."""
    fields: dict[str, Any] = {
        "id": item.item_id,
        "role": item.role,
        "status": item.status,
        "source": item.source,
        "turn": item.turn,
        "text": item.text,
        "unheard": item.unheard,
        "started_ms": item.started_ms,
        "ended_ms": item.ended_ms,
        "response_id": item.response_id,
        "metadata": dict(item.metadata),
    }
    if item.role is Role.TOOL:
        fields["tool"] = {
            "call_id": item.tool_call_id,
            "name": item.tool_name,
            "arguments": item.arguments,
        }
    return fields


_WRITERS: Mapping[type, Callable[[Any], Frame]] = {
    AudioFrame: _audio,
    AudioEnd: lambda m: _json(type="audio_end", response_id=m.response_id, length_ms=m.length_ms),
    do.ClearAudio: lambda m: _json(type="clear", response_id=m.response_id),
    do.SendPhase: lambda m: _json(type="phase", phase=m.phase),
    do.SendTranscript: lambda m: _json(type="transcript", turn=m.turn, text=m.text, final=m.final),
    do.SendResponseText: lambda m: _json(
        type="response_text", response_id=m.response_id, text=m.text, start_ms=m.start_ms
    ),
    do.SendItem: _item,
    do.SendTool: lambda m: _json(
        type="tool",
        tool_call_id=m.tool_call_id,
        name=m.name,
        running=m.running,
        failed=m.failed,
    ),
    do.SendError: lambda m: _json(type="error", code=m.code, message=m.message, fatal=False),
    do.SendTurn: _turn,
    do.EndCall: lambda m: _json(type="end", reason=m.reason),
}
