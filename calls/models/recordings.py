"""The recording of a call: a row that says what file there is."""

from pathlib import Path
from typing import Any

from django.db import models, transaction
from django.db.models.functions import Now
from django.db.models.signals import post_delete
from django.dispatch import receiver
from typing_extensions import override

from calls.conf import calls_settings
from calls.models.conversations import Conversation

PEAKS_SUFFIX = ".peaks"
"""Beside a recording lies what its waveform is drawn from."""


class RecordingState(models.TextChoices):
    WRITING = "writing", "Being written"
    COMPLETE = "complete", "Complete"
    TRUNCATED = "truncated", "Ends early"
    FAILED = "failed", "Failed"


class Recording(models.Model):
    """Both sides of a call in one file: the caller left, the agent right."""

    conversation = models.OneToOneField(Conversation, models.CASCADE, primary_key=True)
    path = models.CharField(max_length=200)
    """Below the folder of recordings."""
    rate_hz = models.PositiveIntegerField()
    channels = models.PositiveSmallIntegerField()
    duration_ms = models.PositiveIntegerField(default=0)
    size_bytes = models.PositiveBigIntegerField(default=0)
    state = models.CharField(max_length=10, choices=RecordingState, default=RecordingState.WRITING)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        """Hearing a call is a right of its own."""

        permissions = [  # noqa: RUF012 - the stubs say list, and mean this one
            ("listen_recording", "Can listen to recordings"),
        ]

    @override
    def __str__(self) -> str:
        return self.path

    @property
    def file(self) -> Path:
        """Where the file lies.

        Raises:
            ValueError: the row names a place outside the folder of recordings.
        """
        folder = calls_settings().recordings_dir.resolve()
        file = (folder / self.path).resolve()
        if not file.is_relative_to(folder):
            raise ValueError("a recording outside its folder")
        return file


@receiver(post_delete, sender=Recording, dispatch_uid="calls.recording_files")
def remove_files(instance: Recording, **_: Any) -> None:
    """Remove the files of a deleted row, once the deletion is certain."""
    file = instance.file

    def remove() -> None:
        file.unlink(missing_ok=True)
        file.with_name(file.name + PEAKS_SUFFIX).unlink(missing_ok=True)

    transaction.on_commit(remove, robust=True)
