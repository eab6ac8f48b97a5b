"""Signatures as Standard Webhooks describes them: what a receiver checks before it believes."""

import hmac
from base64 import b64decode, b64encode
from collections.abc import Iterable
from hashlib import sha256

SECRET_PREFIX = "whsec_"  # noqa: S105 - of the specification


def signed_headers(
    message_id: str, at_s: int, body: bytes, secrets: Iterable[str]
) -> dict[str, str]:
    """The three headers of a message, signed with each of the secrets.

    Args:
        message_id: the same whenever the same message is sent.
        at_s: when this attempt is made, seconds since 1970.
        secrets: each `whsec_` and base64.
    """
    content = b".".join((message_id.encode(), str(at_s).encode(), body))
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": " ".join(_signature(secret, content) for secret in secrets),
    }


def _signature(secret: str, content: bytes) -> str:
    key = b64decode(secret.removeprefix(SECRET_PREFIX))
    return f"v1,{b64encode(hmac.new(key, content, sha256).digest()).decode()}"
