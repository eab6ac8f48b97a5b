"""Who calls, as the server knows it: from a token, a key or a session, never from the client."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from calls.models import OWN_SITE


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """At what a call is ended; None: not by that."""

    max_call_ms: int | None = None
    max_cost_micros: int | None = None
    """In millionths of the currency."""


NO_CAPS = Caps()


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One call's way in.

    Attributes:
        site: slug of the site that it belongs to.
        address: key of the address that it comes from, as `calls.addresses` makes it; empty: it
            is limited by no address.
        token_id: of the token that opened it; empty: none did.
        caller: who the site says that it is; it goes before what the client says.
        user_id: of the person who was logged in when the token was made.
        metadata: from the token; goes before what the client says.
        caps: of the token.
        consented: the client says that the caller agreed to the consent text.
        trusted: it came by a key, or a secret that a key made: as good as a token.
    """

    site: str = OWN_SITE
    address: str = ""
    token_id: str = ""
    caller: str = ""
    user_id: Any = None
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False)
    caps: Caps = NO_CAPS
    consented: bool = False
    trusted: bool = False


ANYBODY = Visit()
