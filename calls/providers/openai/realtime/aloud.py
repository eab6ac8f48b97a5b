"""Given words, said by the model beside the conversation, or by another voice if it cannot."""

import base64
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from calls.domain.events import ResponseAudio, ResponseDone, ResponseText, Stage, VoiceFailed
from calls.ports.errors import ProviderFault
from calls.ports.speech import TextToSpeech
from calls.ports.usage import CANCELLED, OK, reporting
from calls.providers.openai.realtime.desk import Desk, Request
from calls.providers.openai.realtime.faults import error_kind
from calls.providers.openai.realtime.history import History
from calls.providers.openai.realtime.messages import cancel_response, read_aloud
from calls.providers.openai.realtime.speech import Recital, Speech
from calls.providers.openai.realtime.usage import response_usage
from calls.sessions.deadline import Deadline
from calls.sessions.sentences import SentenceCutter
from calls.sessions.tasks import Tasks

logger = logging.getLogger(__name__)

SILENT_MS = 5_000
"""For the first sound of a voice, and between its sounds."""

MUTE = "The voice failed."

Message = dict[str, Any]


@dataclass(slots=True)
class Reading:
    """One text on its way to the ear.

    Attributes:
        spoken: said by the model.
        recital: said by the other voice, once the model has failed.
    """

    tag: str
    response_id: int
    text: str
    request: Request
    spoken: Speech
    recital: Recital | None = None
    server_id: str = ""
    stopped: bool = False
    done: bool = False
    stop: Callable[[], object] = field(default=lambda: None)
    forget: Callable[[], None] = field(default=lambda: None)


