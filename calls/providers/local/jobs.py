"""What a worker for downloaded models is asked, as the payload of a job."""

import struct

from calls.providers.embedded.messages import pack_fields, unpack_fields

_LENGTH = struct.Struct("!H")


def pack_utterance(folder: str, language: str, pcm: bytes) -> bytes:
    """An utterance to understand.

    Args:
        folder: of the model.
        language: BCP 47 tag.
        pcm: `audio.CALLER`.
    """
    fields = pack_fields(folder=folder, language=language)
    return _LENGTH.pack(len(fields)) + fields + pcm


def unpack_utterance(payload: bytes) -> tuple[str, str, bytes]:
    """Folder, language and sound."""
    (length,) = _LENGTH.unpack_from(payload)
    end = _LENGTH.size + length
    fields = unpack_fields(payload[_LENGTH.size : end])
    return fields["folder"], fields["language"], payload[end:]
