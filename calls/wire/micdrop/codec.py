"""The codec of micdrop's protocol."""

from collections.abc import Callable, Mapping
from typing import Any

from calls.domain import events as ev
from calls.domain.errors import ErrorCode
from calls.ports.client import Outgoing, Pace, Playback
from calls.wire.base import Frame, Hello, Inbound, Knock, Ready, Received, Terms, WireError
from calls.wire.fields import all_storable, parse_object
from calls.wire.micdrop.hearing import Ear
from calls.wire.micdrop.speaking import FRAME_MS
from calls.wire.micdrop.telling import Telling
from calls.wire.micdrop.versions import Version, version_of
from calls.wire.micdrop.words import CAMEL, PASCAL, Command, Frames

PARAMS_MS = 3_000
PARAMS_BYTES = 4_096
MICROPHONE_HZ = 16_000
MP3_FRAME_MS = 120
"""So much is encoded at once: a millisecond's work."""

SECRETS = ("authorization", "token")
"""Fields of the params that open a door; they are not kept with the call."""

TERMS = Terms(
    name="micdrop",
    message_bytes=512 * 1024,
    start_ms=PARAMS_MS,
    # Three times PCM, six times what recorders make; a turn's beginning comes at once, and a
    # client may send all of its file in one piece.
    sound_bytes_per_s=96_000,
    sound_reserve_bytes=1_500_000,
    sound_least_bytes=320,
    close_grace_ms=5_000,
)

CLOSE_CODES: Mapping[ErrorCode, int] = {
    ErrorCode.UNAUTHORIZED: 4401,
    ErrorCode.NO_SUCH_AGENT: 4404,
    ErrorCode.TAKEN_OVER: 1000,
    ErrorCode.ENDED: 1000,
    ErrorCode.BUSY: 4503,
    ErrorCode.DRAINING: 4503,
}
"""All others are 4400. Clients come back once a second, for ever, after any code but 1000, 4400,
4401 and 4404: which is what they should do when all lines are busy."""


class Micdrop:
    """One socket's codec.

    Args:
        knock: `v` in its query says the version, `params=1` that params come first, `audio` how
            the sound of version 1 is sent, `partials=1` and `classification=1` what else is told.
        params_first: as `params=1`, for agents that let nobody in without.

    Attributes:
        version: what the client is taken for.
    """

    def __init__(self, knock: Knock, *, params_first: bool = False) -> None:
        self.terms = TERMS
        self._params_first = params_first or knock.query.get("params") == "1"
        asked = version_of(knock.query.get("v", ""))
        self._certain = asked is not None
        self.version = asked or Version.V2
        self._ear = Ear()
        self._telling = Telling(knock.query, self.version)

    @property
    def pace(self) -> Pace:
        """Sound goes out as it is made; what of it was played, clients do not say."""
        if self.version is Version.V2:
            return Pace(playback=Playback.ASSUMED, lead_ms=None, frame_ms=FRAME_MS)
        return Pace(playback=Playback.ASSUMED, lead_ms=None, frame_ms=MP3_FRAME_MS, from_end=True)

    @property
    def sends_files(self) -> bool:
        """Whether a turn's sound comes when the turn is over, as far as is known."""
        return self.version is not Version.V2

    def assume(self, version: str) -> None:
        """What the client is, unless its address said so; what it does may still show another."""
        assumed = version_of(version)
        if not self._certain and assumed is not None:
            self._be(assumed)

    # Before the call

    def greet(self) -> Hello | None:
        """The call, unless params come first."""
        return None if self._params_first else self._hello({})

    def open(self, frame: Frame) -> Hello:
        """Read the params, in a message of either kind.

        Raises:
            WireError: they are none.
        """
        text = frame if isinstance(frame, str) else frame.decode(errors="replace")
        try:
            params = parse_object(text, max_bytes=PARAMS_BYTES)
        except WireError:
            params = None
        if params is None or not all_storable(params):
            raise WireError(ErrorCode.BAD_MESSAGE, "Invalid params", 4400)
        return self._hello(params)

    def late(self) -> Hello:
        """No call begins without its params.

        Raises:
            WireError: START_TIMEOUT.
        """
        raise WireError(ErrorCode.START_TIMEOUT, "Missing params", 4400)

    def ready(self, ready: Ready) -> Frames:  # noqa: ARG002 - the greeting is all there is
        return ()

    def _hello(self, params: Mapping[str, Any]) -> Hello:
        return Hello(
            token=_token(params),
            mic_rate_hz=MICROPHONE_HZ,
            push_to_talk=True,
            pace=self.pace,
            metadata={name: params[name] for name in params if name not in SECRETS},
        )

    # From the client

    def receive(self, frame: Frame) -> Received:
        """Read a command, or sound. What is neither is passed over, as micdrop does."""
        if isinstance(frame, bytes):
            return self._heard(frame)
        command = PASCAL.get(frame) or CAMEL.get(frame)
        if command is None:
            return Received()
        self._see_command(camel=frame in CAMEL)
        return _READERS[command](self)

    def _heard(self, chunk: bytes) -> Received:
        sound = self._ear.take(chunk)
        if self._ear.files is not None:
            self._see_sound(files=self._ear.files)
        return Received(sound)

    def _started(self) -> Received:
        again = self._ear.open
        self._ear.start()
        self._telling.started()
        return Received(() if again else (ev.TalkStarted(),))

    def _stopped(self) -> Received:
        if not self._ear.heard:
            return self._said_nothing()
        said = self._ear.stop()
        return Received((*said, ev.TalkStopped()), self._telling.stopped())

    def _said_nothing(self) -> Received:
        """There is nothing to answer, and the client waits to be told so."""
        forgotten: tuple[Inbound, ...] = ()
        if self._ear.open:
            self._ear.drop()
            forgotten = (ev.TurnDropped(),)
        return Received(forgotten, self._telling.skipped())

    def _muted(self) -> Received:
        self._ear.drop()
        self._telling.started()
        return Received((ev.TurnDropped(unanswered=True),))

    # Telling the versions apart

    def _see_command(self, *, camel: bool) -> None:
        if self._certain or camel is self.version.camel:
            return
        self._certain = camel
        self._be(Version.V1_0 if camel else Version.V2)

    def _see_sound(self, *, files: bool) -> None:
        if self._certain:
            return
        self._certain = True
        if not self.version.camel:
            self._be(Version.V1 if files else Version.V2)

    def _be(self, version: Version) -> None:
        if version is not self.version:
            self.version = version
            self._telling.be(version)

    # From the server

    def send(self, message: Outgoing) -> Frames:
        """The frames that say it; what the protocol has no word for is not said."""
        return self._telling.write(message)

    def error(self, code: ErrorCode, message: str, *, fatal: bool) -> Frames:  # noqa: ARG002
        """Nothing: the protocol has no message for it."""
        return ()

    def close_code(self, code: ErrorCode) -> int:
        return CLOSE_CODES.get(code, 4400)


def _token(params: Mapping[str, Any]) -> str:
    secret = next((params[name] for name in SECRETS if params.get(name)), "")
    return secret.removeprefix("Bearer ") if isinstance(secret, str) else ""


_READERS: Mapping[Command, Callable[[Micdrop], Received]] = {
    Command.START: Micdrop._started,
    Command.STOP: Micdrop._stopped,
    Command.MUTE: Micdrop._muted,
}
