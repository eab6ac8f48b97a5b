"""An agent whose services take no time, so that what is left is the framework's."""

from collections.abc import Sequence

from calls.agents import Message, VoiceAgent

TONE = (b"\x00\x10\x00\xf0" * 12) * 200
"""200 ms at 24 kHz."""


class Instant(VoiceAgent):
    first_message = ""

    async def speech_to_text(self, audio: bytes, previous_message: str | None) -> str:  # noqa: ARG002
        return "hello"

    async def generate_answer(self, conversation: Sequence[Message]) -> str:  # noqa: ARG002
        return "Good."

    async def text_to_speech(self, text: str) -> bytes:  # noqa: ARG002
        return TONE
