"""Stand-ins for all providers, in a process of its own that knows when it was busy.

On standard input, one line each: `begin` forgets what was seen, `tell` prints when bytes came and
went, as JSON: for each connection a list of pairs, "in", "out" or "sound" and the seconds on the
monotonic clock, which all processes of a machine share. It ends with its input.
"""

import asyncio
import json
import sys
import time
from typing import Any

from aiohttp.web_protocol import RequestHandler

from tests.doubles.providers.base import ProviderDouble, serving
from tests.doubles.providers.elevenlabs_stt import ElevenLabsHearingDouble
from tests.doubles.providers.elevenlabs_tts import ElevenLabsSpeechDouble
from tests.doubles.providers.openai_answers import says
from tests.doubles.providers.openai_audio import OpenAIAudioDouble
from tests.doubles.providers.openai_http import OpenAIHttpDouble
from tests.doubles.providers.openai_realtime import OpenAIRealtimeDouble

HEARD = "What are your opening hours?"
ANSWER = "We are open from nine to five."
"""One sentence, about two seconds of sound."""

SOUND_BYTES = 4_000
"""So much at once is sound; everything else that a stand-in says is shorter."""


class Timeline:
    """When bytes came in and went out, by connection."""

    def __init__(self) -> None:
        self.recording = False
        self.seen: dict[int, list[tuple[str, float]]] = {}

    def note(self, connection: int, direction: str) -> None:
        if self.recording:
            self.seen.setdefault(connection, []).append((direction, time.monotonic()))

    def watch(self) -> None:
        """Listen to all connections of this process's servers."""
        made, received = RequestHandler.connection_made, RequestHandler.data_received

        def connection_made(handler: Any, transport: Any) -> None:
            write = transport.write

            def noted_write(data: Any) -> None:
                self.note(id(handler), "sound" if len(data) >= SOUND_BYTES else "out")
                write(data)

            transport.write = noted_write
            made(handler, transport)

        def data_received(handler: Any, data: bytes) -> None:
            self.note(id(handler), "in")
            received(handler, data)

        RequestHandler.connection_made = connection_made  # type: ignore[method-assign]
        RequestHandler.data_received = data_received  # type: ignore[method-assign]


class _Chat(OpenAIHttpDouble):
    """Always says the same."""

    def _writing(self, body: Any, asked: Any) -> Any:
        self.answers.append(says(*ANSWER.replace(" ", " |").split("|")))
        return super()._writing(body, asked)


def doubles() -> list[ProviderDouble]:
    ears, realtime = ElevenLabsHearingDouble(), OpenAIRealtimeDouble()
    audio = OpenAIAudioDouble()
    ears.default = audio.default = HEARD
    realtime.reply = lambda _heard: ANSWER
    return [_Chat(), audio, realtime, ears, ElevenLabsSpeechDouble()]


async def serve() -> None:
    timeline = Timeline()
    timeline.watch()
    loop = asyncio.get_running_loop()
    async with serving(*doubles()) as origin:
        print(origin, flush=True)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            if line.strip() == "begin":
                timeline.seen.clear()
                timeline.recording = True
            else:
                timeline.recording = False
                print(json.dumps(list(timeline.seen.values())), flush=True)


if __name__ == "__main__":
    asyncio.run(serve())
