"""The client's microphone: its clock, and its turns where it decides them itself."""

import base64
import binascii

from calls.domain import events as ev
from calls.domain.audio import SAMPLE_BYTES
from calls.wire.base import ClientAudio, Inbound
from calls.wire.realtime.refusal import EMPTY, FULL, Refusal, invalid
from calls.wire.realtime.sound import SoundFormat, SoundIn

LEAST_MS = 100
"""What a client must have appended to commit it."""

MOST_MS = 120_000
PIECE_MS = 500
"""A turn that comes at once is handed on in pieces."""


class InputBuffer:
    """Sound by sound; one for each socket.

    Args:
        rate_hz: what the call was told.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._sound = SoundIn(SoundFormat.PCM, rate_hz)
        self._held = bytearray()
        self._appended_us = 0
        self._handed_us = 0
        self.manual = False

    @property
    def appended_ms(self) -> int:
        """All sound of this session."""
        return self._appended_us // 1000

    @property
    def held_ms(self) -> int:
        return len(self._held) * 1000 // (self._rate_hz * SAMPLE_BYTES)

    def ms_at(self, position_ms: int | None) -> int:
        """A place that the call knows, in all sound appended; None: the latest.

        The call never had what was cleared before it was committed.
        """
        if position_ms is None:
            return self.appended_ms
        return position_ms + (self._appended_us - self._handed_us) // 1000

    def use(self, form: SoundFormat) -> None:
        if form is not self._sound.form:
            self._sound = SoundIn(form, self._rate_hz)

    def append(self, audio: str) -> list[Inbound]:
        """Take sound; what a client that decides the turns itself appends is kept until it does.

        Raises:
            Refusal: it is no base64, or too much is kept already.
        """
        try:
            sound = base64.b64decode(audio, validate=True)
        except (binascii.Error, ValueError):
            raise invalid("audio", "base64") from None
        pcm, samples = self._sound.feed(sound)
        lasts_us = samples * 1_000_000 // self._sound.form.rate_hz
        if self.manual and self.held_ms + lasts_us // 1000 > MOST_MS:
            raise Refusal(FULL, f"At most {MOST_MS // 1000} seconds wait to be committed.", "audio")
        self._appended_us += lasts_us
        if self.manual:
            self._held += pcm
            return []
        self._handed_us += lasts_us
        return [ClientAudio(None, pcm)] if pcm else []

    def commit(self) -> list[Inbound]:
        """What was kept, as one turn of the caller.

        Raises:
            Refusal: there is too little.
        """
        held_ms = self.held_ms
        if held_ms < LEAST_MS:
            raise too_little(held_ms)
        pcm = bytes(self._held)
        self._held.clear()
        self._handed_us += held_ms * 1000
        size = self._rate_hz * PIECE_MS // 1000 * SAMPLE_BYTES
        pieces = (pcm[start : start + size] for start in range(0, len(pcm), size))
        return [
            ev.TalkStarted(),
            *(ClientAudio(None, piece) for piece in pieces),
            ev.TalkStopped(),
        ]

    def clear(self) -> None:
        self._held.clear()


def too_little(held_ms: int) -> Refusal:
    message = f"The buffer holds {held_ms} ms of sound, and {LEAST_MS} ms are the least."
    return Refusal(EMPTY, message)
