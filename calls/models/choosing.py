"""Which services an agent uses, and how: the part of an agent that providers understand."""

import json
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from typing_extensions import override

from calls.domain.events import Stage
from calls.models.providers import (
    AUTO,
    CASCADE,
    llm_choices,
    session_choices,
    stt_choices,
    tts_choices,
)

CHOICE_RANGES: dict[str, tuple[float, float]] = {
    "speed": (0.5, 2),
    "temperature": (0, 2),
    "vad_threshold": (0, 1),
    "vad_prefix_ms": (0, 2_000),
    "vad_silence_ms": (100, 5_000),
    "max_output_tokens": (1, 32_000),
}

LARGEST_SCHEMA_CHARS = 20_000


def within_range(least: float, most: float) -> list[MinValueValidator | MaxValueValidator]:
    return [MinValueValidator(least), MaxValueValidator(most)]


def _within(name: str) -> list[MinValueValidator | MaxValueValidator]:
    return within_range(*CHOICE_RANGES[name])


def fallback_names(value: object) -> None:
    """Check that `value` is a list of names, each of them once."""
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ValidationError("A list of providers, such as [“elevenlabs”, “embedded”].")
    if len(set(value)) != len(value):
        raise ValidationError("A provider is named twice.")


def voice_names(value: object) -> None:
    """Check that `value` says a voice for each provider that it names."""
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value.values()):
        raise ValidationError("Voices by provider, such as {“elevenlabs”: “Rachel”}.")


def extraction_schema(value: Any) -> None:
    """Check that `value` is a usable JSON schema of an object, or nothing."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    if not value:
        return
    if not isinstance(value, dict) or value.get("type") != "object":
        raise ValidationError("A JSON schema whose type is “object”.")
    if len(json.dumps(value)) > LARGEST_SCHEMA_CHARS:
        raise ValidationError(f"A schema of at most {LARGEST_SCHEMA_CHARS} characters.")
    if "$ref" in json.dumps(value) and any(not ref.startswith("#") for ref in _references(value)):
        raise ValidationError("References may only point into the schema itself.")
    try:
        Draft202012Validator.check_schema(value)
    except SchemaError as error:
        raise ValidationError("Not a JSON schema: %(why)s", params={"why": error.message}) from None


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [ref for entry in value.values() for ref in _references(entry)]
    if isinstance(value, list):
        return [ref for entry in value for ref in _references(entry)]
    return []


class TurnDetection(models.TextChoices):
    """Who says, in a speech-to-speech session, when the caller's turn is over."""

    OURS = "ours", "We do, with the settings for turns"
    SERVER = "server_vad", "The provider, by silence"
    SEMANTIC = "semantic_vad", "The provider, by what was said"


class Eagerness(models.TextChoices):
    """How soon semantic detection takes a turn for over."""

    AUTO = "auto", "As the provider likes"
    LOW = "low", "Let the caller take time"
    MEDIUM = "medium", "In between"
    HIGH = "high", "Answer soon"


