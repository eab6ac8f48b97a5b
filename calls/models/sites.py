"""Sites: who may show the calls in their pages, and how much they may use."""

import re

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models.functions import Now
from typing_extensions import override

from calls.models.agents import Agent

OWN_SITE = "own"
"""The slug of the site that every call belongs to which comes by no other: this server's own page,
and programs. Without a row of that name it has no limits."""

FILE_ORIGIN = "file://"
"""Pages that were opened from a disk, all of them; browsers tell them apart by nothing."""

ORIGIN = re.compile(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(:[0-9]{1,5})?")


def origins(value: object) -> None:
    """Check that `value` is a list of origins: scheme, host and port, and nothing after them."""
    if not isinstance(value, list):
        raise ValidationError("A list of origins, such as [“https://www.example.com”].")
    for origin in value:
        known = isinstance(origin, str) and (origin == FILE_ORIGIN or ORIGIN.fullmatch(origin))
        if not known:
            raise ValidationError(
                "%(origin)s is no origin: https://host or https://host:port, in small letters.",
                params={"origin": origin},
            )


def _limit(name: str, default: int | None, help_text: str) -> models.PositiveIntegerField:  # type: ignore[type-arg]
    return models.PositiveIntegerField(
        name,
        null=True,
        blank=True,
        default=default,
        validators=[MinValueValidator(1)],
        help_text=help_text,
    )


def _money(name: str, help_text: str) -> models.DecimalField:  # type: ignore[type-arg]
    return models.DecimalField(
        name,
        null=True,
        blank=True,
        max_digits=12,
        decimal_places=6,
        validators=[MinValueValidator(0)],
        help_text=help_text,
    )


class Site(models.Model):
    """Somebody whose pages or programs open calls, with what they are allowed.

    A limit that is empty does not limit. Days are days of UTC.
    """

    slug = models.SlugField(max_length=64, unique=True)
    name = models.CharField(max_length=100)
    active = models.BooleanField(
        default=True, help_text="Off: no new call begins, and those that go on are ended."
    )
    public = models.BooleanField(
        default=False,
        help_text="Whoever opens one of its pages may call. Off: its server has to ask for a "
        "token for each call, with one of the site's keys.",
    )
    origins = models.JSONField(
        default=list,
        blank=True,
        validators=[origins],
        help_text="Whose pages may show the call: [“https://www.example.com”]. "
        "“file://” stands for pages opened from a disk.",
    )
    all_agents = models.BooleanField(
        "every agent", default=False, help_text="It may call every active agent, also later ones."
    )
    agents = models.ManyToManyField(
        Agent, blank=True, related_name="sites", help_text="If not every agent: only these."
    )

    max_calls = _limit("calls at once", 20, "Of the whole site.")
    max_calls_per_hour = _limit("calls in an hour", 600, "Of the whole site.")
    max_address_calls = _limit("calls at once from one address", 3, "IPv6: from one /64.")
    max_address_calls_per_hour = _limit("calls in an hour from one address", 30, "IPv6: one /64.")
    max_call_seconds = _limit("longest call (s)", 1_800, "The agent's own limit counts as well.")
    max_minutes_per_day = _limit("minutes in a day", None, "Of all its calls together.")
    max_call_cost = _money("money for a call", "What its services cost, by the prices here.")
    max_day_cost = _money("money in a day", "Of all its calls together.")

    created_at = models.DateTimeField("created", db_default=Now(), editable=False)

    class Meta:
        """By name."""

        ordering = ("name", "pk")

    @override
    def __str__(self) -> str:
        return self.name


class UsedToken(models.Model):
    """A token that has opened its call; it opens no other."""

    token_id = models.CharField(max_length=40, primary_key=True)
    expires_at = models.DateTimeField(db_index=True)
    """From then on the token is refused without being looked up."""

    @override
    def __str__(self) -> str:
        return self.token_id
