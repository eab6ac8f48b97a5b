"""Both providers as stand-ins behind a real server, and what must be true of them after a call."""

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, closing
from typing import Any

from tests.doubles.providers.base import Fault, ProviderDouble, serving
from tests.doubles.providers.elevenlabs_stt import ElevenLabsHearingDouble
from tests.doubles.providers.elevenlabs_tts import ElevenLabsSpeechDouble
from tests.doubles.providers.openai_audio import OpenAIAudioDouble
from tests.doubles.providers.openai_http import OpenAIHttpDouble
from tests.doubles.providers.openai_realtime import OpenAIRealtimeDouble
from tests.servers import RealServer

OPENAI_KEY = "sk-openai-must-never-be-seen"
ELEVENLABS_KEY = "xi-elevenlabs-must-never-be-seen"
THEIR_WORDS = "quokkas ate the server"
"""In everything that a stand-in says of its failures."""
PATIENCE_S = 10


class Models(OpenAIHttpDouble):
    """Remembers which requests it refused."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.refused: list[str] = []

    def _problem(self, status, message, *args, **named):
        self.refused.append(f"{status} {message}")
        return super()._problem(status, f"{message} {THEIR_WORDS}", *args, **named)


class Ears(ElevenLabsHearingDouble):
    """Remembers what it objected to."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.refused: list[str] = []

    async def _tell(self, stream, kind, error):
        self.refused.append(f"{kind}: {error}")
        await super()._tell(stream, kind, f"{error} {THEIR_WORDS}")


class Hosted:
    """The stand-ins, by what they do.

    Attributes:
        variables: those of a server that uses them.
    """

    def __init__(self) -> None:
        self.models = Models(OPENAI_KEY)
        self.realtime = OpenAIRealtimeDouble(OPENAI_KEY)
        self.voice = ElevenLabsSpeechDouble(ELEVENLABS_KEY)
        self.ears = Ears(ELEVENLABS_KEY)
        self.openai: tuple[ProviderDouble, ...] = (
            self.models,
            OpenAIAudioDouble(OPENAI_KEY),
            self.realtime,
        )
        self.elevenlabs: tuple[ProviderDouble, ...] = (self.voice, self.ears)
        self.variables: dict[str, str] = {}

    # What went on

    async def left_alone(self) -> None:
        """Wait until no request and no socket is open any more."""
        give_up_s = time.monotonic() + PATIENCE_S
        while busy := [type(d).__name__ for d in (*self.openai, *self.elevenlabs) if d.busy]:
            assert time.monotonic() < give_up_s, f"still open: {busy}"
            await asyncio.sleep(0.05)

    def broken_rules(self) -> list[str]:
        """What the services would have objected to."""
        return [
            *self.models.refused,
            *self.ears.refused,
            *(
                f"{event['error']}"
                for session in self.realtime.sessions
                for event in session.sent
                if event["type"] == "error"
            ),
            *(
                f"contexts left open: {socket.opened}, closed {socket.closed}"
                for socket in self.voice.sockets
                if set(socket.opened) != set(socket.closed)
            ),
            *(f"{socket.most_open} at once" for socket in self.voice.sockets if socket.open),
        ]

    # What goes wrong

    def voice_dies(self, *, after: int = 0) -> None:
        """The open socket of the voice fails after so many messages, and no other opens."""
        stream = self.voice.sockets[-1].stream
        event = {"message": THEIR_WORDS, "error": "internal_error", "code": 1011}
        stream.fault = Fault(
            after=stream.asked.sent + after, event=event, ws_close=(1011, THEIR_WORDS)
        )
        self.voice.fail("-input", *_down())

    def everything_fails(self) -> None:
        """No new request and no new socket of either provider is answered."""
        for path in ("/chat/completions", "/realtime", "/speech", "/transcriptions"):
            for double in self.openai:
                double.fail(path, *_down())
        for double in self.elevenlabs:
            double.fail("", *_down())

    def works_again(self) -> None:
        for double in (*self.openai, *self.elevenlabs):
            double._faults.clear()


def _down() -> Iterable[Fault]:
    body = {"error": {"message": THEIR_WORDS, "type": "server_error", "code": None, "param": None}}
    return [Fault(status=500, body=body)] * 200


@asynccontextmanager
async def hosted(*, elevenlabs: bool = True) -> AsyncIterator[Hosted]:
    """Serve them.

    Args:
        elevenlabs: whether the server is told of ElevenLabs too.
    """
    found = Hosted()
    async with serving(*found.openai) as one, serving(*found.elevenlabs) as other:
        found.variables = {"OPENAI_API_KEY": OPENAI_KEY, "OPENAI_BASE_URL": f"{one}/v1"}
        if elevenlabs:
            found.variables |= {"ELEVENLABS_API_KEY": ELEVENLABS_KEY, "ELEVENLABS_BASE_URL": other}
        yield found


def agent_is(server: RealServer, **columns: Any) -> None:
    """Give the demo agent other settings, for the calls that begin from now on."""
    stored = [json.dumps(v) if isinstance(v, list | dict) else v for v in columns.values()]
    names = ", ".join(f"{name} = ?" for name in columns)
    with closing(sqlite3.connect(server.var_dir / "db.sqlite3", timeout=20)) as database, database:
        changed = database.execute(f"UPDATE calls_agent SET {names} WHERE slug = 'demo'", stored)
        assert changed.rowcount == 1


def leaks(server: RealServer, *pages: str) -> Iterator[str]:
    """Where a key, or what a provider said of its failure, can be read."""
    shown = {f"page {number}": page.encode() for number, page in enumerate(pages)}
    for path in server.var_dir.rglob("*"):
        if path.is_file():
            shown[str(path)] = path.read_bytes()
    assert any(name.endswith(".sqlite3") for name in shown)
    assert any(name.endswith(".log") for name in shown)
    for place, data in shown.items():
        for secret in (OPENAI_KEY, ELEVENLABS_KEY, THEIR_WORDS):
            if secret.encode() in data:
                yield f"{secret} in {place}"
