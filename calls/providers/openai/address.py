"""Where a server is that speaks OpenAI's protocol. Importing this does not load the SDK."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Server:
    """One server and how to speak to it; which model is asked is said elsewhere.

    Attributes:
        base_url: includes `/v1`.
        api_key: empty for a server that asks for none.
        provider: under this name the server stands in reports and errors.
        profile: what it understands; a name that `profile.profile` knows.
    """

    base_url: str
    api_key: str = field(default="", repr=False)
    provider: str = "compatible"
    profile: str = "generic"
