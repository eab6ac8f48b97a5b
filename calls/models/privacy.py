"""What is kept about people's data: who looked at it, and what was asked to be forgotten."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from typing_extensions import override

from calls.models.conversations import Conversation
from calls.models.work import Work


class AuditAction(models.TextChoices):
    VIEWED = "viewed", "Viewed"
    LISTENED = "listened", "Listened to the recording"
    EXPORTED = "exported", "Exported"
    ERASED = "erased", "Erased"
    REDACTED = "redacted", "Redacted"
    ENDED = "ended", "Ended the call"


class AuditEntry(models.Model):
    """Somebody did something with a call. Holds ids and nothing that was said; never edited."""

    at = models.DateTimeField(db_default=Now(), db_index=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True)
    actor = models.CharField(max_length=150)
    """Who, in words that outlive the user: a user's name, an API key's, a command."""
    action = models.CharField(max_length=10, choices=AuditAction)
    call_id = models.CharField(max_length=64, blank=True, db_index=True)
    detail = models.CharField(max_length=200, blank=True)

    class Meta:
        """Newest first."""

        ordering = ("-at", "-pk")
        verbose_name_plural = "audit entries"

    @override
    def __str__(self) -> str:
        return f"{self.actor} {self.action} {self.call_id}"


class Erasure(Work):
    """All calls of one caller, or some calls, are to be forgotten everywhere.

    `caller` and `call_ids` are emptied when it is done: what remains says only that it happened.
    """

    caller = models.CharField(max_length=200, blank=True)
    call_ids = models.JSONField(default=list)
    """Of the calls that are still to be erased."""
    actor = models.CharField(max_length=150)
    conversations = models.PositiveIntegerField(default=0)
    recordings = models.PositiveIntegerField(default=0)

    class Meta:
        """Newest first."""

        ordering = ("-requested_at",)

    @override
    def __str__(self) -> str:
        return f"Erasure {self.pk}"


class Redaction(Work):
    """Personal data of an ended conversation is to be made unreadable and silent."""

    conversation = models.OneToOneField(Conversation, models.CASCADE, primary_key=True)
    found = models.PositiveIntegerField(default=0)
    """How many passages were redacted."""

    class Meta:
        """What is due is found without reading what is done."""

        indexes = (
            models.Index(
                fields=["lease_until"],
                name="redaction_due",
                condition=Q(state__in=["pending", "running"]),
            ),
        )

    @override
    def __str__(self) -> str:
        return f"Redaction of {self.conversation_id}"
