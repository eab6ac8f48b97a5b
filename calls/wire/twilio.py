"""Twilio Media Streams, bidirectional: `docs/protocols/twilio.md` in code."""

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from typing import Any

from calls.audio import ulaw
from calls.audio.resample import Resampler
from calls.domain import effects as do
from calls.domain import events as ev
from calls.domain.audio import AGENT
from calls.domain.errors import ErrorCode
from calls.ports.client import AudioEnd, AudioFrame, Outgoing, Pace, Playback
from calls.wire.base import (
    CLOSE_CODES,
    ClientAudio,
    Frame,
    Hello,
    Inbound,
    Ready,
    Received,
    Terms,
    WireError,
)
from calls.wire.fields import bad, object_of, parse_object, text_of

RATE_HZ = 8_000
MESSAGE_BYTES = 16_384
PARAMETERS = 50
PARAMETER_CHARS = 1_000
START_MS = 10_000
DIGITS = "0123456789*#ABCD"
PACE = Pace(playback=Playback.REPORTED, lead_ms=400, frame_ms=100)

_MESSAGE_CHARS = 370
"""What Twilio's message of 20 ms comes to; each counts for so much at least."""
_BYTES_PER_S = _MESSAGE_CHARS * 50
_RESERVE_S = 15
_CALLER = ("caller", "from", "From")
"""Parameters that say who calls, the first that is there."""


class Twilio:
    """One stream's codec: what lies at Twilio, and at which place of which response it ends."""

    terms = Terms(
        name="twilio",
        message_bytes=MESSAGE_BYTES,
        start_ms=START_MS,
        # Every message is text; all are charged as sound.
        sound_text_chars=0,
        sound_bytes_per_s=3 * _BYTES_PER_S,
        sound_reserve_bytes=_RESERVE_S * _BYTES_PER_S,
        sound_least_bytes=_MESSAGE_CHARS,
    )

    def __init__(self) -> None:
        self._stream = ""
        self._voice = Resampler(AGENT.rate_hz, RATE_HZ)
        self._marks: dict[str, tuple[int, int]] = {}
        """Those that have not come back: of which response, and how far it is then heard."""
        self._sent_ms = 0

    def greet(self) -> Hello | None:
        """Nothing: Twilio speaks first."""
        return None

    def late(self) -> Hello:
        """No call begins without `start`.

        Raises:
            WireError: START_TIMEOUT.
        """
        raise WireError(ErrorCode.START_TIMEOUT, "No `start` came in time.", 4408)

    def close_code(self, code: ErrorCode) -> int:
        return CLOSE_CODES.get(code, 4400)

    def open(self, frame: Frame) -> Hello | None:
        """Read `connected`, which tells nothing, and `start`, which begins the call.

        Raises:
            WireError: with a close code, always.
        """
        try:
            message = _message(frame)
            if message["event"] == "connected":
                return None
            if message["event"] != "start":
                raise bad("A stream begins with `connected` and `start`.")
            self._stream, hello = _start(message)
        except WireError as error:
            raise WireError(error.code, error.message, error.close_code or 4400) from None
        return hello

    def receive(self, frame: Frame) -> Received:
        """Read any later message.

        Raises:
            WireError: without a close code the call goes on.
        """
        message = _message(frame)
        if message["event"] == "mark":
            return self._returned(message)
        read = _MESSAGES.get(message["event"])
        inbound = None if read is None else read(message)
        return Received() if inbound is None else Received((inbound,))

    def ready(self, ready: Ready) -> tuple[Frame, ...]:  # noqa: ARG002 - Twilio is told nothing
        return ()

    def error(self, code: ErrorCode, message: str, *, fatal: bool) -> tuple[Frame, ...]:  # noqa: ARG002
        """Nothing: the protocol has no word for it; Twilio shows the close code in its log."""
        return ()

    def send(self, message: Outgoing) -> tuple[Frame, ...]:
        """The frames that say it."""
        match message:
            case AudioFrame():
                return self._sound(message)
            case AudioEnd():
                return self._media(self._voice.flush())
            case do.ClearAudio():
                return self._clear()
        return ()

    # Sound, and how far it was heard

    def _sound(self, frame: AudioFrame) -> tuple[Frame, ...]:
        end_ms = frame.start_ms + AGENT.ms_of(len(frame.pcm))
        name = f"r{frame.response_id}:{end_ms}"
        self._marks[name] = (frame.response_id, end_ms)
        self._sent_ms = end_ms
        mark = self._said("mark", mark={"name": name})
        return (*self._media(self._voice.feed(frame.pcm)), mark)

    def _media(self, pcm: bytes) -> tuple[Frame, ...]:
        if not pcm:
            return ()
        payload = base64.b64encode(ulaw.encode(pcm)).decode("ascii")
        return (self._said("media", media={"payload": payload}),)

    def _clear(self) -> tuple[Frame, ...]:
        """Marks that are still out come back at once now: that says nothing of the ear."""
        self._marks.clear()
        self._voice = Resampler(AGENT.rate_hz, RATE_HZ)
        return (self._said("clear"),)

    def _returned(self, message: dict[str, Any]) -> Received:
        name = text_of(object_of(message, "mark") or {}, "name", most=PARAMETER_CHARS)
        known = self._marks.pop(name, None)
        if known is None:
            return Received()
        response_id, end_ms = known
        buffered_ms = max(0, self._sent_ms - end_ms) if self._marks else 0
        played = ev.Played(response_id=response_id, played_ms=end_ms, buffered_ms=buffered_ms)
        return Received((played,))

    def _said(self, event: str, **fields: Any) -> Frame:
        return json.dumps(
            {"event": event, "streamSid": self._stream} | fields, separators=(",", ":")
        )


