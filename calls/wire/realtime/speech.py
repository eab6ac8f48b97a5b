"""The caller's turns on the wire: where they lie in the sound, and what was understood."""

from dataclasses import dataclass, field

from calls.domain import effects as do
from calls.domain.effects import SpeechMark
from calls.wire.realtime.buffer import InputBuffer
from calls.wire.realtime.items import Entry, Items
from calls.wire.realtime.settings import Settings
from calls.wire.realtime.writing import Out

MOST_TURNS = 64
"""So many turns may wait for their words."""

_FAILED = "The caller's words could not be understood."


@dataclass(slots=True)
class Utterance:
    item_id: str
    start_ms: int
    manual: bool
    end_ms: int = 0
    entry: Entry | None = None
    """The item, once it is committed."""
    partial: str = ""
    told: str = field(default="")
    """What of the words the client has been told."""

    @property
    def lasts_ms(self) -> int:
        return max(0, self.end_ms - self.start_ms)


class Speech:
    """Utterances, and the turns that wait for their words.

    Attributes:
        heard_ms: sound of the caller in all committed turns.
    """

    def __init__(self, out: Out, items: Items, buffer: InputBuffer) -> None:
        self._out = out
        self._items = items
        self._buffer = buffer
        self._open: Utterance | None = None
        self._turns: dict[int, Utterance] = {}
        self.heard_ms = 0

    @property
    def is_open(self) -> bool:
        return self._open is not None

    def marked(self, effect: do.SendSpeech, settings: Settings) -> None:
        match effect.mark:
            case SpeechMark.STARTED:
                self._started(effect, settings)
            case SpeechMark.COMMITTED:
                self._committed(effect, settings)
            case SpeechMark.DROPPED:
                self._dropped(effect, settings)

    def _started(self, effect: do.SendSpeech, settings: Settings) -> None:
        at_ms = self._buffer.ms_at(effect.position_ms)
        prefix_ms = settings.turns.prefix_ms if settings.turns is not None else 0
        start_ms = max(0, at_ms - prefix_ms)
        manual = settings.turns is None
        self._open = Utterance(self._items.new_id(), start_ms, manual)
        if not manual:
            self._out.put(
                "input_audio_buffer.speech_started",
                audio_start_ms=start_ms,
                item_id=self._open.item_id,
            )

    def _stopped(self, effect: do.SendSpeech, settings: Settings) -> Utterance:
        """The utterance, ended where its sound does: with the pause that told so."""
        at_ms = self._buffer.ms_at(effect.position_ms)
        said, self._open = self._open, None
        if said is None:
            said = Utterance(self._items.new_id(), at_ms, settings.turns is None)
        pause_ms = settings.turns.silence_ms if settings.turns is not None else 0
        end_ms = min(at_ms + pause_ms, self._buffer.appended_ms)
        said.end_ms = max(said.start_ms, end_ms)
        if not said.manual:
            self._out.put(
                "input_audio_buffer.speech_stopped",
                audio_end_ms=said.end_ms,
                item_id=said.item_id,
            )
        return said

    def _committed(self, effect: do.SendSpeech, settings: Settings) -> None:
        said = self._stopped(effect, settings)
        self.heard_ms += said.lasts_ms
        before = self._items.last_id
        self._out.put("input_audio_buffer.committed", previous_item_id=before, item_id=said.item_id)
        # Clients trip over a part without the key.
        content = [{"type": "input_audio", "transcript": None}]
        fields = {
            "id": said.item_id,
            "object": "realtime.item",
            "type": "message",
            "status": "completed",
            "role": "user",
            "content": content,
        }
        said.entry = Entry(fields, named={"turn": effect.turn})
        self._items.add(said.entry, done=True)
        self._turns[effect.turn] = said
        while len(self._turns) > MOST_TURNS:
            del self._turns[next(iter(self._turns))]
        self._tell_partial(said, settings)

    def _dropped(self, effect: do.SendSpeech, settings: Settings) -> None:
        if self._open is not None:
            self._stopped(effect, settings)

    # Words

    def understood(self, effect: do.SendTranscript, settings: Settings) -> None:
        said = self._turns.get(effect.turn)
        if said is None:
            if self._open is not None and not effect.final:
                self._open.partial = effect.text
            return
        if not effect.final:
            said.partial = effect.text
            self._tell_partial(said, settings)
            return
        del self._turns[effect.turn]
        assert said.entry is not None
        if settings.transcription is not None:
            said.entry.parts[0]["transcript"] = effect.text
            self._tell_final(said, effect.text)

    def _tell_partial(self, said: Utterance, settings: Settings) -> None:
        """What is new beyond what was told; words that were revised wait for the final text."""
        if settings.transcription is None or not said.partial.startswith(said.told):
            return
        if delta := said.partial[len(said.told) :]:
            said.told = said.partial
            self._out.put(
                "conversation.item.input_audio_transcription.delta",
                item_id=said.item_id,
                content_index=0,
                delta=delta,
            )

    def _tell_final(self, said: Utterance, text: str) -> None:
        extra = {"transcription": text} if self._out.nested else {}
        self._out.put(
            "conversation.item.input_audio_transcription.completed",
            item_id=said.item_id,
            content_index=0,
            transcript=text,
            usage={"type": "duration", "seconds": said.lasts_ms / 1000},
            **extra,
        )

    def failed(self, settings: Settings) -> None:
        """The oldest turn that waits for its words gets none."""
        turn = next(iter(self._turns), None)
        if turn is None:
            return
        said = self._turns.pop(turn)
        if settings.transcription is not None:
            self._out.put(
                "conversation.item.input_audio_transcription.failed",
                item_id=said.item_id,
                content_index=0,
                error={
                    "type": "server_error",
                    "code": "transcription_failed",
                    "message": _FAILED,
                },
            )
