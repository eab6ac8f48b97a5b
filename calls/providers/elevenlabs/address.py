"""Where ElevenLabs is. Importing this does not load the SDK, which takes a second."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

NAME = "elevenlabs"

Query = Mapping[str, str | int | bool]


@dataclass(frozen=True, slots=True)
class ElevenLabs:
    """An account, and the server that it is on.

    `base_url` is the bare origin, without `/v1`; accounts with a residency of their own have
    another one than the default.
    """

    api_key: str = field(repr=False)
    base_url: str = "https://api.elevenlabs.io"

    @property
    def headers(self) -> dict[str, str]:
        """What every handshake has to carry; holds the key."""
        return {"xi-api-key": self.api_key}

    def ws_url(self, path: str, query: Query | None = None) -> str:
        """The address of a socket.

        Args:
            path: from the origin on, such as "/v1/speech-to-text/realtime".
            query: truths are written as ElevenLabs wants them; what is empty is left out.
        """
        origin = self.base_url.rstrip("/").replace("http", "ws", 1)
        asked = {name: _written(value) for name, value in (query or {}).items() if value != ""}
        return f"{origin}{path}?{urlencode(asked)}" if asked else f"{origin}{path}"


def _written(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
