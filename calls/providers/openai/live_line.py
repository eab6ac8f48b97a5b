"""A transcription session: sound goes into one buffer, and what was said comes back by item."""

import base64
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from calls.ports.clock import Clock
from calls.ports.errors import ProviderError
from calls.providers.openai.realtime_events import PCM, RealtimeAddress
from calls.providers.openai.realtime_line import RealtimeLine, Start, answered_id

_HEARD = "conversation.item.input_audio_transcription"
DELTA, COMPLETED, FAILED = f"{_HEARD}.delta", f"{_HEARD}.completed", f"{_HEARD}.failed"
COMMITTED, CLEARED = "input_audio_buffer.committed", "input_audio_buffer.cleared"

_NOTHING = "input_audio_buffer_commit_empty"
_SEVERAL_LANGUAGES = ("gpt-transcribe", "gpt-live-transcribe")
"""Models that are told languages, not one language."""


class Heard(Protocol):
    """An utterance whose sound went into the buffer."""

    def delta(self, text: str) -> None: ...

    def final(self, text: str, usage: Mapping[str, Any]) -> None: ...

    def fail(self, error: ProviderError) -> None: ...

    def changed(self) -> None:
        """The socket has opened, or is over."""
        ...


class LiveLine:
    """One socket. One utterance at a time feeds the buffer; any number wait for their text.

    Args:
        aged: called when another one should take its place.

    Attributes:
        socket: how it goes with it.
        language: what it is told to listen for; a BCP 47 tag, empty for any.
        users: utterances that need it. Once retired it ends with the last of them.
    """

    def __init__(
        self,
        address: RealtimeAddress,
        model: str,
        noise_reduction: str,
        clock: Clock,
        aged: Callable[[], None],
    ) -> None:
        self.socket = RealtimeLine(address, self, clock)
        self.users: set[Heard] = set()
        self.language = ""
        self._model = model
        self._noise_reduction = noise_reduction
        self._aged = aged
        self._retired = False
        self._feeding: Heard | None = None
        self._committed: deque[tuple[str, Heard]] = deque()
        self._items: dict[str, Heard | None] = {}
        self._clearing = 0
        self._commits = 0

    def begin(self, start: Start) -> None:
        self.socket.begin(start)

    def release(self, user: Heard) -> None:
        """That utterance needs it no more."""
        self.users.discard(user)
        self._items = {item: None if of is user else of for item, of in self._items.items()}
        self._end_if_idle()

    def retire(self) -> None:
        """Another one has taken its place."""
        self._retired = True
        self._end_if_idle()

    async def append(self, user: Heard, pcm: bytes, language: str) -> None:
        """Put sound of that utterance, at 24 kHz, into the buffer."""
        if self.language != language:
            self.language = language
            await self.socket.update()
        self._feeding = user
        audio = base64.b64encode(pcm).decode()
        await self.socket.send("input_audio_buffer.append", audio=audio)

    async def commit(self, user: Heard) -> None:
        """The buffer is that utterance, whole."""
        self._commits += 1
        event_id = f"commit-{self._commits}"
        self._feeding = None
        self._committed.append((event_id, user))
        await self.socket.send("input_audio_buffer.commit", event_id=event_id)

    async def clear(self) -> None:
        """Forget what is in the buffer."""
        self._feeding = None
        self._clearing += 1
        await self.socket.send("input_audio_buffer.clear", event_id="clear")

    def session(self) -> Mapping[str, Any]:
        transcription: dict[str, Any] = {"model": self._model}
        if code := self.language.replace("_", "-").partition("-")[0].lower():
            several = self._model.startswith(_SEVERAL_LANGUAGES)
            transcription |= {"languages": [code]} if several else {"language": code}
        noise = {"type": self._noise_reduction} if self._noise_reduction else None
        hears = {"format": PCM, "transcription": transcription, "noise_reduction": noise}
        return {"type": "transcription", "audio": {"input": {**hears, "turn_detection": None}}}

    def changed(self) -> None:
        for user in tuple(self.users):
            user.changed()
        if self.socket.old:
            self._aged()

    def take(self, kind: str, event: Mapping[str, Any]) -> None:
        if kind == DELTA:
            self._delta(str(event["item_id"]), str(event.get("delta") or ""))
        elif kind == COMMITTED:
            self._items[str(event["item_id"])] = self._oldest_commit()
        elif kind == CLEARED:
            self._clearing = max(0, self._clearing - 1)
        elif kind in (COMPLETED, FAILED):
            self._settle(kind, event)
        elif kind == "error":
            self._error(event)

    def _delta(self, item_id: str, text: str) -> None:
        if item_id not in self._items:
            self._items[item_id] = self._speaker()
        if (user := self._items[item_id]) is not None:
            user.delta(text)

    def _speaker(self) -> Heard | None:
        """Whose is an item that was not committed yet; what is being forgotten is nobody's."""
        if self._clearing:
            return None
        return self._committed[0][1] if self._committed else self._feeding

    def _settle(self, kind: str, event: Mapping[str, Any]) -> None:
        user = self._items.get(str(event["item_id"]))
        if user is None:
            return
        if kind == FAILED:
            user.fail(self.socket.error_of(event))
        else:
            usage = event.get("usage")
            user.final(str(event.get("transcript") or ""), usage or {})

    def _error(self, event: Mapping[str, Any]) -> None:
        answered = answered_id(event)
        if answered == "clear":
            self._clearing = max(0, self._clearing - 1)
            return
        if not self._committed or answered != self._committed[0][0]:
            self.socket.fail_by(event)
            return
        _, user = self._committed.popleft()
        if event["error"].get("code") == _NOTHING:
            user.final("", {})
        else:
            user.fail(self.socket.error_of(event))

    def _oldest_commit(self) -> Heard | None:
        """Whose commit is answered, if that utterance still needs it."""
        user = self._committed.popleft()[1] if self._committed else None
        return user if user in self.users else None

    def _end_if_idle(self) -> None:
        if self._retired and not self.users:
            self.socket.close()


HANDLED_EVENTS = frozenset(
    {"session.created", "error", DELTA, COMPLETED, FAILED, COMMITTED, CLEARED}
)
