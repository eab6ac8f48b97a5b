"""A conversation through OpenAI's own SDK: everything that came, checked against its types."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from openai import AsyncOpenAI
from pydantic import ValidationError

from calls.audio import ulaw
from tests.interop.calls import Seen, at_pace, silence, speech
from tests.servers import RealServer

RATE_HZ = 24_000
PATIENCE_S = 20

GA, BETA = "ga", "beta"
BETA_NAMES = {
    "response.output_text.delta": "response.text.delta",
    "response.output_text.done": "response.text.done",
    "response.output_audio.delta": "response.audio.delta",
    "response.output_audio.done": "response.audio.done",
    "response.output_audio_transcript.delta": "response.audio_transcript.delta",
    "response.output_audio_transcript.done": "response.audio_transcript.done",
    "conversation.item.added": "conversation.item.created",
}
Event = dict[str, Any]


def client_of(server: RealServer, key: str) -> AsyncOpenAI:
    """The SDK, told where the server is; nothing else about it is different."""
    return AsyncOpenAI(
        api_key=key,
        base_url=f"{server.url}/v1",
        websocket_base_url=f"{server.ws_url}/v1",
        max_retries=0,
    )


@asynccontextmanager
async def talking(
    server: RealServer, key: str, dialect: str = GA, model: str = "gpt-realtime"
) -> AsyncIterator["Talk"]:
    """A connection of that dialect; the call begins with it and ends with it."""
    async with client_of(server, key) as client:
        realtime = client.realtime if dialect == GA else client.beta.realtime
        async with realtime.connect(model=model) as connection:
            talk = Talk(connection, dialect)
            reading = asyncio.get_running_loop().create_task(talk.read())
            try:
                await talk.until("session.created")
                yield talk
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)


class Talk:
    """One connection.

    Attributes:
        events: all that came, as JSON.
        strange: what the SDK's own types do not take; a test ends with none.
    """

    def __init__(self, connection: Any, dialect: str) -> None:
        self.connection = connection
        self.dialect = dialect
        self.events: list[Event] = []
        self.strange: list[str] = []
        self._moved = asyncio.Event()

    async def read(self) -> None:
        while True:
            raw = await self.connection.recv_bytes()
            event = self.connection.parse_event(raw)
            self.events.append(json.loads(raw))
            try:
                type(event).model_validate_json(raw)
            except ValidationError as error:
                self.strange += [f"{event.type}: {wrong}" for wrong in _wrong(error)]
            self._moved.set()

    # What came

    def name(self, name: str) -> str:
        """The GA's name of an event in this dialect."""
        return name if self.dialect == GA else BETA_NAMES.get(name, name)

    def of(self, name: str, since: int = 0, **fields: Any) -> list[Event]:
        wanted = {"type": self.name(name)} | fields
        return [event for event in self.events[since:] if wanted.items() <= event.items()]

    async def until(self, name: str, since: int = 0, count: int = 1, **fields: Any) -> Event:
        """Wait for the `count`th such event."""
        await self.come(lambda: len(self.of(name, since, **fields)) >= count, name)
        return self.of(name, since, **fields)[count - 1]

    async def come(self, condition: Callable[[], bool], what: str = "it") -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not condition():
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            raise AssertionError(f"{what} never came; came: {self.kinds()}") from None

    def kinds(self, since: int = 0) -> list[str]:
        """The names of what came, runs of deltas as one."""
        names: list[str] = []
        for event in self.events[since:]:
            if not names or names[-1] != event["type"]:
                names.append(event["type"])
        return names

    def sound(self, response_id: str) -> bytes:
        deltas = self.of("response.output_audio.delta", response_id=response_id)
        return b"".join(base64.b64decode(event["delta"]) for event in deltas)

    def transcript(self, response_id: str) -> str:
        deltas = self.of("response.output_audio_transcript.delta", response_id=response_id)
        return "".join(event["delta"] for event in deltas)

    def text(self, response_id: str) -> str:
        deltas = self.of("response.output_text.delta", response_id=response_id)
        return "".join(event["delta"] for event in deltas)

    def seen(self, user: list[str]) -> Seen:
        """What the client knows of the whole call; `user` as it said or read it."""
        agent = [
            self.transcript(done["response"]["id"]) or self.text(done["response"]["id"])
            for done in self.of("response.done")
            if done["response"]["conversation_id"] is not None
        ]
        return Seen(user=user, agent=[words for words in agent if words])

    # What the client does

    async def configure(self, **ga: Any) -> Event:
        """Change the session, in the GA's words; what it is then."""
        since = len(self.events)
        session: dict[str, Any] = {"type": "realtime", **ga} if self.dialect == GA else flat(ga)
        await self.connection.session.update(session=session)
        return (await self.until("session.updated", since))["session"]

    async def writes(self, text: str) -> str:
        """Put the caller's words into the conversation; the item's id."""
        since = len(self.events)
        content = [{"type": "input_text", "text": text}]
        item = {"type": "message", "role": "user", "content": content}
        await self.connection.conversation.item.create(item=item)
        return (await self.until("conversation.item.added", since))["item"]["id"]

    async def answer(self, **response: Any) -> Event:
        """Ask for an answer and wait for its end; the response."""
        since = len(self.events)
        await (self.connection.response.create(response=response) if response
               else self.connection.response.create())  # fmt: skip
        return (await self.until("response.done", since))["response"]

    async def speaks(self, name: str, rest_ms: int = 1_200, form: str = "pcm") -> None:
        """Speak an utterance of the fixtures as a microphone does, then be silent."""
        rate_hz = RATE_HZ if form == "pcm" else 8_000
        pcm = speech(name, rate_hz) + silence(rest_ms, rate_hz)
        async for frame in at_pace(pcm, rate_hz, 40):
            await self.append(frame if form == "pcm" else ulaw.encode(frame))

    async def append(self, sound: bytes) -> None:
        audio = base64.b64encode(sound).decode()
        await self.connection.input_audio_buffer.append(audio=audio)


def _wrong(error: ValidationError) -> list[Any]:
    """The types list OpenAI's own models; an agent is none of them."""
    return [entry for entry in error.errors() if entry["loc"] != ("session", "model")]


def flat(ga: dict[str, Any]) -> dict[str, Any]:
    """A session in the words of the beta."""
    session = {key: value for key, value in ga.items() if key in ("instructions", "tools")}
    if (modalities := ga.get("output_modalities")) is not None:
        session["modalities"] = ["text"] if modalities == ["text"] else ["text", "audio"]
    heard, said = (ga.get("audio", {}).get(way, {}) for way in ("input", "output"))
    for key in ("turn_detection",):
        session |= {key: heard[key]} if key in heard else {}
    if "transcription" in heard:
        session["input_audio_transcription"] = heard["transcription"]
    for way, audio in (("input", heard), ("output", said)):
        if "format" in audio:
            names = {"audio/pcm": "pcm16", "audio/pcmu": "g711_ulaw", "audio/pcma": "g711_alaw"}
            session[f"{way}_audio_format"] = names[audio["format"]["type"]]
    return session | ({"voice": said["voice"]} if "voice" in said else {})