class ServiceChoice(models.Model):
    """Providers by stage, with what to fall back to, and the settings that providers take."""

    session = models.CharField(
        "kind of session",
        max_length=40,
        choices=session_choices,
        default="cascade",
        help_text="Three services one after the other, or one model that hears and speaks.",
    )

    stt_provider = models.CharField(
        "speech to text", max_length=40, choices=stt_choices, default="auto"
    )
    stt_model = models.CharField(
        "its model", max_length=100, blank=True, help_text="Empty: the provider's own choice."
    )
    stt_fallbacks = models.JSONField(
        "if it fails", default=list, blank=True, validators=[fallback_names]
    )
    llm_provider = models.CharField("answers", max_length=40, choices=llm_choices, default="auto")
    llm_model = models.CharField(
        "model", max_length=100, blank=True, help_text="Empty: the provider's own choice."
    )
    llm_fallbacks = models.JSONField(
        "if it fails", default=list, blank=True, validators=[fallback_names]
    )
    temperature = models.FloatField(
        null=True,
        blank=True,
        validators=_within("temperature"),
        help_text="0 is the most predictable. Empty: the model's own; some models take no other.",
    )
    tts_provider = models.CharField(
        "text to speech", max_length=40, choices=tts_choices, default="auto"
    )
    tts_model = models.CharField(
        "its model", max_length=100, blank=True, help_text="Empty: the provider's own choice."
    )
    tts_fallbacks = models.JSONField(
        "if it fails", default=list, blank=True, validators=[fallback_names]
    )
    voice = models.CharField(
        max_length=100, blank=True, help_text="The provider's name for it. Empty: its default."
    )
    fallback_voices = models.JSONField(
        "voices of the others",
        default=dict,
        blank=True,
        validators=[voice_names],
        help_text="By provider, for when it falls back: {“elevenlabs”: “…”, “embedded”: “en-us”}.",
    )
    speed = models.FloatField(
        "speaking speed", default=1.0, validators=_within("speed"), help_text="1 is normal."
    )
    tts_disabled = models.BooleanField(
        "no voice", default=False, help_text="Answers are shown as text only."
    )

    realtime_model = models.CharField(
        "model", max_length=100, blank=True, help_text="Empty: the provider's own choice."
    )
    turn_detection = models.CharField(
        max_length=16, choices=TurnDetection, default=TurnDetection.OURS
    )
    vad_threshold = models.FloatField(
        "threshold", default=0.5, validators=_within("vad_threshold"), help_text="0 to 1."
    )
    vad_prefix_ms = models.PositiveIntegerField(
        "sound before the speech (ms)", default=300, validators=_within("vad_prefix_ms")
    )
    vad_silence_ms = models.PositiveIntegerField(
        "silence that ends a turn (ms)", default=500, validators=_within("vad_silence_ms")
    )
    vad_eagerness = models.CharField(
        "eagerness", max_length=8, choices=Eagerness, default=Eagerness.AUTO
    )
    max_output_tokens = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=_within("max_output_tokens"),
        help_text="Of one answer. Empty: no limit.",
    )
    transcription_model = models.CharField(
        max_length=100, blank=True, help_text="Writes down the caller. Empty: the provider's own."
    )
    noise_reduction = models.CharField(
        max_length=16,
        blank=True,
        choices=[("near_field", "Near the mouth"), ("far_field", "Across the room")],
        help_text="Empty: none.",
    )
    tracing = models.BooleanField(
        default=False, help_text="The provider keeps a trace of each session."
    )
    language_instruction = models.BooleanField(
        "insist on the language",
        default=True,
        help_text="The model is told to speak the agent's language, whatever it hears.",
    )

    extraction_schema = models.JSONField(
        "data to pick out",
        null=True,
        blank=True,
        validators=[extraction_schema],
        help_text="A JSON schema of what a language model picks out of a finished conversation.",
    )

    class Meta:
        """Part of a table, none by itself."""

        abstract = True

    @override
    def clean(self) -> None:
        """Check that fallbacks are known, and others than the first choice.

        What the chosen kind of session does not use may be anything, and whether a provider can
        be reached is not asked here.
        """
        super().clean()
        problems = {
            f"{stage}_fallbacks": problem
            for stage, choices in _STAGES.items()
            if (problem := self._fallback_problem(stage, choices()))
        }
        if problem := _voices_problem(self.fallback_voices):
            problems["fallback_voices"] = problem
        if self.tts_disabled and self.session != CASCADE:
            problems["tts_disabled"] = "A model that hears and speaks has a voice."
        if problems:
            raise ValidationError(problems)

    def _fallback_problem(self, stage: Stage, choices: list[tuple[str, str]]) -> str:
        names = getattr(self, f"{stage}_fallbacks")
        known = [name for name, _ in choices if name != AUTO]
        for name in names if isinstance(names, list) else []:
            if name not in known:
                return _unknown(name, known)
            if name == getattr(self, f"{stage}_provider"):
                return f"“{name}” is the first choice already."
        return ""


_STAGES = {Stage.STT: stt_choices, Stage.LLM: llm_choices, Stage.TTS: tts_choices}


def _voices_problem(voices: object) -> str:
    known = [name for name, _ in tts_choices() if name != AUTO]
    strangers = [name for name in voices if name not in known] if isinstance(voices, dict) else []
    return _unknown(strangers[0], known) if strangers else ""


def _unknown(name: object, known: list[str]) -> str:
    return f"“{name}” is no provider known here. Known are: {', '.join(known)}."
