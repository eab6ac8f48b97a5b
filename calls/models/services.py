"""What the services behind a call were asked for."""

from django.db import models
from typing_extensions import override

from calls.domain.events import Stage
from calls.models.conversations import Conversation


class ServiceUse(models.Model):
    """One request to one provider; `calls.domain.usage.ServiceUse` says what its fields mean."""

    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="uses")
    number = models.PositiveIntegerField()
    turn = models.PositiveIntegerField()
    response_id = models.PositiveIntegerField(null=True)
    stage = models.CharField(max_length=8, choices=[(s.value, s.name) for s in Stage])
    provider = models.CharField(max_length=40)
    model = models.CharField(max_length=100, blank=True)
    outcome = models.CharField(max_length=16)
    began_ms = models.PositiveIntegerField()
    first_ms = models.PositiveIntegerField(null=True)
    duration_ms = models.PositiveIntegerField()
    request_id = models.CharField(max_length=100, blank=True)
    usage = models.JSONField(default=dict)
    """Figures by name: tokens, characters, milliseconds of sound."""
    estimated = models.BooleanField(default=False)
    cost_micros = models.PositiveBigIntegerField(null=True)
    """In millionths of the currency; null: no price was known."""

    class Meta:
        """In the order in which they were over."""

        ordering = ("conversation", "number")
        constraints = (models.UniqueConstraint(fields=["conversation", "number"], name="use_once"),)

    @override
    def __str__(self) -> str:
        return f"{self.conversation_id} {self.stage} {self.number}"
