"""A file's sound. The file is a stranger's: this runs in a worker, within its limits."""

import io
from collections.abc import Iterator
from itertools import islice

import av
from av.audio.resampler import AudioResampler
from av.container import InputContainer

from calls.domain.audio import CALLER, SAMPLE_BYTES

FORMATS = {"matroska": (0, b"\x1a\x45\xdf\xa3"), "ogg": (0, b"OggS"), "mov": (4, b"ftyp")}
"""Demuxers, with the place and the bytes of what their files begin with.

There are no others: some that FFmpeg has would open further files and addresses.
"""

OPTIONS = {
    "format_whitelist": "matroska,webm,ogg,mov,mp4,m4a,3gp,3g2,mj2",
    "codec_whitelist": "opus,libopus,vorbis,aac,mp3,mp3float,flac,pcm_s16le,pcm_s16be,pcm_f32le",
    "protocol_whitelist": "none",
    "max_streams": "16",
}

BAD_PACKETS = 50
"""So many packets that cannot be decoded are passed over; after that the rest is left out."""

CHUNK_BYTES = 1 << 18


def sound_of(data: bytes, most_bytes: int) -> Iterator[bytes]:
    """The sound in `data`, `audio.CALLER`, in chunks; `most_bytes` of it, whole samples.

    Of a file that is cut short or damaged comes what can be had.

    Raises:
        ValueError: it is no file of a kind that is known.
        av.FFmpegError, LookupError: its head is damaged, or there is no sound in it.
    """
    source = av.open(io.BytesIO(data), "r", format=format_of(data), options=OPTIONS)
    with source as container:
        left_bytes = most_bytes - most_bytes % SAMPLE_BYTES
        for chunk in _gathered(_pcm(container)):
            yield chunk[:left_bytes]
            left_bytes -= len(chunk)
            if left_bytes <= 0:
                return


def format_of(data: bytes) -> str:
    """The demuxer for this file.

    Raises:
        ValueError: there is none.
    """
    for name, (at, magic) in FORMATS.items():
        if data[at : at + len(magic)] == magic:
            return name
    raise ValueError("a file of another kind")


def _pcm(container: InputContainer) -> Iterator[bytes]:
    stream = container.streams.audio[0]
    stream.codec_context.thread_count = 1
    resampler = AudioResampler(format="s16", layout="mono", rate=CALLER.rate_hz)
    for frame in _frames(container, stream):
        frame.pts = None
        yield from _resampled(resampler, frame)
    yield from _resampled(resampler, None)


def _frames(container: InputContainer, stream: av.AudioStream) -> Iterator[av.AudioFrame]:
    bad = 0
    packets = _until_damaged(container.demux(stream))
    while bad <= BAD_PACKETS and (packet := next(packets, None)) is not None:
        try:
            yield from stream.codec_context.decode(packet)
        except av.FFmpegError:
            bad += 1


def _until_damaged(
    packets: Iterator["av.Packet[av.AudioStream]"],
) -> Iterator["av.Packet[av.AudioStream]"]:
    try:
        yield from packets
    except av.FFmpegError:
        return


def _resampled(resampler: AudioResampler, frame: av.AudioFrame | None) -> Iterator[bytes]:
    try:
        converted = resampler.resample(frame)
    except (av.FFmpegError, ValueError):
        return  # a frame that fits neither the ones before it nor a loudspeaker
    for part in converted:
        if part.samples:
            yield bytes(memoryview(part.planes[0])[: part.samples * SAMPLE_BYTES])


def _gathered(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same in larger pieces: every one is a message."""
    while some := b"".join(islice(pieces, 256)):
        for at in range(0, len(some), CHUNK_BYTES):
            yield some[at : at + CHUNK_BYTES]
