"""PocketSphinx with its open model of US English. Loaded in worker processes only."""

import numpy as np
from pocketsphinx import Decoder

from calls.domain.audio import CALLER

NOISE_LEVEL = 12.0
"""Of 32,768. Sound without any noise at all, as synthesisers and noise suppression make it, is
something that the model was never trained on: without this it mishears five times as much."""

_NOISE_MS = 5_000
_WARM_UP_MS = 400


class Recogniser:
    """Understands one whole utterance at a time; no utterance influences the next."""

    def __init__(self) -> None:
        self._decoder = Decoder(
            samprate=float(CALLER.rate_hz),
            loglevel="FATAL",
            # Sound is normalised over the utterance alone; otherwise callers influence each other.
            cmn="batch",
            # Bounds on what it tries at once: less work for the same errors, and noise cannot run
            # away with it.
            maxhmmpf=5_000,
            maxwpf=10,
        )
        noise = np.random.default_rng(1).normal(0.0, NOISE_LEVEL, CALLER.samples(_NOISE_MS))
        self._noise = noise.astype(np.float32)
        self.transcribe(bytes(CALLER.bytes(_WARM_UP_MS)))

    def transcribe(self, pcm: bytes) -> str:
        """The words of the utterance, lower case, empty if there are none."""
        # Whatever the last utterance left behind in the front end goes.
        self._decoder.reinit_feat()
        self._decoder.start_utt()
        self._decoder.process_raw(self._with_noise(pcm), False, True)
        self._decoder.end_utt()
        found = self._decoder.hyp()
        return found.hypstr.strip() if found else ""

    def _with_noise(self, pcm: bytes) -> bytes:
        """The same noise for the same length: what is understood does not depend on chance."""
        samples = np.frombuffer(pcm, "<i2").astype(np.float32)
        samples += np.resize(self._noise, samples.shape)
        return samples.clip(-32_768, 32_767).astype("<i2").tobytes()
