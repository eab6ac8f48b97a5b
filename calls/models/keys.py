"""Who may call by OpenAI Realtime's protocol: API keys, and the short-lived secrets they buy.

Of both only the SHA-256 is kept. They are 256 bits of chance, which nobody guesses however fast
the hash is; a slow one, as for passwords, would only make every call wait. The hash is also what
a row is found by, so that no comparison takes longer for a better guess.
"""

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Now
from typing_extensions import override

from calls.models.agents import Agent
from calls.models.sites import Site

SHOWN_CHARS = 12
HASH_CHARS = 64


SCOPES = ("calls", "tokens", "agents", "read", "recordings", "erase", "webhooks")


def default_scopes() -> list[str]:
    return ["calls"]


def scopes(value: object) -> None:
    """Check that `value` is a list of what keys are good for."""
    if not isinstance(value, list) or not set(value) <= set(SCOPES):
        raise ValidationError(f"A list of these: {', '.join(SCOPES)}.")


class ApiKey(models.Model):
    """Lets programs call agents, and make secrets for browsers that may not know the key."""

    name = models.CharField(max_length=100, help_text="Who has it; stands on the record of calls.")
    prefix = models.CharField("begins with", max_length=SHOWN_CHARS, editable=False)
    hash = models.CharField(max_length=HASH_CHARS, unique=True, editable=False)
    all_agents = models.BooleanField(
        "every agent", default=True, help_text="It may call every active agent, also later ones."
    )
    agents = models.ManyToManyField(
        Agent, blank=True, related_name="keys", help_text="If not every agent: only these."
    )
    configures = models.BooleanField(
        "may configure",
        default=True,
        help_text="Its clients may replace the agent's instructions and tools with their own.",
    )
    site = models.ForeignKey(
        Site,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="keys",
        help_text="Whose calls it opens and sees. Empty: it opens calls of this server's own, and "
        "sees those of every site.",
    )
    scopes = models.JSONField(
        default=default_scopes,
        blank=True,
        validators=[scopes],
        help_text="What it is good for: calls (OpenAI Realtime), tokens, agents, read, "
        "recordings, erase, webhooks.",
    )
    active = models.BooleanField(
        default=True, help_text="Off: the key and all secrets made with it open no more calls."
    )
    created_at = models.DateTimeField("created", db_default=Now(), editable=False)
    last_used_at = models.DateTimeField("last used", null=True, editable=False)
    """To the minute."""
    expires_at = models.DateTimeField(
        "expires", null=True, blank=True, help_text="Empty: it is good until it is switched off."
    )

    class Meta:
        """By name."""

        ordering = ("name", "pk")
        verbose_name = "API key"

    @override
    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class RealtimeSecret(models.Model):
    """A client's permission to begin calls with one agent, good for minutes."""

    hash = models.CharField(max_length=HASH_CHARS, unique=True)
    expires_at = models.DateTimeField(db_index=True)
    agent_slug = models.CharField(max_length=64)
    session = models.JSONField(null=True)
    """What its maker configured, in the words of the protocol."""
    api_key = models.ForeignKey(ApiKey, models.CASCADE, null=True, related_name="secrets")
    """Empty: made for a page of an allowed origin, without a key."""

    @override
    def __str__(self) -> str:
        return f"secret {self.pk}"
