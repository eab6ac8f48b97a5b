"""Keeping the caller's last utterance for whoever looks for a fault."""

import logging
import os
import threading
from pathlib import Path

from calls.agents.workers import WorkersBusyError, workers
from calls.ports.speech import SpeechToText
from calls.providers.code.ears import KeepingSpeechToText

logger = logging.getLogger("calls.agents")


def keeping(inner: SpeechToText, folder: Path, call_id: str) -> SpeechToText:
    """The recogniser, with the last utterance of the call in `<folder>/<call_id>.wav`.

    Writing never fails the call, and nobody waits for it.
    """
    last = _LastUtterance(folder / f"{Path(call_id).name}.wav")
    return KeepingSpeechToText(inner, last.keep)


class _LastUtterance:
    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._wav = b""

    def keep(self, wav: bytes) -> None:
        self._wav = wav
        try:
            workers().submit(self._write)
        except WorkersBusyError:
            logger.warning("An utterance was not kept: all threads are busy.")

    def _write(self) -> None:
        """One thread at a time, each with what is the last utterance by then."""
        with self._lock:
            _write(self._file, self._wav)


def _write(file: Path, wav: bytes) -> None:
    """Replace the file as a whole; only the server's own user may read it."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = file.with_suffix(".part")
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            out.write(wav)
        fresh.replace(file)
    except OSError as error:
        logger.warning("An utterance could not be kept: %s.", type(error).__name__)
