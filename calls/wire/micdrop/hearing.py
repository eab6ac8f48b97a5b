"""The caller's sound of a turn: PCM as it comes, or a file in pieces."""

from calls.ports.files import FILE_BYTES
from calls.wire.base import ClientAudio, EncodedAudio, Inbound
from calls.wire.micdrop.versions import begins_file

SNIFF_BYTES = 8
"""So much of the beginning tells a file from PCM."""


class Ear:
    """What a client sends between `StartSpeaking` and `StopSpeaking`.

    Attributes:
        open: the caller speaks; sound that comes at other times is meant for nobody.
        files: whether the turn's sound is a file; None: nothing of it has come yet.
    """

    def __init__(self) -> None:
        self.open = False
        self.files: bool | None = None
        self._beginning = b""
        self._kept: list[bytearray] = []
        self._anew = False

    @property
    def heard(self) -> bool:
        """Whether anything has come of this turn."""
        return self.files is not None or bool(self._beginning)

    def start(self) -> None:
        """The caller speaks; of a turn that goes on what has come is kept."""
        self.open = True
        self._anew = True

    def stop(self) -> tuple[Inbound, ...]:
        """The turn is over: what of it has not been handed on."""
        rest: tuple[Inbound, ...] = _pcm(self._beginning)
        files = tuple(EncodedAudio(bytes(file)) for file in self._kept)
        self.drop()
        return files or rest

    def drop(self) -> None:
        """Forget the turn."""
        self.open = False
        self.files = None
        self._beginning = b""
        self._kept = []

    def take(self, chunk: bytes) -> tuple[Inbound, ...]:
        """Sound as it comes. A file is kept until it is whole; what is too long is left out."""
        if not self.open:
            return ()
        if self.files is None:
            chunk, self._beginning = self._beginning + chunk, b""
            if len(chunk) < SNIFF_BYTES:
                self._beginning = chunk
                return ()
            self.files = begins_file(chunk)
        if not self.files:
            return _pcm(chunk)
        self._keep(chunk)
        return ()

    def _keep(self, chunk: bytes) -> None:
        """A recorder that was started anew within the turn began another file."""
        if not self._kept or (self._anew and begins_file(chunk)):
            self._kept.append(bytearray())
        self._anew = False
        room = FILE_BYTES - sum(map(len, self._kept))
        self._kept[-1] += chunk[:room]


def _pcm(chunk: bytes) -> tuple[Inbound, ...]:
    """Every frame is samples of its own: half a sample at its end is left out."""
    whole = chunk[: len(chunk) - len(chunk) % 2]
    return (ClientAudio(None, whole),) if whole else ()
