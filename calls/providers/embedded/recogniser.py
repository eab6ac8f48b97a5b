"""PocketSphinx with its open model of US English. Loaded in worker processes only."""

from pocketsphinx import Decoder

from calls.domain.audio import CALLER

_WARM_UP_MS = 400


class Recogniser:
    """Understands one whole utterance at a time; no utterance influences the next."""

    def __init__(self) -> None:
        # The open model with a bound on how much it tries at once: a third less work for quiet
        # speech at the same error rate, and noise cannot run away with it.
        self._decoder = Decoder(
            samprate=float(CALLER.rate_hz), loglevel="FATAL", maxhmmpf=5_000, maxwpf=10
        )
        self.transcribe(bytes(CALLER.bytes(_WARM_UP_MS)))

    def transcribe(self, pcm: bytes) -> str:
        """The words of the utterance, lower case, empty if there are none."""
        self._decoder.start_utt()
        self._decoder.process_raw(pcm, False, True)
        self._decoder.end_utt()
        found = self._decoder.hyp()
        return found.hypstr.strip() if found else ""
