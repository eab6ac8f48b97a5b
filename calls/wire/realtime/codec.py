"""OpenAI Realtime as a server speaks it: `docs/protocols/openai-realtime.md` in code."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from calls.domain import effects as do
from calls.domain.errors import EndReason, ErrorCode
from calls.domain.policy import Policy
from calls.ports.client import (
    AsideAudio,
    AsideDone,
    AsideText,
    AsideTool,
    AudioEnd,
    AudioFrame,
    Outgoing,
    Pace,
    Playback,
)
from calls.wire.base import CLOSE_CODES, Frame, Hello, Knock, Ready, Received, Terms, WireError
from calls.wire.fields import parse_object, storable
from calls.wire.realtime.dialect import Dialect, dialect_of_session, is_in_band, token_of
from calls.wire.realtime.handling import HANDLERS
from calls.wire.realtime.reading import ID_CHARS
from calls.wire.realtime.refusal import (
    INVALID_JSON,
    INVALID_VALUE,
    UNKNOWN,
    UNSUPPORTED,
    Refusal,
    missing,
)
from calls.wire.realtime.settings import Settings, read_session
from calls.wire.realtime.sound import SoundFormat
from calls.wire.realtime.state import Grant, State

MESSAGE_BYTES = 1_900_000
"""29 s of PCM in one `append`, and below the 2 MiB that the server takes at all."""

RATE_HZ = 24_000
_PCM_BYTES_PER_S = RATE_HZ * 2 * 4 / 3
PACE = Pace(playback=Playback.ASSUMED, lead_ms=None, frame_ms=200)

TERMS = Terms(
    name="openai-realtime",
    message_bytes=MESSAGE_BYTES,
    start_ms=10_000,
    sound_bytes_per_s=3 * _PCM_BYTES_PER_S,
    sound_reserve_bytes=120 * _PCM_BYTES_PER_S,
    sound_least_bytes=600,
    sound_text_chars=200,
    texts_per_s=50,
    texts_reserve=500,
)
"""Files may be sent three times as fast as they are spoken, and two minutes at once."""

_ELSEWHERE = {
    "output_audio_buffer.clear": "The client holds the sound; this is for WebRTC.",
    "transcription_session.update": "Sessions that only transcribe are not served.",
}
"""Events of the original that are refused by name."""

_ERROR_CODES: Mapping[ErrorCode, tuple[str, str]] = {
    ErrorCode.BAD_MESSAGE: ("invalid_request_error", INVALID_VALUE),
    ErrorCode.TOO_LARGE: ("invalid_request_error", "message_too_large"),
    ErrorCode.TOO_FAST: ("rate_limit_error", "rate_limit_exceeded"),
    ErrorCode.UNAUTHORIZED: ("invalid_request_error", "invalid_api_key"),
    ErrorCode.NO_SUCH_AGENT: ("invalid_request_error", "model_not_found"),
    ErrorCode.START_TIMEOUT: ("invalid_request_error", "invalid_api_key"),
}
_TOLD = (ErrorCode.INTERNAL, ErrorCode.TAKEN_OVER, ErrorCode.DRAINING)
"""Of errors in a call the client is told these; others show in what they happened to."""

_FAULTS = (ErrorCode.LLM_FAILED, ErrorCode.TTS_FAILED, ErrorCode.SPEECH_BUSY)


@dataclass(slots=True)
class _Before:
    """What came before the call, of a client that brings its secret in a message."""

    pending: bool
    settings: Settings
    updated: bool = False


class Realtime:
    """One socket's codec, of either dialect.

    Args:
        call_ref: what identifiers of this socket are made with: letters, digits, underscores.
        dialect: None: the first `session.update` decides, or else it is the GA.
        grant: None: the client has shown nothing yet and brings its secret in a message, where
            it could not have brought one otherwise (`is_in_band`).

    Attributes:
        policy: how the call's agent behaves; to be set before `ready`.
    """

    def __init__(
        self,
        knock: Knock,
        *,
        call_ref: str,
        dialect: Dialect | None = None,
        grant: Grant | None = None,
    ) -> None:
        self.terms = TERMS
        self._knock = knock
        pending = grant is None and is_in_band(knock)
        grant = grant or Grant()
        self._before = _Before(pending, grant.settings)
        model = knock.query.get("model", "")[:100]
        model = model if storable(model) else ""
        self._state = State(call_ref, dialect, grant, model=model, rate_hz=RATE_HZ)

    @property
    def policy(self) -> Policy:
        return self._state.policy

    @policy.setter
    def policy(self, policy: Policy) -> None:
        self._state.policy = policy

    def allow(self, grant: Grant) -> None:
        """What the client may do, once it is known who it is; before `ready`."""
        self._state.grant = grant
        if not self._before.settings.given:
            self._before.settings = grant.settings

    # The beginning

    def greet(self) -> Hello | None:
        """The call begins with the socket, unless the client has still to show its secret."""
        return None if self._before.pending else self._hello(token_of(self._knock))

    def open(self, frame: Frame) -> Hello | None:
        """Read what comes before the secret: settings are kept, sound is dropped.

        Raises:
            WireError: with a close code, always.
        """
        event = _first(frame)
        if event.get("type") == "input_audio_buffer.append":
            return None
        session = event.get("session")
        if event.get("type") != "session.update" or not isinstance(session, dict):
            raise WireError(ErrorCode.UNAUTHORIZED, "A secret has to come first.", 4401)
        self._take_early(session)
        secret = session.get("client_secret")
        if not isinstance(secret, str):
            return None
        self._state.out.nested = True
        return self._hello(secret)

    def _take_early(self, session: dict[str, Any]) -> None:
        out = self._state.out
        out.decide(dialect_of_session(session))
        try:
            self._before.settings = read_session(session, out.dialect, self._before.settings)
            self._before.updated = True
        except Refusal as refusal:
            raise WireError(ErrorCode.BAD_MESSAGE, refusal.message, 4400) from None

    def late(self) -> Hello:
        """No call without a secret.

        Raises:
            WireError: START_TIMEOUT.
        """
        raise WireError(ErrorCode.START_TIMEOUT, "No secret came in time.", 4408)

    def _hello(self, token: str) -> Hello:
        return Hello(token=token, mic_rate_hz=RATE_HZ, pace=PACE, greets=False)

    def ready(self, _ready: Ready) -> tuple[Frame, ...]:
        state = self._state
        state.begin(self._before.settings)
        state.out.put("session.created", session=state.session())
        if state.out.decided and not state.out.is_ga:
            conversation = {"id": state.names.conversation, "object": "realtime.conversation"}
            state.out.put("conversation.created", conversation=conversation)
        if self._before.updated:
            state.out.put("session.updated", session=state.session())
        return state.out.take()

    # From the client

    def receive(self, frame: Frame) -> Received:
        """Read an event; a refused one is answered with an `error`, and nothing else happens.

        Raises:
            WireError: the message is too long.
        """
        state, event_id = self._state, None
        inbound = state.early()
        try:
            event = _event(frame)
            event_id = _event_id(event)
            inbound += self._handle(event)
        except Refusal as refusal:
            state.refuse(refusal, event_id)
        inbound += state.answers.calls.late()
        return Received(tuple(inbound), state.out.take())

    def _handle(self, event: dict[str, Any]) -> list[Any]:
        kind = event.get("type")
        if kind is None:
            raise missing("type")
        handle = HANDLERS.get(kind) if isinstance(kind, str) else None
        if handle is not None:
            return handle(self._state, event)
        if isinstance(kind, str) and kind in _ELSEWHERE:
            raise Refusal(UNSUPPORTED, _ELSEWHERE[kind], "type")
        raise Refusal(UNKNOWN, "`type` is none of the client events.", "type")

    # To the client

    def send(self, message: Outgoing) -> tuple[Frame, ...]:
        """The events that say it: none, or many."""
        write = _WRITERS.get(type(message))
        if write is None:
            return ()
        write(self._state, message)
        return self._state.out.take()

    def error(
        self,
        code: ErrorCode,
        message: str,
        *,
        fatal: bool,  # noqa: ARG002 - the events are the same
    ) -> tuple[Frame, ...]:
        kind, name = _ERROR_CODES.get(code, ("server_error", code.value))
        self._state.error(kind, name, message)
        return self._state.out.take()

    def close_code(self, code: ErrorCode) -> int:
        return CLOSE_CODES.get(code, 4400)


def _first(frame: Frame) -> dict[str, Any]:
    try:
        return _event(frame)
    except Refusal as refusal:
        raise WireError(ErrorCode.BAD_MESSAGE, refusal.message, 4400) from None


def _event(frame: Frame) -> dict[str, Any]:
    if isinstance(frame, bytes):
        raise Refusal(INVALID_JSON, "Messages are text.")
    try:
        return parse_object(frame, max_bytes=MESSAGE_BYTES)
    except WireError as error:
        if error.close_code is not None:
            raise
        raise Refusal(INVALID_JSON, error.message) from None


def _event_id(event: dict[str, Any]) -> str | None:
    event_id = event.get("event_id")
    if event_id is None:
        return None
    if not isinstance(event_id, str) or len(event_id) > 8 * ID_CHARS:
        raise Refusal(INVALID_VALUE, "`event_id` must be text.", "event_id")
    return event_id


# To the client, message by message


def _failed(state: State, effect: do.SendError) -> None:
    if effect.code is ErrorCode.STT_FAILED:
        state.speech.failed(state.settings)
    elif effect.code in _FAULTS:
        state.answers.fault = effect.message
    elif effect.code in _TOLD:
        kind, name = _ERROR_CODES.get(effect.code, ("server_error", effect.code.value))
        state.error(kind, name, effect.message)


def _ended(state: State, effect: do.EndCall) -> None:
    if effect.reason is EndReason.MAX_LENGTH:
        message = "The session has reached its longest time."
        state.error("invalid_request_error", "session_expired", message)


_WRITERS: Mapping[type, Callable[[State, Any], None]] = {
    AudioFrame: lambda state, m: state.answers.audio(m.response_id, m.start_ms, m.pcm),
    AudioEnd: lambda state, m: state.answers.sent(m.response_id),
    AsideText: lambda state, m: state.answers.aside(m),
    AsideAudio: lambda state, m: state.answers.aside(m),
    AsideTool: lambda state, m: state.answers.aside(m),
    AsideDone: lambda state, m: state.answers.aside(m),
    do.ClearAudio: lambda state, m: state.answers.cleared(m.response_id),
    do.SendSpeech: lambda state, m: state.speech.marked(m, state.settings),
    do.SendTranscript: lambda state, m: state.speech.understood(m, state.settings),
    do.SendResponseBegan: lambda state, m: state.answers.began(m),
    do.SendResponseText: lambda state, m: state.answers.text(m),
    do.SendResponseMade: lambda state, m: state.answers.made(m),
    do.SendTool: lambda state, m: state.answers.tool(m),
    do.SendError: _failed,
    do.EndCall: _ended,
}

__all__ = ["MESSAGE_BYTES", "PACE", "RATE_HZ", "TERMS", "Realtime", "SoundFormat"]
