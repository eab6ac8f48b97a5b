"""MP3: what comes out is the sound that went in, however it was cut."""

import io

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls.audio.mp3 import FRAME_SAMPLES, Mp3Encoder

RATE_HZ = 24_000
DELAY_SAMPLES = 1_105


def tone(ms, hz=440, rate_hz=RATE_HZ):
    at = np.arange(rate_hz * ms // 1000) / rate_hz
    return (8_000 * np.sin(2 * np.pi * hz * at)).astype("<i2").tobytes()


def decoded(mp3):
    with av.open(io.BytesIO(mp3), format="mp3") as container:
        stream = container.streams.audio[0]
        parts = [frame.to_ndarray()[0] for frame in container.decode(stream)]
        return stream.rate, np.concatenate(parts)


def encoded(pcm, size, rate_hz=RATE_HZ):
    encoder = Mp3Encoder(rate_hz)
    pieces = [encoder.feed(pcm[at : at + size]) for at in range(0, len(pcm), size)]
    return b"".join(pieces) + encoder.flush()


@pytest.mark.parametrize("rate_hz", FRAME_SAMPLES)
def test_a_tone_keeps_its_pitch_and_its_length(rate_hz):
    rate, sound = decoded(encoded(tone(500, rate_hz=rate_hz), 1_000, rate_hz))
    assert rate == rate_hz
    samples = rate_hz // 2
    assert samples + DELAY_SAMPLES <= len(sound) <= samples + 4 * FRAME_SAMPLES[rate_hz]
    middle = sound[samples // 4 : samples // 4 * 3]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert abs(spectrum.argmax() * rate_hz / len(middle) - 440) < 8
    assert 0.2 < np.abs(middle).max() < 0.3


@given(st.integers(1, 5_000))
def test_pieces_of_any_size_make_the_same_mp3(size):
    pcm = tone(200)
    assert encoded(pcm, size * 2) == encoded(pcm, len(pcm))


def test_what_was_sent_of_a_stream_that_is_broken_off_is_sound_to_its_end():
    encoder = Mp3Encoder(RATE_HZ)
    mp3 = encoder.feed(tone(1_000))
    _, sound = decoded(mp3)
    assert len(sound) > 0.9 * RATE_HZ
    assert np.abs(sound[-2_000:]).max() > 0.2


def test_streams_one_after_the_other_are_one_stream():
    encoder = Mp3Encoder(RATE_HZ)
    first = encoder.feed(tone(300)) + encoder.flush()
    second = encoder.feed(tone(300, hz=880)) + encoder.flush()
    assert len(decoded(first + second)[1]) == len(decoded(first)[1]) + len(decoded(second)[1])


def test_it_is_whole_frames_without_tags():
    mp3 = encoded(tone(100), 480)
    assert mp3[0] == 0xFF
    assert mp3[1] & 0xE0 == 0xE0
    assert len(mp3) % 192 == 0  # of 24 ms at 64 kbit/s


def test_an_empty_stream_is_nothing():
    encoder = Mp3Encoder(RATE_HZ)
    assert encoder.feed(b"") + encoder.flush() == b""
    assert encoder.feed(b"\0") + encoder.flush() == b""


def test_a_rate_without_mp3_is_refused():
    with pytest.raises(ValueError, match="no MP3 of 11025 Hz"):
        Mp3Encoder(11_025)
