"""The agent: everything that shapes a call."""

import re

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from typing_extensions import override

from calls.models.choosing import (
    CHOICE_RANGES,
    Eagerness,
    ServiceChoice,
    TurnDetection,
    within_range,
)

TOOL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
SHORTEST_IDLE_MS = 3_000
language_tag = RegexValidator(
    r"\A[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*\Z", "A language tag such as “en” or “de-AT”."
)

# What a number may be, in the form as well as in the table.
RANGES: dict[str, tuple[float, float]] = {
    "endpoint_silence_ms": (200, 5_000),
    "max_turn_ms": (5_000, 300_000),
    "idle_ms": (0, 600_000),
    "idle_prompts": (0, 10),
    "max_call_ms": (10_000, 14_400_000),
    "resume_ms": (0, 300_000),
    "max_tool_rounds": (0, 20),
    "max_failures": (1, 20),
    "stt_wait_ms": (500, 60_000),
    "response_wait_ms": (500, 120_000),
    **CHOICE_RANGES,
}


def within(name: str) -> list[MinValueValidator | MaxValueValidator]:
    return within_range(*RANGES[name])


def range_constraints() -> list[models.CheckConstraint]:
    return [
        models.CheckConstraint(
            name=f"agent_{name}_in_range",
            condition=Q(**{f"{name}__gte": least, f"{name}__lte": most}),
            violation_error_message=f"{name} must lie between {least} and {most}.",
        )
        for name, (least, most) in RANGES.items()
    ]


def tool_names(value: object) -> None:
    """Check that `value` is a list of names, each of them once."""
    if not isinstance(value, list):
        raise ValidationError("A list of tool names, such as [“book_appointment”].")
    for name in value:
        if not isinstance(name, str) or not TOOL_NAME.fullmatch(name):
            raise ValidationError("%(name)s is not the name of a tool.", params={"name": name})
    if len(set(value)) != len(value):
        raise ValidationError("A tool is named twice.")


class FirstMessage(models.TextChoices):
    """Who speaks first, and with which words."""

    FIXED = "fixed", "The agent, with the text below"
    GENERATED = "generated", "The agent, with words of its own"
    NONE = "none", "The caller"


class ConsentMode(models.TextChoices):
    """What the consent text is to a call."""

    SHOWN = "shown", "Shown where there is a page"
    SPOKEN = "spoken", "Shown where there is a page, spoken first to everybody else"
    REQUIRED = "required", "Without agreement on a page there is no call"


class MicdropVersion(models.TextChoices):
    """Generations of micdrop's wire."""

    FIRST = "1.0", "1.0 to 1.4"
    ONE = "1", "1.5 to 1.9"
    TWO = "2", "2 and later"


