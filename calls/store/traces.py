"""The files that a call leaves behind: its recording, the waveform, the last utterance."""

from collections.abc import Iterator
from pathlib import Path

from calls.conf import calls_settings
from calls.models import Recording
from calls.models.recordings import PEAKS_SUFFIX


def files_remove(call_id: str) -> bool:
    """Remove all files of a call; whether a recording is on the record. Idempotent.

    Raises:
        OSError: one of them cannot be removed.
    """
    debug_file(call_id).unlink(missing_ok=True)
    recording = Recording.objects.filter(pk=call_id).first()
    if recording is None:
        return False
    try:
        file = recording.file
    except ValueError:  # outside the folder: none of ours
        return False
    for each in (file, *_peaks(file)):
        each.unlink(missing_ok=True)
    return True


def peaks_remove(file: Path) -> None:
    """Have the waveform of a recording drawn anew."""
    for each in _peaks(file):
        each.unlink(missing_ok=True)


def debug_file(call_id: str) -> Path:
    """Where the last utterance of a call lies, if its agent keeps it."""
    return calls_settings().debug_dir / f"{Path(call_id).name}.wav"


def _peaks(file: Path) -> Iterator[Path]:
    kept = file.with_name(file.name + PEAKS_SUFFIX)
    yield kept
    yield kept.with_suffix(".new")
