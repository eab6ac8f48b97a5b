"""The ears of a realtime session: sound in, words out, turn by turn."""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from calls.domain.audio import AGENT
from calls.domain.events import (
    SpeechStarted,
    SpeechStopped,
    Stage,
    TalkStopped,
    TranscriptFinal,
    TranscriptPartial,
    VoiceFailed,
)
from calls.ports.errors import ProviderFault
from calls.ports.usage import OK
from calls.providers.openai.realtime.desk import Desk, Request
from calls.providers.openai.realtime.faults import error_kind
from calls.providers.openai.realtime.messages import CLEAR, TRANSCRIPT, commit
from calls.providers.openai.realtime.sound import Sound
from calls.providers.openai.realtime.usage import transcription_usage
from calls.providers.openai.realtime.utterance import KEPT_BYTES, SHORTEST_BYTES, Utterance

BEFORE_SPEECH_BYTES = AGENT.bytes(1_000)
"""Kept while nobody speaks: speech begins a little before it is noticed."""

TRANSCRIPT_MS = 10_000
CONNECTION_MS = 4_000
"""So long a turn waits for the words of its caller while there is nobody to ask."""

UNHEEDED_MS = 1_000
"""A turn that the call has not committed by then, it will not: the agent may not be interrupted."""

Message = dict[str, Any]


class Understood(Protocol):
    """Who goes on with what was heard."""

    def committed(self, utterance: Utterance) -> None:
        """The caller's turn is over; what was said is not known yet."""
        ...

    def understood(self, utterance: Utterance, text: str) -> None:
        """Empty: nothing, and it is to be forgotten."""
        ...

    def spoken_again(self) -> None:
        """The caller goes on."""
        ...


