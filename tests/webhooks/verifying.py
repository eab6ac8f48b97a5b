"""A receiver's own check of a message, written from the text of Standard Webhooks alone."""

import base64
import hashlib
import hmac

from tests.doubles.receiver import Received


def genuine(received: Received, secret: str) -> bool:
    """Whether one of its signatures was made with this secret."""
    assert secret.startswith("whsec_")
    key = base64.b64decode(secret[6:])
    head = f"{received.headers['webhook-id']}.{received.headers['webhook-timestamp']}."
    digest = hmac.new(key, head.encode() + received.body, hashlib.sha256).digest()
    wanted = base64.b64encode(digest).decode()
    found = received.headers["webhook-signature"].split(" ")
    return any(
        version == "v1" and hmac.compare_digest(value, wanted)
        for version, _, value in (entry.partition(",") for entry in found)
    )
