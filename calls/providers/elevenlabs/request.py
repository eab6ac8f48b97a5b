"""What speech is asked for with, by socket and by HTTP alike."""

from collections.abc import Mapping
from dataclasses import dataclass

DEFAULT_VOICE = "21m00Tcm4TlvDq8ikWAM"
"""Rachel, one of the voices that every account has."""

OUTPUT_FORMAT = "pcm_24000"
"""`audio.AGENT`, in ElevenLabs' words."""

SLOWEST, FASTEST = 0.7, 1.2

_ONLY_BY_HTTP = ("eleven_v3", "eleven_v4")
_OTHER_CODES: Mapping[str, str] = {"nb": "no", "nn": "no", "tl": "fil", "und": ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class Timbre:
    """How a voice speaks, each from 0 to 1. What is None stays as the account has set it.

    Attributes:
        stability: low is lively, high is even.
        similarity_boost: how closely it keeps to the original voice.
        style: how much of the original's manner is exaggerated; costs time.
        use_speaker_boost: more likeness, at the cost of time.
    """

    stability: float | None = None
    similarity_boost: float | None = None
    style: float | None = None
    use_speaker_boost: bool | None = None

    def settings(self, speed: float) -> dict[str, float | bool]:
        """As `voice_settings`; empty: whatever the account has set. Speed is clamped."""
        wanted = {
            "stability": self.stability,
            "similarity_boost": self.similarity_boost,
            "style": self.style,
            "use_speaker_boost": self.use_speaker_boost,
            "speed": None if speed == 1.0 else min(FASTEST, max(SLOWEST, speed)),
        }
        return {name: value for name, value in wanted.items() if value is not None}


def only_by_http(model: str) -> bool:
    """Whether the sockets do not know the model."""
    return model.startswith(_ONLY_BY_HTTP)


def language_code(model: str, language: str) -> str:
    """How the model is told the language; empty: it is not, as it finds out by itself.

    Args:
        language: BCP 47 tag.
    """
    if not (model.endswith("_v2_5") or only_by_http(model)):
        return ""
    primary = language.partition("-")[0].lower()
    return _OTHER_CODES.get(primary, primary)