class Agent(ServiceChoice):
    """Who answers a call, and how. A call keeps the settings that it began with."""

    slug = models.SlugField(max_length=64, unique=True, help_text="Names the agent in addresses.")
    name = models.CharField(max_length=100)
    active = models.BooleanField(default=True, help_text="Off: no new call reaches this agent.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    language = models.CharField(
        max_length=35, default="en", validators=[language_tag], help_text="Language tag, e.g. en."
    )
    system_prompt = models.TextField(
        blank=True, help_text="What the language model is told about its part in the call."
    )
    tools = models.JSONField(
        default=list,
        blank=True,
        validators=[tool_names],
        help_text="Names of the tools it may use, as a list: [“book_appointment”].",
    )
    max_tool_rounds = models.PositiveSmallIntegerField(
        default=5,
        validators=within("max_tool_rounds"),
        help_text="How often it may go back to its tools within one answer.",
    )

    first_message_mode = models.CharField(
        "who speaks first",
        max_length=16,
        choices=FirstMessage,
        default=FirstMessage.FIXED,
    )
    first_message = models.TextField(
        "first words", blank=True, default="Hello! How can I help you?"
    )
    consent_text = models.TextField(
        blank=True, help_text="Shown before the call, e.g. that it is recorded. Empty: nothing."
    )
    consent_mode = models.CharField(
        "consent",
        max_length=8,
        choices=ConsentMode,
        default=ConsentMode.SHOWN,
    )

    endpoint_silence_ms = models.PositiveIntegerField(
        "silence that ends a turn (ms)", default=600, validators=within("endpoint_silence_ms")
    )
    max_turn_ms = models.PositiveIntegerField(
        "longest turn of the caller (ms)", default=30_000, validators=within("max_turn_ms")
    )
    interruptible = models.BooleanField(
        default=True, help_text="The agent falls silent when the caller begins to speak."
    )
    not_understood_text = models.TextField(
        blank=True, default="Sorry, I did not understand that. Could you say it again?"
    )

    idle_ms = models.PositiveIntegerField(
        "silence before it asks (ms)",
        default=15_000,
        validators=within("idle_ms"),
        help_text="0: it never asks, and silence does not end the call.",
    )
    idle_prompts = models.PositiveSmallIntegerField(
        "how often it asks",
        default=2,
        validators=within("idle_prompts"),
        help_text="After that, a silent call ends.",
    )
    idle_text = models.TextField("what it asks", default="Are you still there?")
    max_call_ms = models.PositiveIntegerField(
        "longest call (ms)", default=900_000, validators=within("max_call_ms")
    )
    max_length_text = models.TextField(
        "what it says then",
        blank=True,
        default="We have reached the end of our time. Thank you for calling. Goodbye!",
    )
    resume_ms = models.PositiveIntegerField(
        "wait for a lost connection (ms)", default=30_000, validators=within("resume_ms")
    )

    apology_text = models.TextField(
        "apology for a failure",
        blank=True,
        default="I am sorry, something went wrong on my side. Please say that again.",
    )
    max_failures = models.PositiveSmallIntegerField(
        "failures in a row that end the call", default=3, validators=within("max_failures")
    )
    stt_wait_ms = models.PositiveIntegerField(
        "longest wait for a transcript (ms)", default=12_000, validators=within("stt_wait_ms")
    )
    response_wait_ms = models.PositiveIntegerField(
        "longest wait for an answer (ms)", default=20_000, validators=within("response_wait_ms")
    )

    recorded = models.BooleanField(
        "record the sound", default=True, help_text="Both sides, as they were heard."
    )
    keep_audio_days = models.PositiveIntegerField(
        "days that recordings are kept",
        null=True,
        blank=True,
        help_text="Empty: as the settings say.",
    )
    keep_text_days = models.PositiveIntegerField(
        "days that words are kept", null=True, blank=True, help_text="Empty: as the settings say."
    )
    redacted = models.BooleanField(
        "redact personal data",
        default=False,
        help_text="After the call, numbers, addresses and the like are made unreadable in the "
        "words and silent in the recording.",
    )
    summarized = models.BooleanField("summarise after the call", default=True)
    token_required = models.BooleanField(
        default=False, help_text="Only callers with a token of ours reach this agent."
    )
    micdrop_version = models.CharField(
        "micdrop clients",
        max_length=4,
        choices=MicdropVersion,
        default=MicdropVersion.TWO,
        help_text="What a micdrop client that does not say its version is taken for at first.",
    )

    class Meta:
        """Slugs are unique; numbers lie within their ranges in the table as well."""

        ordering = ("name",)
        constraints = (
            *range_constraints(),
            models.CheckConstraint(
                name="agent_first_message_mode_known",
                condition=Q(first_message_mode__in=FirstMessage.values),
            ),
            models.CheckConstraint(
                name="agent_turn_detection_known",
                condition=Q(
                    turn_detection__in=TurnDetection.values, vad_eagerness__in=Eagerness.values
                ),
            ),
        )

    @override
    def __str__(self) -> str:
        return self.name

    @override
    def clean(self) -> None:
        """Check what no field can check by itself."""
        super().clean()
        fixed = self.first_message_mode == FirstMessage.FIXED
        if fixed and not self.first_message.strip():
            raise ValidationError(
                {"first_message": "The agent speaks first with this text: it cannot be empty."}
            )
        if self.consent_mode != ConsentMode.SHOWN and not self.consent_text.strip():
            raise ValidationError({"consent_mode": "It needs a consent text."})
        if self.idle_prompts and not self.idle_text.strip():
            raise ValidationError({"idle_text": "It asks this: it cannot be empty."})
        if self.idle_ms and self.idle_ms < SHORTEST_IDLE_MS:
            raise ValidationError({"idle_ms": f"0 or at least {SHORTEST_IDLE_MS}."})
        if self.max_turn_ms and self.max_call_ms and self.max_turn_ms > self.max_call_ms:
            raise ValidationError({"max_turn_ms": "A turn cannot be longer than the call."})
