"""Piper voices. Loaded in worker processes only: piper-tts is a program under the GPL."""

import json
from collections.abc import Iterator
from pathlib import Path

import onnxruntime
from piper import PiperVoice, SynthesisConfig
from piper.config import PiperConfig

from calls.audio.resample import Resampler
from calls.domain.audio import AGENT

_CHUNK_MS = 200
_SLOWEST, _FASTEST = 0.5, 2.0


class Piper:
    """Speaks with voices in folders, sentence by sentence. Sound is `audio.AGENT`."""

    def __init__(self) -> None:
        self._voices: dict[str, PiperVoice] = {}

    def speak(self, folder: str, text: str, speed: float) -> Iterator[bytes]:
        """The sound of `text` in chunks; a sentence is made as a whole before its first chunk."""
        voice = self._voice(folder)
        resampler = Resampler(voice.config.sample_rate, AGENT.rate_hz)
        pace = voice.config.length_scale / max(_SLOWEST, min(_FASTEST, speed))
        for sentence in voice.synthesize(text, SynthesisConfig(length_scale=pace)):
            yield from _chunks(resampler.feed(sentence.audio_int16_bytes))
        yield from _chunks(resampler.flush())

    def _voice(self, folder: str) -> PiperVoice:
        if folder not in self._voices:
            self._voices[folder] = _load(Path(folder))
        return self._voices[folder]


def _load(folder: Path) -> PiperVoice:
    """Like `PiperVoice.load`, but on one thread: a worker is one of several."""
    config = PiperConfig.from_dict(json.loads((folder / "voice.onnx.json").read_text("utf-8")))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        str(folder / "voice.onnx"), sess_options=options, providers=["CPUExecutionProvider"]
    )
    return PiperVoice(config=config, session=session, download_dir=folder)


def _chunks(pcm: bytes) -> Iterator[bytes]:
    size = AGENT.bytes(_CHUNK_MS)
    return (pcm[begin : begin + size] for begin in range(0, len(pcm), size))
