"""What OpenAI's HTTP audio endpoints take, how they refuse the rest, and what others do instead."""

import io
import wave
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from aiohttp import web

from calls.audio.resample import Resampler
from tests.doubles.providers.forms import Upload, form_fields

EXTENSIONS = frozenset(["flac", "mp3", "mp4", "mpeg", "mpga", "m4a", "ogg", "wav", "webm"])
SPEECH_CHARACTERS = 4_096
COMPRESSED = {"mp3": b"ID3\4", "opus": b"OggS", "aac": b"\xff\xf1", "flac": b"fLaC"}
"""Formats of speech besides the plain ones, and how their files begin."""


@dataclass
class Habits:
    """What look-alikes do differently.

    Attributes:
        refused: fields of a request that are answered with 422.
        transcript_stream: "openai"; "vllm": chunks with choices; "segments": texts without a
            type; "json": the stream is ignored; "nothing": a stream without events.
        patience_s: between the events of a transcript.
        done: whether a transcript's stream ends with its event and mark.
        usage: "tokens", "seconds", or nothing.
        rate_hz: of the sound; what a server says of it is `rate_in`.
        rate_in: a header's name, or "content-type", or nothing.
        wav: "whole"; "streamed": lengths unknown, and chunks around the samples.
        overstated_bytes: the length that is announced is so much too long.
        sound: this instead of any sound.
    """

    refused: frozenset[str] = frozenset()
    transcript_stream: str = "openai"
    patience_s: float = 0
    done: bool = True
    usage: str = "tokens"
    rate_hz: int = 24_000
    rate_in: str = ""
    wav: str = "whole"
    overstated_bytes: int | None = None
    sound: bytes | None = None


class RefusedError(Exception):
    """The request breaks a rule: the answer to give."""

    def __init__(self, status: int, message: str, code: str = "", param: str = "") -> None:
        error = {"message": message, "type": "invalid_request_error"}
        self.answer = (status, {"error": error | {"param": param or None, "code": code or None}})


async def form_of(request: web.Request) -> dict[str, Any]:
    """Fields of a multipart form; those whose name ends with `[]` are lists, files are `Upload`."""
    form: dict[str, Any] = {}
    async for name, value in form_fields(request):
        if name.endswith("[]"):
            form.setdefault(name, []).append(value)
        else:
            form[name] = value
    return form


def check_transcription(form: Mapping[str, Any]) -> None:
    file = form.get("file")
    if not isinstance(file, Upload):
        raise RefusedError(400, "you must provide a file", "", "file")
    if PurePath(file.name).suffix.removeprefix(".") not in EXTENSIONS:
        raise RefusedError(400, "Unrecognized file format.", "", "file")
    if form["model"] == "gpt-transcribe":
        _check_gpt_transcribe(form)
    elif "languages[]" in form or "keywords[]" in form:
        raise RefusedError(400, "Not supported by this model.", "unsupported_parameter")


def _check_gpt_transcribe(form: Mapping[str, Any]) -> None:
    if "language" in form:
        raise RefusedError(400, "Use languages.", "unsupported_parameter", "language")
    if form.get("response_format", "json") != "json":
        raise RefusedError(400, "JSON only.", "unsupported_value", "response_format")
    if "timestamp_granularities[]" in form or "include[]" in form:
        raise RefusedError(400, "Not supported by this model.", "unsupported_parameter")
    if any(set(word) & set("<>\r\n") for word in form.get("keywords[]", ())):
        raise RefusedError(400, "Keywords are single lines.", "invalid_value", "keywords")


def check_speech(asked: Mapping[str, Any]) -> None:
    if not 1 <= len(asked.get("input", "")) <= SPEECH_CHARACTERS:
        raise RefusedError(400, "The input has a wrong length.", "string_above_max_length", "input")
    if not asked.get("voice"):
        raise RefusedError(400, "A voice is required.", "missing_required_parameter", "voice")
    if not 0.25 <= asked.get("speed", 1.0) <= 4.0:
        raise RefusedError(400, "The speed is out of bounds.", "decimal_below_min_value", "speed")
    if asked.get("response_format", "mp3") not in {*COMPRESSED, "wav", "pcm"}:
        raise RefusedError(400, "No such format.", "invalid_value", "response_format")
    if asked.get("stream_format") == "sse" and asked["model"].startswith("tts-1"):
        raise RefusedError(400, "Not for this model.", "unsupported_value", "stream_format")


def pcm_of(file: Upload) -> bytes:
    """Mono at 16 kHz; of what is no WAV file nothing."""
    if not file.name.endswith(".wav"):
        return b""
    try:
        with wave.open(io.BytesIO(file.data)) as wav:
            if (wav.getnchannels(), wav.getsampwidth()) != (1, 2):
                return b""
            resampler = Resampler(wav.getframerate(), 16_000)
            return resampler.feed(wav.readframes(wav.getnframes())) + resampler.flush()
    except (wave.Error, EOFError, ValueError):
        raise RefusedError(400, "Audio file might be corrupted.", "invalid_value") from None
