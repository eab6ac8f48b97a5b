"""Files as browsers' recorders make them, and worse ones."""

import io
import wave
from pathlib import Path

import av

AUDIO = Path(__file__).resolve().parents[1] / "fixtures" / "audio"
KINDS = {"webm": "libopus", "ogg": "libopus", "mp4": "aac"}
"""Chromium's, Firefox's and Safari's."""

STREAMED = {
    "webm": {"cluster_time_limit": "100"},
    "ogg": {"page_duration": "100000"},
    "mp4": {"movflags": "frag_keyframe+empty_moov+default_base_moof", "frag_duration": "100000"},
}
"""As of a recorder that gives its file in pieces: what it has given can be played."""


def speech(name="she-sells"):
    """An utterance, 16 kHz s16le mono."""
    with wave.open(str(AUDIO / f"{name}.wav"), "rb") as wav:
        return wav.readframes(wav.getnframes())


def recorded(pcm, kind="webm", *, rate_hz=48_000, layout="stereo"):
    """A file of this sound."""
    file = io.BytesIO()
    with av.open(file, "w", format=kind, options=STREAMED[kind]) as container:
        stream = container.add_stream(KINDS[kind], rate=rate_hz, layout=layout)
        resampler = av.AudioResampler("s16", layout, rate_hz)
        for frame in (*resampler.resample(_frame(pcm)), *resampler.resample(None)):
            frame.pts = None
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def pieces(file, size=1_954):
    """The file as a recorder gives it."""
    return [file[at : at + size] for at in range(0, len(file), size)]


def _frame(pcm):
    frame = av.AudioFrame(format="s16", layout="mono", samples=len(pcm) // 2)
    frame.sample_rate = 16_000
    frame.planes[0].update(pcm)
    return frame