class Aloud:
    """Says given words. `voice` is for when the model cannot; None: then they are text alone."""

    def __init__(
        self, desk: Desk, history: History, tasks: Tasks, voice: TextToSpeech | None
    ) -> None:
        self._desk = desk
        self._history = history
        self._tasks = tasks
        self._voice = voice
        self._readings: list[Reading] = []

    def say(self, response_id: int, text: str) -> None:
        desk = self._desk
        model = desk.settings.model
        speed = desk.settings.pace
        reading = Reading(
            tag=desk.tag("aloud"),
            response_id=response_id,
            text=text,
            request=Request(desk, Stage.TTS, model, desk.clock.now_ms()),
            spoken=Speech(response_id, provider=desk.name, speed=speed, script=text),
        )
        self._readings = [r for r in self._readings if not r.done] + [reading]
        self._history.saying(response_id)
        desk.outlet.add(reading.spoken)
        if desk.settings.text_only or not text.strip():
            self._finish(reading, ResponseDone(response_id=response_id))
        elif desk.connection.up:
            desk.connection.send(read_aloud(reading.tag, text))
            self._expect(reading)
        else:
            self._otherwise(reading)

    def cancel(self, response_id: int) -> None:
        for reading in self._readings:
            if reading.response_id != response_id or reading.stopped:
                continue
            reading.stopped = True
            reading.stop()
            reading.forget()
            self._desk.outlet.remove(reading.spoken)
            if reading.recital is not None:
                self._desk.outlet.remove(reading.recital)
                reading.done = True
            if reading.server_id and not reading.done:
                self._desk.connection.send(cancel_response(reading.server_id))

    def settle(self, response_id: int, heard_ms: int) -> None:
        """Words that were heard to their end are told to the conversation at once."""
        of_it = [r for r in self._readings if r.response_id == response_id]
        self._readings = [r for r in self._readings if r not in of_it or not r.done]
        if len(of_it) != 1 or not self._desk.connection.up:
            return
        (reading,) = of_it
        made_ms = reading.spoken.received_ms
        if reading.done and reading.recital is None and heard_ms >= made_ms > 0:
            self._desk.connection.send(*self._history.said(response_id, reading.text))

    def _expect(self, reading: Reading) -> None:
        reading.forget()
        reading.forget = self._desk.after(SILENT_MS, partial(self._too_late, reading))

    def _too_late(self, reading: Reading) -> None:
        reading.request.over(ProviderFault.TIMEOUT.value, {}, reading.response_id, estimated=True)
        self._desk.connection.send(cancel_response(reading.server_id))
        self._failed(reading)

    def _finish(self, reading: Reading, tail: ResponseDone | VoiceFailed) -> None:
        reading.done = True
        reading.forget()
        reading.spoken.finish(tail)
        self._desk.outlet.wake()

    def _failed(self, reading: Reading) -> None:
        """The model does not say it, or not all of it."""
        if reading.done or reading.stopped:
            return
        logger.warning("Given words could not be said.", extra={"stage": "tts"})
        if reading.spoken.received_ms:
            self._finish(reading, _mute(reading.response_id))
        else:
            self._otherwise(reading)

    # What comes

    def created(self, message: Message) -> None:
        response = message["response"]
        tag = (response.get("metadata") or {}).get("tag")
        for reading in self._readings:
            if reading.tag == tag:
                reading.server_id = reading.request.request_id = str(response["id"])
                if reading.stopped:
                    self._desk.connection.send(cancel_response(reading.server_id))

    def text_came(self, message: Message) -> None:
        if (reading := self._of(message["response_id"])) is not None and not reading.done:
            reading.spoken.add_text(str(message["delta"]))
            self._desk.outlet.wake()

    def sound_came(self, message: Message) -> None:
        reading = self._of(message["response_id"])
        if reading is None or reading.done or reading.stopped:
            return
        reading.request.came()
        self._expect(reading)
        reading.spoken.add_sound(base64.b64decode(message["delta"]))
        self._desk.outlet.wake()

    def ended(self, message: Message) -> None:
        response = message["response"]
        reading = self._of(response["id"])
        if reading is None:
            return
        whole = response.get("status") == "completed" and reading.spoken.received_ms > 0
        kind = error_kind((response.get("status_details") or {}).get("error")).value
        outcome = CANCELLED if reading.stopped else OK if whole else kind
        usage = response_usage(response.get("usage"))
        reading.request.over(outcome, usage, reading.response_id)
        if reading.stopped:
            reading.done = True
        elif whole and not reading.done:
            self._finish(reading, ResponseDone(response_id=reading.response_id))
        else:
            self._failed(reading)

    def refused(self, tag: str, error: Message) -> bool:
        """Whether it was words that the provider would not say."""
        for reading in self._readings:
            if reading.tag == tag:
                reading.request.over(error_kind(error).value, {}, reading.response_id)
                self._failed(reading)
        return tag.startswith("aloud")

    def _of(self, server_id: object) -> Reading | None:
        return next((r for r in self._readings if r.server_id == server_id), None)

    def lost(self) -> None:
        """The connection is gone."""
        for reading in self._readings:
            if not reading.done and reading.recital is None:
                self._tell_unfinished(reading, ProviderFault.UNAVAILABLE.value)
                self._failed(reading)

    def leave(self) -> None:
        """The call is over."""
        for reading in self._readings:
            reading.forget()
            if not reading.done and reading.recital is None:
                self._tell_unfinished(reading, CANCELLED)

    def _tell_unfinished(self, reading: Reading, outcome: str) -> None:
        if reading.server_id:
            outcome = CANCELLED if reading.stopped else outcome
            reading.request.over(outcome, {}, reading.response_id, estimated=True)

    @property
    def idle(self) -> bool:
        return all(reading.done or reading.stopped for reading in self._readings)

    # The other voice

    def _otherwise(self, reading: Reading) -> None:
        """Have the other voice say it, from the beginning."""
        reading.forget()
        if self._voice is None:
            self._finish(reading, _mute(reading.response_id))
            return
        self._desk.outlet.remove(reading.spoken)
        reading.recital = recital = Recital()
        self._desk.outlet.add(recital)
        reading.stop = self._tasks.start(self._recite(reading, recital, self._voice)).cancel

    async def _recite(self, reading: Reading, recital: Recital, voice: TextToSpeech) -> None:
        response_id = reading.response_id
        tail: ResponseDone | VoiceFailed = ResponseDone(response_id=response_id)
        said, shown = 0, reading.spoken.shown
        with reporting(lambda report: self._desk.take(report, response_id)):
            try:
                for piece in _pieces(reading.text):
                    visible = piece[max(0, shown - said) :]
                    said += len(piece)
                    if visible:
                        recital.put(ResponseText(response_id=response_id, text=visible))
                    await self._speak(piece, reading, recital, voice)
            except Exception:  # noqa: BLE001 - a provider's failure, of whatever kind
                tail = _mute(response_id)
                if rest := reading.text[max(said, shown) :]:
                    recital.put(ResponseText(response_id=response_id, text=rest))
        recital.put(tail)
        reading.done = True
        self._desk.outlet.wake()

    async def _speak(
        self, piece: str, reading: Reading, recital: Recital, voice: TextToSpeech
    ) -> None:
        settings = self._desk.settings
        async with Deadline(self._desk.clock) as deadline:
            deadline.start(SILENT_MS)
            async with voice.speak(
                piece, language=settings.language, voice="", speed=settings.speed
            ) as sounds:
                async for sound in sounds:
                    deadline.start(SILENT_MS)
                    recital.put(
                        ResponseAudio(
                            response_id=reading.response_id,
                            pcm=sound.pcm,
                            # Words that the model's voice has shown are not told again.
                            marks=() if reading.spoken.shown else sound.marks,
                            provider=voice.name,
                        )
                    )
                    self._desk.outlet.wake()


def _pieces(text: str) -> list[str]:
    cutter = SentenceCutter()
    return [piece for piece in (*cutter.feed(text), cutter.flush()) if piece]


def _mute(response_id: int) -> VoiceFailed:
    return VoiceFailed(stage=Stage.TTS, message=MUTE, response_id=response_id)


HANDLERS: dict[str, Callable[[Aloud, Message], None]] = {
    "response.created": Aloud.created,
    "response.output_text.delta": Aloud.text_came,
    "response.output_audio_transcript.delta": Aloud.text_came,
    "response.output_audio.delta": Aloud.sound_came,
    "response.done": Aloud.ended,
}