class Hearing:
    """Turns of the caller, in their order; `VoiceSession` says what the methods promise.

    With turn detection of the provider's, the caller's sound never stops, and an utterance comes
    into being when the provider says that it is over.
    """

    def __init__(self, desk: Desk, then: Understood, now_in_call_ms: Callable[[], int]) -> None:
        self._desk = desk
        self._then = then
        self._now_in_call_ms = now_in_call_ms
        self._detects = desk.settings.turn_detection != "ours"
        self._sound = Sound(desk)
        self._speaking = False
        self._waiting: deque[Utterance] = deque()
        self._partials: dict[str, str] = {}
        self._discarded: set[str] = set()

    # Sound

    def listen(self, pcm: bytes) -> None:
        if not self._detects and not self._sound.size_bytes:
            self._then.spoken_again()
        idle = self._detects and not self._speaking and self._desk.connection.up
        self._sound.add(pcm, keep_bytes=BEFORE_SPEECH_BYTES if idle else KEPT_BYTES)

    def discard(self) -> None:
        self._sound.take()
        self._desk.connection.send(CLEAR)
        known = {utterance.item_id for utterance in self._waiting}
        self._discarded |= self._partials.keys() - known
        self._desk.outlet.forget_partials()

    # Commit

    def commit(self) -> None:
        self.drop_unheeded()
        if (utterance := self._stopped_by_provider()) is not None:
            self._claim(utterance)
            return
        self._sound.flush()
        long_enough = self._sound.size_bytes >= SHORTEST_BYTES
        utterance = self._utterance(self._sound.take())
        self._waiting.append(utterance)
        if not long_enough:
            self._desk.connection.send(CLEAR)
            utterance.claimed = True
            self._settle(utterance, TranscriptFinal(text="", provider=self._name))
            return
        utterance.tag = self._desk.tag("commit")
        self._desk.connection.send(commit(utterance.tag))
        self._claim(utterance)
        if self._desk.connection.hopeless:
            self._failed(utterance, ProviderFault.UNAVAILABLE)

    def _stopped_by_provider(self) -> Utterance | None:
        """The turn whose end this commit answers. Turns before it were not heeded."""
        told = [u for u in self._waiting if u.told and not u.claimed]
        for unheeded in told[:-1]:
            self._drop(unheeded)
        return told[-1] if told else None

    def drop_unheeded(self) -> None:
        """Forget turns that the call did not want."""
        now_ms = self._desk.clock.now_ms()
        for utterance in tuple(self._waiting):
            old = now_ms - utterance.stopped_ms >= UNHEEDED_MS
            if utterance.told and not utterance.claimed and old:
                self._drop(utterance)

    def _drop(self, utterance: Utterance) -> None:
        self._waiting.remove(utterance)
        self._then.understood(utterance, "")

    def _claim(self, utterance: Utterance) -> None:
        utterance.claimed = True
        if utterance.outcome is None:
            late = partial(self._failed, utterance, ProviderFault.TIMEOUT)
            patience_ms = TRANSCRIPT_MS if self._desk.connection.up else CONNECTION_MS
            utterance.forget = self._desk.after(patience_ms, late)
            self._then.committed(utterance)
        self._give_out()

    def _utterance(self, pcm: bytes) -> Utterance:
        now_ms = self._desk.clock.now_ms()
        model = self._desk.settings.transcription_model
        return Utterance(pcm, Request(self._desk, Stage.STT, model, now_ms), stopped_ms=now_ms)

    # The provider's own ears

    def speech_started(self, message: Message) -> None:
        if self._said_again() is not None:
            return
        self._speaking = True
        self._then.spoken_again()
        settings = self._desk.settings
        padding_ms = settings.vad_prefix_ms if settings.turn_detection == "server_vad" else 0
        heard_ms = int(message["audio_start_ms"]) + padding_ms
        first_ms, place_ms = self._call_ms(heard_ms), self._sound.place_ms(heard_ms)
        self._desk.outlet.put(SpeechStarted(first_speech_ms=first_ms, position_ms=place_ms))

    def speech_stopped(self, message: Message) -> None:
        if (known := self._said_again()) is not None:
            known.item_id = str(message["item_id"])
            return
        self._speaking = False
        settings = self._desk.settings
        silence_ms = settings.vad_silence_ms if settings.turn_detection == "server_vad" else 0
        heard_ms = int(message["audio_end_ms"]) - silence_ms
        last_ms, place_ms = self._call_ms(heard_ms), self._sound.place_ms(heard_ms)
        utterance = self._utterance(self._sound.take())
        utterance.item_id = str(message["item_id"])
        self._waiting.append(utterance)
        self._desk.outlet.put(SpeechStopped(last_speech_ms=last_ms, position_ms=place_ms))
        self._desk.outlet.put(TalkStopped(), partial(setattr, utterance, "told", True))

    def _said_again(self) -> Utterance | None:
        """The turn that is being repeated on a new connection: the call knows of it."""
        return next((u for u in self._waiting if u.again and not u.item_id), None)

    def _call_ms(self, audio_ms: int) -> int:
        """In time of the call; the provider counts the sound that it was sent."""
        since_ms = max(0, self._sound.sent_ms - audio_ms)
        return max(0, self._now_in_call_ms() - since_ms)

    # What was understood

    def committed(self, message: Message) -> None:
        item_id = str(message["item_id"])
        if any(utterance.item_id == item_id for utterance in self._waiting):
            return
        for utterance in self._waiting:
            if utterance.tag and not utterance.item_id and utterance.outcome is None:
                utterance.item_id = item_id
                return

    def partial(self, message: Message) -> None:
        item_id = str(message["item_id"])
        text = self._partials[item_id] = self._partials.get(item_id, "") + str(message["delta"])
        if item_id in self._discarded:
            return
        first = self._waiting[0].item_id if self._waiting else item_id
        if first == item_id:
            self._desk.outlet.put(TranscriptPartial(text=text))

    def completed(self, message: Message) -> None:
        if (utterance := self._of(message)) is not None:
            usage = transcription_usage(message.get("usage"), utterance.audio_ms)
            utterance.request.came()
            utterance.request.over(OK, usage)
            text = str(message["transcript"]).strip()
            self._settle(utterance, TranscriptFinal(text=text, provider=self._name))

    def failed(self, message: Message) -> None:
        if (utterance := self._of(message)) is not None:
            kind = error_kind(message.get("error"))
            utterance.request.over(kind.value, {"audio_ms": utterance.audio_ms})
            self._failed(utterance, kind)

    def refused(self, tag: str, error: Message) -> bool:
        """Whether it was a commit of ours that the provider did not take."""
        utterance = next((u for u in self._waiting if u.tag == tag and not u.item_id), None)
        if utterance is None:
            return tag.startswith("commit")
        if error.get("code") != "input_audio_buffer_commit_empty":
            self._failed(utterance, error_kind(error))
        elif (by_provider := self._stopped_by_provider()) is not None:
            # The provider was faster: its turn is the one that was meant.
            utterance.forget()
            self._waiting.remove(utterance)
            self._claim(by_provider)
        else:
            self._settle(utterance, TranscriptFinal(text="", provider=self._name))
        return True

    def _of(self, message: Message) -> Utterance | None:
        item_id = str(message["item_id"])
        self._partials.pop(item_id, None)
        found = (u for u in self._waiting if u.item_id == item_id and u.outcome is None)
        return next(found, None)

    def _failed(self, utterance: Utterance, kind: ProviderFault) -> None:
        text = "Speech recognition failed."
        if kind is ProviderFault.TIMEOUT:
            text = "Speech recognition took too long."
            sent = {"audio_ms": utterance.audio_ms}
            utterance.request.over(kind.value, sent, estimated=True)
        busy = kind is ProviderFault.BUSY
        self._settle(utterance, VoiceFailed(stage=Stage.STT, message=text, busy=busy))

    def _settle(self, utterance: Utterance, outcome: TranscriptFinal | VoiceFailed) -> None:
        if utterance.outcome is None:
            utterance.forget()
            utterance.outcome = outcome
            text = outcome.text if isinstance(outcome, TranscriptFinal) else ""
            self._then.understood(utterance, text)
        self._give_out()

    def _give_out(self) -> None:
        while self._waiting and self._waiting[0].claimed:
            if (outcome := self._waiting[0].outcome) is None:
                return
            self._waiting.popleft()
            self._desk.outlet.put(outcome)

    @property
    def _name(self) -> str:
        return f"{self._desk.provider}:{self._desk.settings.transcription_model}"

    # The connection

    def opened(self) -> None:
        """Say again what was not understood, and what has been said since."""
        self._sound.opened()
        self._partials.clear()
        self._discarded.clear()
        for utterance in self._waiting:
            if utterance.outcome is None:
                utterance.item_id, utterance.tag = "", self._desk.tag("commit")
                utterance.again = True
                self._sound.send(utterance.pcm)
                self._desk.connection.send(commit(utterance.tag))
        self._sound.again()

    @property
    def busy(self) -> bool:
        """Whether a turn of the caller goes on, or is being understood."""
        speaking = self._speaking if self._detects else bool(self._sound.size_bytes)
        return speaking or bool(self._waiting)


HANDLERS: dict[str, Callable[[Hearing, Message], None]] = {
    "input_audio_buffer.speech_started": Hearing.speech_started,
    "input_audio_buffer.speech_stopped": Hearing.speech_stopped,
    "input_audio_buffer.committed": Hearing.committed,
    f"{TRANSCRIPT}.delta": Hearing.partial,
    f"{TRANSCRIPT}.completed": Hearing.completed,
    f"{TRANSCRIPT}.failed": Hearing.failed,
}
