"""Generations of micdrop's wire, and what tells them apart."""

import re
from enum import StrEnum


class Version(StrEnum):
    V1_0 = "1.0"
    """1.0 and 1.1: camelCase commands, texts as they are."""
    V1_2 = "1.2"
    """1.2 to 1.4: the same with entries in JSON."""
    V1 = "1"
    """1.5 to 1.9: PascalCase commands; sound is files both ways."""
    V2 = "2"
    """2.0 and later: sound is PCM both ways, of 2.0 on the server's side only."""

    @property
    def camel(self) -> bool:
        return self in (Version.V1_0, Version.V1_2)


_VERSION = re.compile(r"(\d{1,3})(?:\.(\d{1,3})(?:\..*)?)?", re.ASCII)

_FILE_MAGIC = ((0, b"\x1a\x45\xdf\xa3"), (0, b"OggS"), (4, b"ftyp"))
"""What WebM, Ogg and MP4 begin with, and where."""


def version_of(text: str) -> Version | None:
    """The generation that a client's or server's version belongs to; None: it is no version."""
    found = _VERSION.fullmatch(text)
    if found is None or int(found[1]) == 0:
        return None
    if int(found[1]) > 1:
        return Version.V2
    minor = 5 if found[2] is None else int(found[2])
    if minor < 2:
        return Version.V1_0
    return Version.V1_2 if minor < 5 else Version.V1


def begins_file(beginning: bytes) -> bool:
    """Whether a turn's sound is a file; else it is PCM."""
    return any(beginning[at : at + len(magic)] == magic for at, magic in _FILE_MAGIC)
