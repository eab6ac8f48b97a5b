"""The names of providers that an agent may choose from.

Adapters are built by the composition root; here are only names, so that a form can offer and check
them. An app that brings a provider registers its name in `AppConfig.ready`.
"""

from calls.domain.events import Stage

AUTO = "auto"
"""The best that the installation's keys and addresses allow; without any, the embedded one."""
EMBEDDED = "embedded"
CASCADE = "cascade"

_BEST = {AUTO: "The best there is"}
_OFFLINE = {EMBEDDED: "Embedded (offline)"}

_KNOWN: dict[Stage, dict[str, str]] = {
    Stage.STT: {
        **_BEST,
        **_OFFLINE,
        "whisper": "Whisper (downloaded model)",
        "openai-live": "OpenAI, while the caller speaks",
        "openai": "OpenAI, turn by turn",
        "elevenlabs": "ElevenLabs Scribe, while the caller speaks",
        "elevenlabs-batch": "ElevenLabs Scribe, turn by turn",
        "compatible": "OpenAI-compatible server (STT_BASE_URL)",
    },
    Stage.LLM: {
        **_BEST,
        **_OFFLINE,
        "openai": "OpenAI chat completions",
        "openai-responses": "OpenAI Responses",
        "compatible": "OpenAI-compatible server (LLM_BASE_URL)",
    },
    Stage.TTS: {
        **_BEST,
        **_OFFLINE,
        "piper": "Piper (downloaded voice)",
        "elevenlabs": "ElevenLabs",
        "elevenlabs-http": "ElevenLabs, by HTTP",
        "openai-realtime": "OpenAI, by a realtime model",
        "compatible": "OpenAI-compatible server (TTS_BASE_URL)",
    },
    Stage.VOICE: {
        CASCADE: "Speech to text, language model, text to speech",
        "openai-realtime": "OpenAI Realtime: one model that hears and speaks",
    },
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


def session_choices() -> list[tuple[str, str]]:
    """Kinds of voice session."""
    return list(_KNOWN[Stage.VOICE].items())
