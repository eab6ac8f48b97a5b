"""The codec of AVR's speech-to-speech protocol."""

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

from calls.audio.framing import PreRoll
from calls.domain import effects as do
from calls.domain import events as ev
from calls.domain.errors import ErrorCode
from calls.ports.client import AudioEnd, AudioFrame, Outgoing, Pace, Playback
from calls.wire.avr.reading import (
    MESSAGE_BYTES,
    Fault,
    Read,
    config_names,
    metadata_of,
    read,
    uuid_of,
)
from calls.wire.avr.speaking import FRAME_MS, LINE, Interruptions, Voice, Words
from calls.wire.base import (
    CLOSE_CODES,
    ClientAudio,
    Frame,
    Hello,
    Inbound,
    Knock,
    Ready,
    Received,
    Terms,
    WireError,
)

START_MS = 3_000
KEPT_DIGITS = 32
EARLY_MESSAGES = 1_000
"""What may come before the call: so many digits are kept, so many messages are read at all."""

PACE = Pace(playback=Playback.PACED, lead_ms=160, frame_ms=2 * FRAME_MS)

TERMS = Terms(
    name="avr",
    message_bytes=MESSAGE_BYTES,
    start_ms=START_MS,
    # Three times what frames of 20 ms come to in base64 and JSON. Every message counts as sound:
    # frames may have any size, so that there may be many short ones.
    sound_bytes_per_s=70_000,
    sound_reserve_bytes=350_000,
    sound_least_bytes=250,
    sound_text_chars=0,
    # The core hangs up when the socket closes, and still holds the end of the goodbye.
    close_grace_ms=400,
)


class Avr:
    """One socket's codec.

    Args:
        knock: the fields of its query become the call's metadata.
    """

    def __init__(self, knock: Knock) -> None:
        self.terms = TERMS
        self._query = knock.query
        self._early = _Early()
        self._complained: set[str] = set()
        self._voice = Voice()
        self._interruptions = Interruptions()
        self._words = Words()

    # Before the call

    def greet(self) -> Hello | None:
        """Nothing: the core speaks first."""
        return None

    def open(self, frame: Frame) -> Hello | None:
        """Wait for `init`; what comes before it is kept until the call runs.

        Raises:
            WireError: too large or too fast, with a close code.
        """
        self._early.count()
        message = read(frame)
        self._early.complaints += self._complaint(message.fault)
        if message.init is not None:
            return self._hello(message.init)
        self._early.keep(message)
        return None

    def late(self) -> Hello:
        """Somebody speaks and has not said `init`: the call begins, and has no id over there.

        Raises:
            WireError: START_TIMEOUT: nobody speaks either.
        """
        if not self._early.spoken:
            raise WireError(ErrorCode.START_TIMEOUT, "No init came in time.", 4408)
        return self._hello({})

    def ready(self, ready: Ready) -> tuple[Frame, ...]:  # noqa: ARG002 - the core expects nothing
        """What was wrong with messages that came before the call."""
        complaints, self._early.complaints = self._early.complaints, ()
        return complaints

    def _hello(self, init: Mapping[str, Any]) -> Hello:
        metadata = metadata_of(self._query)
        uuid, fault = uuid_of(init)
        self._early.complaints += self._complaint(fault)
        if uuid := uuid or uuid_of(self._query)[0]:
            metadata["uuid"] = uuid
        if names := config_names(init):
            metadata["provider_config"] = names
        return Hello(
            agent=self._query.get("agent", "")[:100],
            mic_rate_hz=LINE.rate_hz,
            pace=PACE,
            caller=str(metadata.get("from", "")).strip()[:200],
            metadata=metadata,
        )

    # In

    def receive(self, frame: Frame) -> Received:
        """Read any later message; whatever is wrong with it, the call goes on.

        Raises:
            WireError: too large, with a close code.
        """
        message = read(frame)
        kept = self._early.take()
        meant: tuple[Inbound, ...] = () if message.inbound is None else (message.inbound,)
        return Received((*kept, *meant), self._complaint(message.fault))

    def _complaint(self, fault: Fault | None) -> tuple[Frame, ...]:
        if fault is None or fault.kind in self._complained:
            return ()
        self._complained.add(fault.kind)
        return (_error(fault.message),)

    # Out

    def send(self, message: Outgoing) -> tuple[Frame, ...]:
        """The frames that say it: none, or several of 20 ms."""
        write = _WRITERS.get(type(message))
        return () if write is None else write(self, message)

    def _audio(self, message: AudioFrame) -> tuple[Frame, ...]:
        return self._sound(self._voice.take(message))

    def _audio_end(self, message: AudioEnd) -> tuple[Frame, ...]:
        return self._sound(self._voice.end(message.response_id))

    def _sound(self, frames: list[bytes]) -> tuple[Frame, ...]:
        if frames:
            self._interruptions.sent()
        return tuple(_json(type="audio", audio=base64.b64encode(pcm).decode()) for pcm in frames)

    def _clear(self, message: do.ClearAudio) -> tuple[Frame, ...]:
        self._voice.clear(message.response_id)
        return (_json(type="interruption"),) if self._interruptions.cleared() else ()

    def _speech(self, message: do.SendSpeech) -> tuple[Frame, ...]:
        if message.mark is not do.SpeechMark.STARTED or not self._interruptions.spoken():
            return ()
        return (_json(type="interruption"),)

    def _heard(self, message: do.SendTranscript) -> tuple[Frame, ...]:
        return _transcript("user", message.text.strip() if message.final else "")

    def _text(self, message: do.SendResponseText) -> tuple[Frame, ...]:
        self._words.add(message.response_id, message.text)
        return ()

    def _made(self, message: do.SendResponseMade) -> tuple[Frame, ...]:
        return _transcript("agent", self._words.made(message))

    def _item(self, message: do.SendItem) -> tuple[Frame, ...]:
        return _transcript("agent", self._words.on_record(message.item))

    def _failed(self, message: do.SendError) -> tuple[Frame, ...]:
        return (_error(message.message),)

    def error(self, code: ErrorCode, message: str, *, fatal: bool) -> tuple[Frame, ...]:  # noqa: ARG002 - all look alike
        return (_error(message),)

    def close_code(self, code: ErrorCode) -> int:
        return CLOSE_CODES.get(code, 4400)


