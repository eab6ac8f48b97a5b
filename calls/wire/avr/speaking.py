"""What AVR's core is told: 20 ms of sound at a time, and each answer's words once."""

from calls.audio.framing import Framer
from calls.audio.resample import Resampler
from calls.domain import effects as do
from calls.domain.audio import AGENT, AudioFormat
from calls.domain.items import Item, ItemStatus, Role
from calls.ports.client import AudioFrame

LINE = AudioFormat(8_000)
"""A telephone line, in both directions."""

FRAME_MS = 20
_FRAME_BYTES = LINE.bytes(FRAME_MS)
_HEARD = (ItemStatus.COMPLETE, ItemStatus.INTERRUPTED)


class Voice:
    """The agent's sound on one call's line.

    What was cut off is never sent, not even what was left of it in here.
    """

    def __init__(self) -> None:
        self._resampler = Resampler(AGENT.rate_hz, LINE.rate_hz)
        self._framer = Framer(_FRAME_BYTES)
        self._response_id: int | None = None
        self._cleared: set[int] = set()

    def take(self, frame: AudioFrame) -> list[bytes]:
        """The line's frames that this completes."""
        if frame.response_id in self._cleared:
            return []
        ended = [] if frame.response_id == self._response_id else self._rest()
        self._response_id = frame.response_id
        return [*ended, *self._framer.feed(self._resampler.feed(frame.pcm))]

    def end(self, response_id: int) -> list[bytes]:
        """What is left of it, the last frame filled up with silence."""
        return self._rest() if response_id == self._response_id else []

    def clear(self, response_id: int) -> None:
        """Forget what is left of it, and whatever comes of it."""
        self._cleared.add(response_id)
        if response_id == self._response_id:
            self._rest()

    def _rest(self) -> list[bytes]:
        self._response_id = None
        frames = self._framer.feed(self._resampler.flush())
        last = self._framer.drain()
        return [*frames, last.ljust(_FRAME_BYTES, b"\x00")] if last else frames


class Interruptions:
    """When to tell the core to empty its buffer: as the caller speaks, once for each barge-in."""

    def __init__(self) -> None:
        self._sounding = False
        """Something was sent that has not been silenced."""
        self._silenced = False
        """It was told so because of a response; the speech that did it is yet to come."""

    def sent(self) -> None:
        """The core has sound to play."""
        self._sounding, self._silenced = True, False

    def cleared(self) -> bool:
        """A response is cut off."""
        told = self._sounding
        self._sounding, self._silenced = False, self._silenced or told
        return told

    def spoken(self) -> bool:
        """The caller speaks, whether anything plays or not: the core may hold more than we know."""
        told = not self._silenced
        self._sounding = self._silenced = False
        return told


class Words:
    """What the agent says, told once for each answer.

    An answer that is made in full is told at once, whatever of it will be heard; one that is cut
    off before is told when it is known what was heard of it.
    """

    def __init__(self) -> None:
        self._texts: dict[int, str] = {}
        self._told: set[int] = set()

    def add(self, response_id: int, text: str) -> None:
        if response_id not in self._told:
            self._texts[response_id] = self._texts.get(response_id, "") + text

    def made(self, effect: do.SendResponseMade) -> str:
        """What to tell now that no more of it is made; empty: nothing."""
        match effect.outcome:
            case do.Outcome.TOOLS:
                return ""  # the answer goes on
            case do.Outcome.COMPLETE:
                return self._once(effect.response_id, self._texts.get(effect.response_id, ""))
        self._texts.pop(effect.response_id, None)
        return ""

    def on_record(self, item: Item) -> str:
        """What to tell of an entry of the conversation; empty: nothing."""
        heard = item.role is Role.AGENT and item.status in _HEARD
        if not heard or item.response_id is None:
            return ""
        return self._once(item.response_id, item.text)

    def _once(self, response_id: int, text: str) -> str:
        self._texts.pop(response_id, None)
        if response_id in self._told or not text.strip():
            return ""
        self._told.add(response_id)
        return text.strip()
