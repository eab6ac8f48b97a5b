"""The summary of a conversation, and how far its making has come."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from typing_extensions import override

from calls.models.conversations import Conversation


class SummaryState(models.TextChoices):
    PENDING = "pending", "Waiting"
    RUNNING = "running", "Being written"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"


class SummaryMethod(models.TextChoices):
    EXTRACTIVE = "extractive", "Picked from the conversation by rule"
    MODEL = "model", "Written by a language model"


class Summary(models.Model):
    """What a conversation came to.

    Whoever writes it holds a lease; a lease that ran out is anybody's. While `state` is pending,
    `lease_until` is when to try again. What an earlier run wrote stays until the next one is done.
    """

    conversation = models.OneToOneField(Conversation, models.CASCADE, primary_key=True)
    state = models.CharField(max_length=8, choices=SummaryState, default=SummaryState.PENDING)
    lease_until = models.DateTimeField(null=True)
    lease = models.CharField(max_length=32, blank=True)
    """Names the run that holds it."""
    attempts = models.PositiveSmallIntegerField(default=0)
    error = models.CharField(max_length=300, blank=True)
    title = models.CharField(max_length=200, blank=True)
    summary = models.TextField(blank=True)
    key_points = models.JSONField(default=list)
    next_steps = models.JSONField(default=list)
    outcome = models.CharField(max_length=200, blank=True)
    language = models.CharField(max_length=35, blank=True)
    extracted = models.JSONField(null=True)
    """What was picked out by the agent's schema; null: none was wanted, or it failed."""
    extraction_error = models.CharField(max_length=300, blank=True)
    method = models.CharField(max_length=10, choices=SummaryMethod, blank=True)
    provider = models.CharField(max_length=100, blank=True)
    requested_at = models.DateTimeField(db_default=Now())
    done_at = models.DateTimeField(null=True)

    class Meta:
        """What is due is found without reading what is done."""

        verbose_name_plural = "summaries"
        indexes = (
            models.Index(
                fields=["lease_until"],
                name="summary_due",
                condition=Q(state__in=["pending", "running"]),
            ),
        )

    @override
    def __str__(self) -> str:
        return self.title or f"Summary of {self.conversation_id}"
