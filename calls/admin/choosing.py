"""The part of an agent's form that chooses services: lists in order, voices by provider."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from typing_extensions import override

from calls.models import Agent
from calls.models.providers import AUTO, llm_choices, stt_choices, tts_choices

if TYPE_CHECKING:
    Base = forms.ModelForm[Agent]
else:
    Base = forms.ModelForm

FEWEST_PLACES = 3
Choices = Sequence[tuple[str, str]]

FALLBACKS_HELP = "Asked one after the other, from the top. “–” leaves a place empty."
VOICES_HELP = "The voice to speak with when a fallback speaks. Empty: that provider's default."
LABELS = {
    "session": "How it works",
    "stt_model": "Its model",
    "llm_model": "Its model",
    "tts_model": "Its model",
    "realtime_model": "Model",
    "turn_detection": "Who ends the caller's turn",
    "vad_threshold": "How sure of speech it must be",
    "vad_eagerness": "How soon a turn is over",
    "max_output_tokens": "Longest answer (tokens)",
    "transcription_model": "Model that writes down the caller",
    "tracing": "Keep a trace",
    "extraction_schema": "JSON schema",
}
_BY_SILENCE = "Only if the provider ends turns by silence."
HELP = {
    "stt_provider": "Writes down what the caller says.",
    "llm_provider": "The language model that decides what to answer.",
    "tts_provider": "Speaks the answers.",
    "voice": (
        "The name that the provider gives it: at ElevenLabs the ID of a voice in “My Voices”, "
        "at OpenAI a name such as “marin”, embedded a name such as “en-us”. Empty: its default."
    ),
    "tts_disabled": "Answers are shown as text and not spoken.",
    "vad_threshold": f"From 0, where everything counts as speech, to 1. {_BY_SILENCE}",
    "vad_prefix_ms": f"What is heard from before speech was noticed. {_BY_SILENCE}",
    "vad_silence_ms": _BY_SILENCE,
    "vad_eagerness": "Only if the provider ends turns by what was said.",
    "max_output_tokens": "An answer that would be longer is cut. Empty: no limit.",
    "transcription_model": "The model hears sound; the transcript comes from this one. "
    "Empty: the provider's own choice.",
    "noise_reduction": "Done by the provider, before it listens. Empty: none.",
    "tracing": "The provider keeps what went on in each session, for its own dashboard.",
    "extraction_schema": (
        "A JSON schema whose type is “object”; the descriptions of its properties tell the "
        "language model what to look for. Empty: nothing is picked out."
    ),
}


class RankedSelect(forms.Widget):
    """One list to choose from for each place in an order; empty places are passed over.

    Args:
        name: what is ranked, for those who hear the page.
        choices: names with labels.
    """

    def __init__(self, name: str, choices: Choices) -> None:
        super().__init__()
        self.ranked = name
        self.choices = choices

    @override
    def render(
        self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None
    ) -> SafeString:
        chosen = [str(entry) for entry in value] if isinstance(value, list | tuple) else []
        chosen += [""] * max(1, FEWEST_PLACES - len(chosen))
        places = format_html_join(
            "",
            '<li><select name="{}" aria-label="{}: fallback {}">{}</select></li>',
            (
                (name, self.ranked, place, self._options(entry))
                for place, entry in enumerate(chosen, start=1)
            ),
        )
        return format_html('<ol class="ranked">{}</ol>', places)

    def _options(self, chosen: str) -> SafeString:
        labels = {"": "–", **dict(self.choices)}
        labels.setdefault(chosen, f"{chosen} (not known)")
        return format_html_join(
            "",
            '<option value="{}"{}>{}</option>',
            (
                (name, SafeString(" selected" if name == chosen else ""), label)
                for name, label in labels.items()
            ),
        )

    @override
    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[str]:
        given = data.getlist(name) if hasattr(data, "getlist") else data.get(name, [])
        return [entry for entry in given if entry]

    @override
    def id_for_label(self, id_: str) -> str:
        return ""


class RankedField(forms.Field):
    """A list of names in order; the model says which of them are right."""

    @override
    def has_changed(self, initial: Any, data: Any) -> bool:
        return list(initial or []) != list(data or [])


class ByProvider(forms.Widget):
    """A line of text for each provider; its value is what was filled in, by name."""

    def __init__(self, choices: Choices) -> None:
        super().__init__()
        self.choices = choices

    @override
    def render(
        self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None
    ) -> SafeString:
        texts = value if isinstance(value, Mapping) else {}
        known = dict(self.choices)
        labels = known | {key: f"{key} (not known)" for key in texts if key not in known}
        rows = format_html_join(
            "",
            '<li><label for="id_{0}-{1}">{2}</label>'
            '<input type="text" name="{0}-{1}" id="id_{0}-{1}" value="{3}" maxlength="100"></li>',
            ((name, key, label, texts.get(key, "")) for key, label in labels.items()),
        )
        return format_html('<ul class="by-provider">{}</ul>', rows)

    @override
    def value_from_datadict(self, data: Any, files: Any, name: str) -> dict[str, str]:
        prefix = f"{name}-"
        given = {key[len(prefix) :]: data[key].strip() for key in data if key.startswith(prefix)}
        return {key: text for key, text in given.items() if text}

    @override
    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        return not any(key.startswith(f"{name}-") for key in data)

    @override
    def id_for_label(self, id_: str) -> str:
        return ""


class ByProviderField(forms.Field):
    """Texts by provider."""

    @override
    def has_changed(self, initial: Any, data: Any) -> bool:
        return dict(initial or {}) != dict(data or {})


class SchemaField(forms.JSONField):
    """JSON that is shown as people write it, and nothing as nothing."""

    @override
    def prepare_value(self, value: Any) -> Any:
        if value is None:
            return ""
        if isinstance(value, Mapping):
            return json.dumps(value, indent=2, ensure_ascii=False)
        return super().prepare_value(value)


class AgentForm(Base):
    """All of an agent; what JSON would ask of a person is asked in another way."""

    stt_fallbacks = RankedField(label="If it fails", required=False)
    llm_fallbacks = RankedField(label="If it fails", required=False)
    tts_fallbacks = RankedField(label="If it fails", required=False)
    fallback_voices = ByProviderField(label="Voices of the others", required=False)

    class Meta:
        model = Agent
        fields = "__all__"
        field_classes = {"extraction_schema": SchemaField}  # noqa: RUF012 - Django's own form
        labels = LABELS
        help_texts = HELP

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, (ranked, choices) in _RANKED.items():
            if name in self.fields:
                self.fields[name].widget = RankedSelect(ranked, _named(choices()))
                self.fields[name].help_text = FALLBACKS_HELP
        if "fallback_voices" in self.fields:
            self.fields["fallback_voices"].widget = ByProvider(_named(tts_choices()))
            self.fields["fallback_voices"].help_text = VOICES_HELP


_RANKED = {
    "stt_fallbacks": ("Speech to text", stt_choices),
    "llm_fallbacks": ("Answers", llm_choices),
    "tts_fallbacks": ("Text to speech", tts_choices),
}


def _named(choices: Choices) -> Choices:
    """Providers that are named, without the choice that leaves it open."""
    return [(name, label) for name, label in choices if name != AUTO]
