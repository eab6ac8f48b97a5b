"""Stand-ins for OpenAI and ElevenLabs, so that everything can be tried without a key."""

import asyncio
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from typing_extensions import override

from calls.domain.audio import CALLER
from calls.wiring.shared import speech

PATIENCE_S = 30
FRAME_MS = 20
KEY = "test-key"


class Command(BaseCommand):
    """They speak the providers' protocols, with the offline voice, ears and scripted answers."""

    help = "Serve stand-ins for OpenAI and ElevenLabs on this machine, for work without keys."

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=9100, help="OpenAI; ElevenLabs: one more")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        try:
            asyncio.run(self._serve(options["port"]))
        except KeyboardInterrupt:
            self.stdout.write("Stopped.")
        except OSError as error:
            raise CommandError(
                f"Port {options['port']} or the next cannot be used ({error.strerror}). "
                "Choose another with --port."
            ) from None

    async def _serve(self, port: int) -> None:
        try:
            from tests.doubles.providers.base import serving
            from tests.doubles.providers.elevenlabs_stt import ElevenLabsHearingDouble
            from tests.doubles.providers.elevenlabs_tts import ElevenLabsSpeechDouble
            from tests.doubles.providers.openai_audio import OpenAIAudioDouble
            from tests.doubles.providers.openai_http import OpenAIHttpDouble
            from tests.doubles.providers.openai_realtime import OpenAIRealtimeDouble
        except ImportError as error:
            raise CommandError(
                f"They belong to the tests ({error.name} is missing). In a clone of the "
                "repository: pip install -r requirements-dev.txt"
            ) from None
        openai = (OpenAIHttpDouble(KEY), OpenAIAudioDouble(KEY), OpenAIRealtimeDouble(KEY))
        elevenlabs = (ElevenLabsSpeechDouble(KEY), ElevenLabsHearingDouble(KEY))
        for double in (*openai[1:], *elevenlabs):
            _lend_voice(double, asyncio.get_running_loop())
        async with serving(*openai, port=port), serving(*elevenlabs, port=port + 1):
            self._tell(port)
            try:
                await asyncio.Event().wait()
            finally:
                await speech().close()

    def _tell(self, port: int) -> None:
        self.stdout.write(
            "Stand-ins are ready. In another terminal:\n\n"
            f"OPENAI_API_KEY={KEY} OPENAI_BASE_URL=http://127.0.0.1:{port}/v1 \\\n"
            f"ELEVENLABS_API_KEY={KEY} ELEVENLABS_BASE_URL=http://127.0.0.1:{port + 1} \\\n"
            "python3 manage.py up\n\n"
            "Leave out two of the four to try one provider alone. Ctrl-C stops the stand-ins."
        )


def _lend_voice(double: Any, loop: asyncio.AbstractEventLoop) -> None:
    """Give a stand-in the offline engines; its hooks are called from threads of its own."""

    def run(work: Callable[[], Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work(), loop).result(PATIENCE_S)

    if hasattr(double, "transcribe"):
        double.transcribe = lambda pcm: run(lambda: _transcribed(pcm))
    if hasattr(double, "synthesize"):
        double.synthesize = lambda text: run(lambda: _synthesized(text))


async def _transcribed(pcm: bytes) -> str:
    """What the offline ears make of 16 kHz sound."""
    async with speech().stt.utterance(language="en") as transcriber:
        for at in range(0, len(pcm), CALLER.bytes(FRAME_MS)):
            await transcriber.feed(pcm[at : at + CALLER.bytes(FRAME_MS)])
        return await transcriber.finish()


async def _synthesized(text: str) -> bytes:
    """The offline voice, at 24 kHz."""
    async with speech().tts.speak(text, language="en", voice="", speed=1.0) as chunks:
        return b"".join([chunk.pcm async for chunk in chunks])
