"""What AVR's core says: forgiving in form, bounded, and never a reason to hang up."""

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from calls.domain import events as ev
from calls.domain.audio import SAMPLE_BYTES
from calls.wire.base import ClientAudio, Frame, WireError
from calls.wire.fields import parse_object, storable

MESSAGE_BYTES = 65_536
"""Three seconds of sound in one message; the core sends 20 ms."""

NOT_METADATA = frozenset({"agent", "secret", "uuid"})
NAME_CHARS = 100
VALUE_CHARS = 500
METADATA_BYTES = 8_192
CONFIG_FIELDS = 20

_UUID = re.compile(r"[!-~]{1,128}")
"""It becomes a header's value, where instructions are asked for."""

_DIGITS = frozenset("0123456789*#ABCD")
_URL_SAFE = str.maketrans("-_", "+/")
_KIND_CHARS = 40


@dataclass(frozen=True, slots=True)
class Fault:
    """What was wrong with a message. Of each kind the core is told once."""

    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class Read:
    """What a message meant; with a fault, as far as it could be made out."""

    inbound: ClientAudio | ev.DigitPressed | None = None
    init: Mapping[str, Any] | None = field(default=None, repr=False)
    fault: Fault | None = None


FORMAT = Fault("format", "Invalid message format")
UUID = Fault("uuid", "Invalid uuid")
AUDIO = Fault("audio", "Invalid audio: base64 of 16-bit PCM expected")
ODD_AUDIO = Fault("odd", "Invalid audio: an odd number of bytes")
DIGIT = Fault("digit", "Invalid digit")


def read(frame: Frame) -> Read:
    """Read a message, sent as text or as the same text in bytes.

    Raises:
        WireError: too large, with a close code.
    """
    try:
        text = frame if isinstance(frame, str) else frame.decode()
        message = parse_object(text, max_bytes=MESSAGE_BYTES)
    except UnicodeDecodeError:
        return Read(fault=FORMAT)
    except WireError as error:
        if error.close_code is not None:
            raise
        return Read(fault=FORMAT)
    kind = message.get("type")
    if not isinstance(kind, str):
        return Read(fault=FORMAT)
    reader = _READERS.get(kind)
    return Read(fault=_unsupported(kind)) if reader is None else reader(message)


def _unsupported(kind: str) -> Fault:
    """Of what the client wrote only so much is repeated as cannot hurt a log or a terminal."""
    shown = re.sub(r"[^\w.:-]", "?", kind[:_KIND_CHARS], flags=re.ASCII)
    return Fault("type", f"Unsupported message type: {shown}")


def _audio(message: dict[str, Any]) -> Read:
    """Each message begins with a sample: what is odd about one does not spoil the next."""
    text = message.get("audio")
    try:
        pcm = _decoded(text) if isinstance(text, str) else None
    except ValueError:
        pcm = None
    if pcm is None:
        return Read(fault=AUDIO)
    whole = len(pcm) // SAMPLE_BYTES * SAMPLE_BYTES
    sound = ClientAudio(None, pcm[:whole]) if whole else None
    return Read(sound, fault=ODD_AUDIO if whole < len(pcm) else None)


def _decoded(text: str) -> bytes:
    """Either alphabet, with or without padding and line breaks, as base64 is met in the wild.

    Raises:
        ValueError: it is no base64.
    """
    plain = "".join(text.split()).rstrip("=").translate(_URL_SAFE)
    return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)


def _digit(message: dict[str, Any]) -> Read:
    value = message.get("digit")
    known = isinstance(value, str | int) and not isinstance(value, bool)
    digit = str(value).upper() if known and len(str(value)) == 1 else ""
    return Read(ev.DigitPressed(digit=digit)) if digit in _DIGITS else Read(fault=DIGIT)


_READERS: Mapping[str, Callable[[dict[str, Any]], Read]] = {
    "init": lambda message: Read(init=message),
    "audio": _audio,
    "dtmf_digit": _digit,
}

# What a call begins with


def uuid_of(init: Mapping[str, Any]) -> tuple[str, Fault | None]:
    """The call's name in the telephone system; empty when there is none."""
    value = init.get("uuid")
    if value is None:
        return "", None
    usable = isinstance(value, str) and _UUID.fullmatch(value)
    return (str(value), None) if usable else ("", UUID)


def config_names(init: Mapping[str, Any]) -> list[str]:
    """Which fields `provider_config` has. What they hold may be keys, and is kept nowhere."""
    config = init.get("provider_config")
    names = list(config)[:CONFIG_FIELDS] if isinstance(config, dict) else []
    return [name for name in names if len(name) <= NAME_CHARS and storable(name)]


def metadata_of(query: Mapping[str, str]) -> dict[str, Any]:
    """The variables of the call, as the address carries them; what is too large is left out."""
    metadata: dict[str, Any] = {}
    size = 0
    for name, value in query.items():
        size += len(json.dumps([name, value]))
        fits = len(name) <= NAME_CHARS and len(value) <= VALUE_CHARS and size <= METADATA_BYTES
        if fits and name not in NOT_METADATA and storable(name) and storable(value):
            metadata[name] = value
    return metadata