class _Early:
    """What came before the call runs, bounded: the latest sound, the first digits."""

    def __init__(self) -> None:
        self.complaints: tuple[Frame, ...] = ()
        self.spoken = False
        """There was sound."""
        self._sound = PreRoll(LINE.bytes(START_MS))
        self._digits: list[ev.DigitPressed] = []
        self._messages = 0

    def count(self) -> None:
        """One message more.

        Raises:
            WireError: too many, with a close code.
        """
        self._messages += 1
        if self._messages > EARLY_MESSAGES:
            raise WireError(ErrorCode.TOO_FAST, "That is faster than anybody speaks.", 4429)

    def keep(self, message: Read) -> None:
        match message.inbound:
            case ClientAudio(_, pcm):
                self.spoken = True
                self._sound.push(pcm)
            case ev.DigitPressed() as pressed if len(self._digits) < KEPT_DIGITS:
                self._digits.append(pressed)

    def take(self) -> tuple[Inbound, ...]:
        """All of it, once."""
        sound, digits = self._sound.take(), tuple(self._digits)
        self._digits.clear()
        return (ClientAudio(None, sound), *digits) if sound else digits


def _json(**fields: Any) -> str:
    # Escaped to ASCII: a lone surrogate from a model must not break the socket.
    return json.dumps(fields, separators=(",", ":"))


def _error(message: str) -> str:
    return _json(type="error", message=message)


def _transcript(role: str, text: str) -> tuple[Frame, ...]:
    return (_json(type="transcript", role=role, text=text),) if text else ()


_WRITERS: Mapping[type, Callable[[Avr, Any], tuple[Frame, ...]]] = {
    AudioFrame: Avr._audio,
    AudioEnd: Avr._audio_end,
    do.ClearAudio: Avr._clear,
    do.SendSpeech: Avr._speech,
    do.SendTranscript: Avr._heard,
    do.SendResponseText: Avr._text,
    do.SendResponseMade: Avr._made,
    do.SendItem: Avr._item,
    do.SendError: Avr._failed,
}
