"""Sound over a network: however it is cut and packed, the same samples come out."""

import io
import struct
import wave
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls.audio.pcm_stream import PcmStream, wav_bytes
from calls.audio.resample import Resampler
from calls.domain.audio import AGENT
from tests.audio.sounds import pcm, tone

SOUND = pcm(tone(440, 60, rate_hz=24_000))
UNKNOWN = 0xFFFF_FFFF


def chunk(kind: bytes, body: bytes, size: int | None = None) -> bytes:
    head = kind + struct.pack("<I", len(body) if size is None else size)
    return head + body + b"\0" * (len(body) % 2)


def format_of(kind: int = 1, channels: int = 1, bits: int = 16, rate_hz: int = 24_000) -> bytes:
    size = channels * bits // 8
    return chunk(
        b"fmt ", struct.pack("<HHIIHH", kind, channels, rate_hz, rate_hz * size, size, bits)
    )


def riff(*chunks: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", UNKNOWN) + b"WAVE" + b"".join(chunks)


def read(stream: bytes, rate_hz: int | None = None, cuts=()) -> bytes:
    reader = PcmStream(rate_hz)
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    parts = [reader.feed(stream[a:b]) for a, b in pairwise(edges)]
    assert not any(len(part) % 2 for part in parts)
    return b"".join(parts) + reader.end()


def stereo(left: bytes, right: bytes) -> bytes:
    return np.stack([np.frombuffer(left, "<i2"), np.frombuffer(right, "<i2")], axis=1).tobytes()


def resampled(sound: bytes, rate_hz: int) -> bytes:
    resampler = Resampler(rate_hz, AGENT.rate_hz)
    return resampler.feed(sound) + resampler.flush()


INFO = chunk(b"LIST", b"INFOISFT\x05\0\0\0Lavf1\0")
STREAMS = [
    # id                                       stream                                                        raw rate
    ("raw", SOUND, 24_000),
    ("raw at another rate", SOUND, 22_050),
    ("a WAV file", wav_bytes(SOUND, 24_000), None),
    ("a WAV file at another rate", wav_bytes(SOUND, 16_000), None),
    ("a WAV file in two channels", riff(format_of(channels=2), chunk(b"data", SOUND)), None),
    ("chunks before and after", riff(INFO, format_of(), chunk(b"fact", b"abc"), chunk(b"data", SOUND), INFO), None),
    ("of unknown length, with chunks", riff(format_of(), INFO, chunk(b"data", SOUND, UNKNOWN), INFO, INFO), None),
    ("a name in the sound", riff(format_of(), chunk(b"data", SOUND + b"LISTLIST\0\0\0\0" + SOUND, UNKNOWN)), None),
]  # fmt: skip


@given(stream=st.sampled_from(STREAMS), cuts=st.lists(st.integers(0, 9_000), max_size=20))
def test_cutting_does_not_change_the_sound(stream, cuts):
    _, data, rate_hz = stream

    assert read(data, rate_hz, cuts) == read(data, rate_hz)


@pytest.mark.parametrize("stream", [pytest.param(s[1:], id=s[0]) for s in STREAMS])
def test_one_byte_at_a_time(stream):
    data, rate_hz = stream

    assert read(data, rate_hz, range(len(data))) == read(data, rate_hz)


def test_raw_sound_at_the_agents_rate_is_left_as_it_is():
    assert read(SOUND, 24_000, cuts=[1, 7, 4801 % len(SOUND)]) == SOUND


def test_raw_sound_at_another_rate_is_resampled():
    assert read(SOUND, 16_000, cuts=[3, 1_001]) == resampled(SOUND, 16_000)


WAVS = [
    # id                              file                                                              samples
    ("as we write it", wav_bytes(SOUND, 24_000), SOUND),
    ("streamed, of unknown length", riff(format_of(), chunk(b"data", SOUND, UNKNOWN)), SOUND),
    ("of a length that was never filled in", riff(format_of(), chunk(b"data", SOUND, 0)), SOUND),
    ("of the longest length there is", riff(format_of(), chunk(b"data", SOUND, 0x7FFF_FFDB)), SOUND),
    ("chunks before the samples", riff(chunk(b"bext", bytes(601)), format_of(), INFO, chunk(b"data", SOUND)), SOUND),
    ("chunks after the samples", riff(format_of(), chunk(b"data", SOUND), INFO, chunk(b"C2PA", bytes(99))), SOUND),
    ("chunks after samples of unknown length", riff(format_of(), chunk(b"data", SOUND, UNKNOWN), INFO, INFO), SOUND),
    ("a chunk that was cut off", riff(format_of(), chunk(b"data", SOUND, UNKNOWN), INFO[:11]), SOUND),
    ("its name alone", riff(format_of(), chunk(b"data", SOUND, UNKNOWN), b"LIST"), SOUND),
    ("a name in the sound", riff(format_of(), chunk(b"data", SOUND + INFO + SOUND, UNKNOWN)), SOUND + INFO + SOUND),
    ("a name with an unlikely length", riff(format_of(), chunk(b"data", SOUND + b"LIST\xff\xff\0\x10" + SOUND, UNKNOWN)), SOUND + b"LIST\xff\xff\0\x10" + SOUND),
    ("a name between samples", riff(format_of(), chunk(b"data", SOUND + b"\0LIST\0", UNKNOWN)), SOUND + b"\0LIST\0"),
    ("half a sample at the end", riff(format_of(), chunk(b"data", SOUND, UNKNOWN), b"\1"), SOUND),
    ("an extensible format", riff(format_of(kind=0xFFFE), chunk(b"data", SOUND)), SOUND),
    ("two equal channels", riff(format_of(channels=2), chunk(b"data", stereo(SOUND, SOUND))), SOUND),
    ("two opposite channels", riff(format_of(channels=2), chunk(b"data", stereo(b"\x10\x27\x18\xfc", b"\xf0\xd8\xe8\x03"))), bytes(4)),
    ("two loud channels", riff(format_of(channels=2), chunk(b"data", b"\xff\x7f\xff\x7f\x00\x80\x00\x80")), b"\xff\x7f\x00\x80"),
    ("at another rate", riff(format_of(rate_hz=16_000), chunk(b"data", SOUND)), resampled(SOUND, 16_000)),
]  # fmt: skip


@pytest.mark.parametrize("expected_hz", [None, 24_000, 48_000])
@pytest.mark.parametrize(("file", "samples"), [pytest.param(*w[1:], id=w[0]) for w in WAVS])
def test_only_the_samples_of_a_wav_file_are_played(file, samples, expected_hz):
    assert read(file, expected_hz) == samples


def test_a_file_of_the_standard_library_is_read():
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setparams((1, 2, 24_000, 0, "NONE", ""))
        wav.writeframes(SOUND)

    assert read(file.getvalue()) == SOUND


def test_the_standard_library_reads_ours():
    with wave.open(io.BytesIO(wav_bytes(SOUND, 16_000))) as wav:
        assert (wav.getframerate(), wav.getnchannels(), wav.getsampwidth()) == (16_000, 1, 2)
        assert wav.readframes(wav.getnframes()) == SOUND


REFUSED = [
    ("floats", riff(format_of(kind=3, bits=32), chunk(b"data", bytes(8)))),
    ("8 bits", riff(format_of(bits=8), chunk(b"data", bytes(8)))),
    ("six channels", riff(format_of(channels=6), chunk(b"data", bytes(24)))),
    ("samples without a format", riff(chunk(b"data", SOUND))),
    ("a format of unlikely length", riff(chunk(b"fmt ", bytes(5_000)), chunk(b"data", SOUND))),
    ("a rate beyond ours", riff(format_of(rate_hz=96_000), chunk(b"data", SOUND))),
    ("raw sound, a file expected", SOUND),
]


@pytest.mark.parametrize("file", [pytest.param(r[1], id=r[0]) for r in REFUSED])
def test_other_encodings_are_refused_in_a_plain_sentence(file):
    with pytest.raises(ValueError, match=r"WAV|resample"):
        read(file)


@pytest.mark.parametrize("beginning", [b"ID3\x04", b"OggS", b"fLaC"])
def test_compressed_sound_is_not_played_as_noise(beginning):
    with pytest.raises(ValueError, match="neither"):
        read(beginning + bytes(100), 24_000)


def test_a_rate_beyond_ours_is_refused_at_once():
    with pytest.raises(ValueError, match="resample"):
        PcmStream(4_000)


COMPLETE = [
    ("everything", wav_bytes(SOUND, 24_000), None, True),
    ("of unknown length", riff(format_of(), chunk(b"data", SOUND, UNKNOWN)), None, True),
    ("raw", SOUND, 24_000, True),
    ("nothing at all, raw", b"", 24_000, True),
    ("short of a sample", wav_bytes(SOUND, 24_000)[:-2], None, False),
    ("the header alone", wav_bytes(SOUND, 24_000)[:44], None, False),
    ("half a header", wav_bytes(SOUND, 24_000)[:30], None, False),
    ("nothing at all", b"", None, False),
]


@pytest.mark.parametrize(
    ("data", "rate_hz", "complete"), [pytest.param(*c[1:], id=c[0]) for c in COMPLETE]
)
def test_a_file_that_ends_early_is_told_from_a_whole_one(data, rate_hz, complete):
    reader = PcmStream(rate_hz)
    reader.feed(data)
    reader.end()

    assert reader.complete is complete


def test_a_few_samples_are_sound_too():
    assert read(b"\1\2\3\4", 24_000) == b"\1\2\3\4"


def test_samples_do_not_wait_for_the_end_of_the_stream():
    reader = PcmStream()

    assert len(reader.feed(riff(format_of(), chunk(b"data", SOUND, UNKNOWN)))) >= len(SOUND) - 4


@given(st.binary(max_size=200))
def test_no_bytes_whatever_do_anything_else(noise):
    for data in (noise, riff(format_of())[:30] + noise, riff(format_of(), b"data\0\0\0\0") + noise):
        try:
            read(data)
        except ValueError:
            continue
