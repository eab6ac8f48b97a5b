"""An agent's `text_to_speech` as a voice."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

from calls.agents import VoiceAgent
from calls.agents.calling import stream
from calls.domain.audio import AGENT
from calls.domain.events import Stage
from calls.ports.speech import SpokenAudio
from calls.providers.code.faults import NAME, guarded, invalid
from calls.providers.code.sound import SoundReader

METHOD = "text_to_speech"

PIECE_BYTES = AGENT.bytes(1_000)
"""So much is converted at once: more would hold up the other calls."""


class CodeTextToSpeech:
    """Speaks with the sound that the agent's code makes. `TextToSpeech` says what is promised."""

    name = NAME

    def __init__(self, agent: VoiceAgent) -> None:
        self._agent = agent

    @asynccontextmanager
    async def speak(
        self,
        text: str,
        *,
        language: str,  # noqa: ARG002 - the agent knows its call
        voice: str,  # noqa: ARG002 - and its voice
        speed: float,  # noqa: ARG002
    ) -> AsyncIterator[AsyncIterator[SpokenAudio]]:
        async with aclosing(self._sound(text)) as sound:
            yield sound

    async def _sound(self, text: str) -> AsyncGenerator[SpokenAudio, None]:
        reader = SoundReader()
        given = stream(self._agent.text_to_speech, text)
        with guarded(self._agent.call, METHOD, Stage.TTS):
            async with aclosing(given):
                async for chunk in given:
                    for piece in _pieces(chunk):
                        if pcm := _read(reader, piece):
                            yield SpokenAudio(pcm)
            if pcm := _read(reader, None):
                yield SpokenAudio(pcm)


def _pieces(chunk: Any) -> Iterator[bytes]:
    if not isinstance(chunk, bytes | bytearray | memoryview):
        raise invalid(METHOD, f"{type(chunk).__name__}, which is no sound", Stage.TTS)
    view = memoryview(chunk).cast("B")
    for start in range(0, len(view), PIECE_BYTES):
        yield bytes(view[start : start + PIECE_BYTES])


def _read(reader: SoundReader, piece: bytes | None) -> bytes:
    try:
        return reader.flush() if piece is None else reader.feed(piece)
    except ValueError as fault:
        raise invalid(METHOD, f"sound that cannot be played: {fault}", Stage.TTS) from None
