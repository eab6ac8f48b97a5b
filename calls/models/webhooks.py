"""Webhooks: what other servers are told of calls, and asked for in the middle of one."""

import secrets

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from typing_extensions import override

from calls.models.agents import TOOL_NAME
from calls.models.conversations import Conversation
from calls.models.sites import Site
from calls.models.work import Work


class WebhookEvent(models.TextChoices):
    CALL_STARTED = "call.started", "A call has begun"
    CALL_ENDED = "call.ended", "A call is over"
    SUMMARY_READY = "summary.ready", "A summary was written"
    DATA_EXTRACTED = "data.extracted", "Data was picked out"


def event_names(value: object) -> None:
    """Check that `value` is a list of events."""
    if not isinstance(value, list) or not set(value) <= set(WebhookEvent.values):
        raise ValidationError(f"A list of these: {', '.join(WebhookEvent.values)}.")


def tool_name(value: str) -> None:
    """Check that a model can call it so."""
    if not TOOL_NAME.fullmatch(value):
        raise ValidationError("Letters, digits, “_” and “-”, beginning with a letter.")


def fresh_nonce() -> str:
    return secrets.token_hex(16)


class Webhook(models.Model):
    """An address that is told of calls.

    Its signing secret is not stored: it is derived from the project's `SECRET_KEY` and `nonce`.
    """

    site = models.ForeignKey(
        Site, models.CASCADE, null=True, blank=True, help_text="Empty: of every site."
    )
    url = models.URLField(max_length=500)
    events = models.JSONField(default=list, validators=[event_names])
    active = models.BooleanField(default=True)
    nonce = models.CharField(max_length=32, default=fresh_nonce, editable=False)
    created_at = models.DateTimeField("created", db_default=Now(), editable=False)

    @override
    def __str__(self) -> str:
        return self.url


class WebhookDelivery(Work):
    """One event for one address. What it says is read from the rows when it is sent."""

    webhook = models.ForeignKey(Webhook, models.CASCADE, related_name="deliveries")
    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="deliveries")
    event = models.CharField(max_length=20, choices=WebhookEvent)
    event_id = models.CharField(max_length=40, unique=True)
    """The same at every attempt: the receiver knows by it what it has already had."""
    status = models.PositiveSmallIntegerField(null=True)
    """HTTP status of the last answer."""

    class Meta:
        """What is due is found without reading what is done; an event is told once."""

        verbose_name_plural = "webhook deliveries"
        indexes = (
            models.Index(
                fields=["lease_until"],
                name="delivery_due",
                condition=Q(state__in=["pending", "running"]),
            ),
        )

    @override
    def __str__(self) -> str:
        return f"{self.event} {self.event_id}"


class WebhookTool(models.Model):
    """A tool of agents that another server answers, in the middle of a call."""

    site = models.ForeignKey(
        Site, models.CASCADE, null=True, blank=True, help_text="Empty: in calls of every site."
    )
    name = models.CharField(
        max_length=64, unique=True, validators=[tool_name], help_text="As agents name it."
    )
    description = models.TextField(help_text="Tells the language model when to use it.")
    parameters = models.JSONField(
        default=dict, blank=True, help_text="JSON schema of its arguments, an object."
    )
    url = models.URLField(max_length=500)
    timeout_ms = models.PositiveIntegerField(
        default=8_000, validators=[MinValueValidator(500), MaxValueValidator(30_000)]
    )
    active = models.BooleanField(default=True)
    nonce = models.CharField(max_length=32, default=fresh_nonce, editable=False)
    created_at = models.DateTimeField("created", db_default=Now(), editable=False)

    class Meta:
        """By name."""

        ordering = ("name",)

    @override
    def __str__(self) -> str:
        return self.name
