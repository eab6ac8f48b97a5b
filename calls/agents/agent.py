"""The class that agents in code are made of."""

from collections.abc import Sequence
from enum import Enum
from typing import Any, Final

from calls.agents.live import LiveCall
from calls.agents.messages import CallSummary, Message
from calls.ports.tools import Tool


class Configured(Enum):
    """The type of `CONFIGURED`."""

    CONFIGURED = "configured"


CONFIGURED: Final = Configured.CONFIGURED
"""As the agent's row says; for an agent without a row, as the documentation says."""


class VoiceAgent:
    """An agent in code. Subclass it and name the class in `CALLS["AGENTS"]`.

    One instance serves one call; it is made without arguments. What a subclass does not say is as
    the agent's row in the admin says, and a stage that it does not override is done by the
    provider named there. Methods may be sync or async: async ones run on the event loop and must
    not block it, sync ones run in a thread and may use the ORM.

    Attributes:
        call: the call that this instance serves; there from `prepare` on.
        system_prompt: what the model is told about its part; None: as configured.
        first_message: what the agent says first. None: it is generated. Empty: the caller speaks
            first. `CONFIGURED`: as configured, and generated for an agent without a row.
        language: BCP 47 tag; None: as configured. A client may ask for another one.
        voice: the voice's name at its provider; None: as configured.
        disable_tts: answers are text alone; None: as configured.
        debug_log: log how long everything takes, never what was said.
        debug_save_speech: keep the caller's last utterance as a WAV file in `CALLS["DEBUG_DIR"]`.
        tools: what the model may use, beside the methods that are tools.
    """

    call: LiveCall

    system_prompt: str | None = None
    first_message: str | Configured | None = CONFIGURED
    language: str | None = None
    voice: str | None = None
    disable_tts: bool | None = None
    debug_log: bool = False
    debug_save_speech: bool = False
    tools: Sequence[Tool] = ()

    def prepare(self) -> Any:
        """Runs once, before the call begins; may set any attribute, and must return soon."""

    def generate_answer(self, conversation: list[Message]) -> Any:
        """What the agent says next.

        Args:
            conversation: oldest first; the system prompt comes first if there is one.

        Returns:
            The answer, or an iterator or async iterator of its parts. The answer, or a part, is
            text, a `Message`, `Commands`, or a `ToolCall`. None and "" say nothing.
        """
        raise NotImplementedError("not overridden: the configured model answers")

    def speech_to_text(self, audio: bytes, previous_message: str | None) -> Any:
        """What the caller said.

        Args:
            audio: a whole utterance as a WAV file, 16-bit mono at 16 kHz.
            previous_message: what the agent said last, if anything.

        Returns:
            The text; "" or None if nothing was understood.
        """
        raise NotImplementedError("not overridden: the configured recogniser listens")

    def text_to_speech(self, text: str) -> Any:
        """The sound of a sentence or clause of an answer.

        Returns:
            Bytes, or an iterator or async iterator of bytes: 16-bit little-endian mono PCM at
            24 kHz, or one WAV file of 16-bit PCM with any rate from 8 to 48 kHz.
        """
        raise NotImplementedError("not overridden: the configured voice speaks")

    def on_message(self, message: Message) -> Any:
        """Told of every entry once it is safely stored, in order, one at a time.

        The caller's words come when they were understood, the agent's when they were heard.
        """

    def on_end(self, summary: CallSummary) -> Any:
        """Told once, after the last message."""
