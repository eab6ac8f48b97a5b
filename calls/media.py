"""Recordings over HTTP: any part of the file, playable whatever state it is in."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

from django.core.handlers.asgi import ASGIRequest
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from calls.audio.wav import HEADER_BYTES
from calls.models import Recording
from calls.store.waveforms import recording_header, recording_peaks, recording_samples_bytes

CHUNK_BYTES = 256 * 1024
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class UnsatisfiableError(ValueError):
    """The range lies outside the file."""


@dataclass(frozen=True, slots=True)
class Sound:
    """The recording as a player shall see it.

    The header is made from what the file holds: that of a file still being written, or cut off by
    a kill, says something else.
    """

    file: Path
    head: bytes
    size_bytes: int

    def read(self, start: int, count: int) -> bytes:
        """`count` bytes from `start` on; fewer at the end."""
        head = self.head[start : start + count]
        count -= len(head)
        if not count:
            return head
        with self.file.open("rb") as opened:
            opened.seek(start + len(head))
            return head + opened.read(count)


def sound_of(recording: Recording) -> Sound:
    """The sound of a recording.

    Raises:
        Http404: its file is not there.
    """
    try:
        file = recording.file
        samples_bytes = recording_samples_bytes(file)
    except (OSError, ValueError):
        raise Http404("The recording is not there.") from None
    return Sound(file, recording_header(samples_bytes), HEADER_BYTES + samples_bytes)


def range_of(header: str, size_bytes: int) -> tuple[int, int] | None:
    """First and last byte asked for; None: all of it, also when the header is none of ours.

    Raises:
        UnsatisfiableError: nothing of what is asked for exists.
    """
    asked = _RANGE.fullmatch(header.strip())
    if not asked or asked.groups() == ("", ""):
        return None
    first, last = asked.groups()
    if not first:
        start, end = max(0, size_bytes - int(last)), size_bytes - 1
    else:
        start, end = int(first), min(int(last or size_bytes), size_bytes - 1)
        if last and int(last) < start:
            return None
    if start >= size_bytes or start > end:
        raise UnsatisfiableError
    return start, end


def sound_response(request: HttpRequest, recording: Recording, name: str) -> HttpResponseBase:
    """The recording, or the part that the request asks for: 200, 206 or 416."""
    sound = sound_of(recording)
    try:
        part = range_of(request.headers.get("Range", ""), sound.size_bytes)
    except UnsatisfiableError:
        response: HttpResponseBase = HttpResponse(status=416)
        response["Content-Range"] = f"bytes */{sound.size_bytes}"
        return private(response)
    start, end = part or (0, sound.size_bytes - 1)
    response = StreamingHttpResponse(
        _stream(request, sound, start, end), content_type="audio/wav", status=206 if part else 200
    )
    response["Content-Length"] = str(end - start + 1)
    response["Accept-Ranges"] = "bytes"
    response["Content-Disposition"] = f'inline; filename="{name}.wav"'
    if part:
        response["Content-Range"] = f"bytes {start}-{end}/{sound.size_bytes}"
    return private(response)


def peaks_response(recording: Recording) -> HttpResponseBase:
    """What the waveform is drawn from; see `recording_peaks`."""
    try:
        peaks = recording_peaks(recording)
    except (OSError, ValueError):
        raise Http404("The recording is not there.") from None
    return private(HttpResponse(peaks, content_type="application/octet-stream"))


def private(response: HttpResponseBase) -> HttpResponseBase:
    """Keep the response out of every cache and of every guess about its kind."""
    response["Cache-Control"] = "private, no-store"
    response["X-Content-Type-Options"] = "nosniff"
    response["Cross-Origin-Resource-Policy"] = "same-origin"
    return response


def _stream(
    request: HttpRequest, sound: Sound, start: int, end: int
) -> Iterator[bytes] | AsyncIterator[bytes]:
    if isinstance(request, ASGIRequest):
        return _chunks_async(sound, start, end)
    return _chunks(sound, start, end)


def _chunks(sound: Sound, start: int, end: int) -> Iterator[bytes]:
    while start <= end:
        chunk = sound.read(start, min(CHUNK_BYTES, end + 1 - start))
        if not chunk:
            return
        start += len(chunk)
        yield chunk


async def _chunks_async(sound: Sound, start: int, end: int) -> AsyncIterator[bytes]:
    chunks = _chunks(sound, start, end)
    while chunk := await asyncio.to_thread(next, chunks, b""):
        yield chunk
