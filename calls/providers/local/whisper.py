"""Whisper through faster-whisper. Loaded in worker processes only."""

import numpy as np
from faster_whisper import WhisperModel

_FULL_SCALE = 32_768.0


class Whisper:
    """Understands whole utterances with models in folders; never asks the network for one."""

    def __init__(self) -> None:
        self._models: dict[str, WhisperModel] = {}

    def transcribe(self, folder: str, language: str, pcm: bytes) -> str:
        """The words of `pcm`, `audio.CALLER`; a language it does not know is left to its guess."""
        model = self._model(folder)
        primary = language.partition("-")[0].lower()
        segments, _ = model.transcribe(
            np.frombuffer(pcm, "<i2").astype(np.float32) / _FULL_SCALE,
            language=primary if primary in model.supported_languages else None,
            beam_size=1,
            temperature=0.0,
            without_timestamps=True,
            condition_on_previous_text=False,
        )
        return " ".join(text for segment in segments if (text := segment.text.strip()))

    def _model(self, folder: str) -> WhisperModel:
        if folder not in self._models:
            # A worker is one of several: each takes one core.
            self._models[folder] = WhisperModel(
                folder, device="cpu", compute_type="int8", cpu_threads=1, local_files_only=True
            )
        return self._models[folder]
