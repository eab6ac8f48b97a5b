"""Where a language model is. Importing this does not load the SDK, which takes half a second."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ChatServer:
    """Where the model is. `base_url` includes `/v1`."""

    base_url: str
    model: str
    api_key: str = field(default="", repr=False)
