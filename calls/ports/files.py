"""Sound that comes as a file of whatever kind."""

from typing import Protocol


class AudioFileDecoder(Protocol):
    async def decode(self, data: bytes) -> bytes:
        """All sound of the file, `audio.CALLER`; what can be had of one that is cut short.

        The file is a stranger's: it is decoded apart from this process, within bounds of time,
        memory and length. At most `FILE_MS` of sound come back, the rest is left out.

        Raises:
            ProviderError: stage STT. INVALID: there is no sound in it that can be decoded;
                TIMEOUT or CRASHED: it was given up; BUSY: too many files wait.
        """
        ...

    async def close(self) -> None:
        """End whatever decodes. Idempotent."""
        ...


FILE_BYTES = 8 * 1024 * 1024
FILE_MS = 300_000
