"""Links that are good by themselves for a moment: whoever has one needs no key."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.core.signing import BadSignature, TimestampSigner, b62_decode

from calls.conf import calls_settings

LINK_S = 60
LINK_CHARS = 400
_SALT = "calls.recording-link"


class LinkRefusedError(Exception):
    """The link is none, or too old."""


@dataclass(frozen=True, slots=True)
class Link:
    """The address of a recording, and until when it is one."""

    path: str
    expires_at: datetime


def recording_link(call_id: str, key_id: int) -> Link:
    """A link to the recording of a call, for whoever has it.

    Args:
        key_id: of the API key that it was made with; without it the link is worth nothing.
    """
    value = _signer().sign_object([call_id, key_id], serializer=_Json)
    made_at = datetime.fromtimestamp(b62_decode(value.rsplit(":", 2)[1]), UTC)
    path = f"{calls_settings().public_url}/api/v1/recordings/{value}"
    return Link(path, made_at + timedelta(seconds=LINK_S))


def recording_link_read(value: str) -> tuple[str, int]:
    """The call and the key of a link.

    Raises:
        LinkRefusedError: it was changed, or is too old.
    """
    if len(value) > LINK_CHARS or not value.isascii():
        raise LinkRefusedError
    try:
        call_id, key_id = _signer().unsign_object(value, serializer=_Json, max_age=LINK_S)
    except BadSignature:
        raise LinkRefusedError from None
    return str(call_id), int(key_id)


class _Json:
    def dumps(self, value: object) -> bytes:
        return json.dumps(value, separators=(",", ":")).encode()

    def loads(self, data: bytes) -> object:
        return json.loads(data)


def _signer() -> TimestampSigner:
    return TimestampSigner(salt=_SALT)
