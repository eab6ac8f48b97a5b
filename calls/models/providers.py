"""The names of providers that an agent may choose from.

Adapters are built by the composition root; here are only names, so that a form can offer and check
them. An app that brings a provider registers its name in `AppConfig.ready`.
"""

from calls.domain.events import Stage

_KNOWN: dict[Stage, dict[str, str]] = {
    Stage.STT: {"embedded": "Embedded (offline)", "whisper": "Whisper (downloaded model)"},
    Stage.LLM: {"embedded": "Embedded (offline)"},
    Stage.TTS: {"embedded": "Embedded (offline)", "piper": "Piper (downloaded voice)"},
}


def provider_register(stage: Stage, name: str, label: str) -> None:
    """Offer `name` for that stage. Registering a name again replaces its label."""
    _KNOWN[stage][name] = label


def stt_choices() -> list[tuple[str, str]]:
    return list(_KNOWN[Stage.STT].items())


def llm_choices() -> list[tuple[str, str]]:
    return list(_KNOWN[Stage.LLM].items())


def tts_choices() -> list[tuple[str, str]]:
    return list(_KNOWN[Stage.TTS].items())
