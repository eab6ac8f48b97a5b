"""PocketSphinx with its open model of US English. Loaded in worker processes only."""

import operator
import random
from array import array
from collections.abc import Iterable
from itertools import cycle

from pocketsphinx import Decoder

from calls.domain.audio import CALLER

NOISE_LEVEL = 12.0
"""Of 32,768. Sound without any noise at all, as synthesisers and noise suppression make it, is
something that the model was never trained on: without this it mishears five times as much."""

_NOISE_MS = 1_000
_FULL_SCALE = 32_767
_LOUD = 32_000
"""What is louder is cut off where it would overflow."""

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
        chance = random.Random(1)  # noqa: S311 - the same noise every time is the point
        self._noise = array(
            "h", (round(chance.gauss(0, NOISE_LEVEL)) for _ in range(CALLER.samples(_NOISE_MS)))
        )
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
        samples = array("h", pcm)
        mixed: Iterable[int] = map(operator.add, samples, cycle(self._noise))
        if max(samples, default=0) > _LOUD or min(samples, default=0) < -_LOUD:
            mixed = (max(-_FULL_SCALE, min(_FULL_SCALE, sample)) for sample in mixed)
        return array("h", mixed).tobytes()
