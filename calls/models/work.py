"""Work that waits on a row until somebody does it."""

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now


class WorkState(models.TextChoices):
    PENDING = "pending", "Waiting"
    RUNNING = "running", "Being done"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"


class Work(models.Model):
    """Whoever does it holds a lease; a lease that ran out is anybody's.

    While `state` is pending, `lease_until` is when to try again; null: at once.
    `calls.store.work` takes and gives back leases.
    """

    state = models.CharField(max_length=8, choices=WorkState, default=WorkState.PENDING)
    lease_until = models.DateTimeField(null=True, blank=True)
    lease = models.CharField(max_length=32, blank=True)
    """Names the run that holds it."""
    attempts = models.PositiveSmallIntegerField(default=0)
    error = models.CharField(max_length=300, blank=True)
    requested_at = models.DateTimeField(db_default=Now())
    done_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        """No table of its own."""

        abstract: ClassVar[bool] = True
