"""The caller's sound on its way to the provider, kept for as long as it may be needed again."""

from calls.audio.resample import Resampler
from calls.domain.audio import AGENT, CALLER
from calls.providers.openai.realtime.desk import Desk
from calls.providers.openai.realtime.messages import append

BATCH_BYTES = AGENT.bytes(40)


class Sound:
    """Sound of the turn that goes on, at 24 kHz. Without a connection it waits for the next one."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._resampler = Resampler(CALLER.rate_hz, AGENT.rate_hz)
        self._kept = bytearray()
        self._unsent = 0
        """So many of the last bytes were not sent."""
        self._sent = 0
        self._taken = 0
        self.size_bytes = 0
        """Of the turn, what was not kept included."""

    @property
    def sent_ms(self) -> int:
        """On this connection."""
        return AGENT.ms_of(self._sent)

    def place_ms(self, audio_ms: int) -> int:
        """Where in all sound of the call that lies which the provider heard at `audio_ms`."""
        return max(0, AGENT.ms_of(self._taken - self._unsent) - (self.sent_ms - audio_ms))

    def add(self, pcm: bytes, *, keep_bytes: int) -> None:
        """Take caller audio, and forget all but the latest."""
        sound = self._resampler.feed(pcm)
        self._kept += sound
        self._unsent += len(sound)
        self._taken += len(sound)
        self.size_bytes += len(sound)
        if self._unsent >= BATCH_BYTES:
            self.flush()
        if (surplus := len(self._kept) - keep_bytes - self._unsent) > 0:
            del self._kept[:surplus]

    def flush(self) -> None:
        """Send what there is; what cannot be sent is sent again by `opened`."""
        if self._unsent and self._desk.connection.up:
            self.send(bytes(self._kept[-self._unsent :]))
        self._unsent = 0

    def send(self, pcm: bytes) -> None:
        """Sound of whatever turn, at 24 kHz."""
        self._desk.connection.send(append(pcm))
        self._sent += len(pcm)

    def take(self) -> bytes:
        """The turn is over: what is kept of it."""
        kept = bytes(self._kept)
        self._kept.clear()
        self._unsent = self.size_bytes = 0
        return kept

    def opened(self) -> None:
        """A connection that has heard nothing yet."""
        self._sent = 0

    def again(self) -> None:
        """Send what is kept of the turn that goes on."""
        self._unsent = len(self._kept)
        self.flush()