# In


def _message(frame: Frame) -> dict[str, Any]:
    """A message with an `event`.

    Raises:
        WireError: it is none.
    """
    if not isinstance(frame, str):
        raise bad("A message must be text.")
    message = parse_object(frame, max_bytes=MESSAGE_BYTES)
    if not isinstance(message.get("event"), str):
        raise bad("`event` must be text.")
    return message


def _start(message: dict[str, Any]) -> tuple[str, Hello]:
    """The stream's name and what its call begins with."""
    start = object_of(message, "start") or {}
    told = {key: text_of(start, key, most=100) for key in ("callSid", "accountSid")}
    stream = text_of(start, "streamSid", least=1, most=100)
    _check_format(object_of(start, "mediaFormat") or {})
    parameters = _parameters(object_of(start, "customParameters") or {})
    caller = next((parameters[name] for name in _CALLER if parameters.get(name)), "")
    hello = Hello(
        agent=parameters.pop("agent", "")[:100],
        mic_rate_hz=RATE_HZ,
        pace=PACE,
        caller=caller[:200],
        metadata={**parameters, **told, "streamSid": stream},
    )
    return stream, hello


def _check_format(told: dict[str, Any]) -> None:
    if told.get("encoding", "audio/x-mulaw") != "audio/x-mulaw":
        raise bad("The sound must be `audio/x-mulaw`.")
    if told.get("sampleRate", RATE_HZ) != RATE_HZ or told.get("channels", 1) != 1:
        raise bad(f"The sound must be one channel at {RATE_HZ} Hz.")


def _parameters(given: dict[str, Any]) -> dict[str, str]:
    if len(given) > PARAMETERS:
        raise bad(f"There are at most {PARAMETERS} `customParameters`.")
    return {
        text_of({"name": name}, "name", most=PARAMETER_CHARS): text_of(
            given, name, most=PARAMETER_CHARS
        )
        for name in given
    }


def _media(message: dict[str, Any]) -> Inbound | None:
    """The caller's sound; what Twilio itself plays is not the caller's."""
    media = object_of(message, "media") or {}
    if media.get("track", "inbound") != "inbound":
        return None
    payload = text_of(media, "payload", most=MESSAGE_BYTES)
    try:
        sound = base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError):
        raise bad("`payload` must be base64.") from None
    return ClientAudio(None, ulaw.decode(sound))


def _dtmf(message: dict[str, Any]) -> Inbound:
    digit = text_of(object_of(message, "dtmf") or {}, "digit", least=1, most=1).upper()
    if digit not in DIGITS:
        raise bad(f"`digit` must be one of {DIGITS}.")
    return ev.DigitPressed(digit=digit)


_MESSAGES: Mapping[str, Callable[[dict[str, Any]], Inbound | None]] = {
    "media": _media,
    "dtmf": _dtmf,
    "stop": lambda _message: ev.HungUp(),
}
