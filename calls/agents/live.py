"""The running call, in the hands of an agent's code."""

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Protocol

from calls.agents.messages import Message, messages_of
from calls.domain.conversation import context
from calls.domain.errors import EndReason
from calls.domain.events import AnswerGiven, ConversationReset, EndAsked, Event
from calls.domain.items import Role
from calls.domain.state import CallState
from calls.ports.tools import CallInfo


class Running(Protocol):
    """What the live call needs of whoever runs it."""

    @property
    def info(self) -> CallInfo: ...

    @property
    def state(self) -> CallState: ...

    @property
    def post(self) -> Callable[[Event], None]:
        """Tells the call that something happened; only to be called on its event loop."""
        ...


class LiveCall:
    """The call that an agent is in. Every method may be called from any task and any thread.

    Orders are carried out in the order in which they were given, a moment later; none of them
    waits. After the end of the call they do nothing.
    """

    def __init__(self, info: CallInfo, loop: asyncio.AbstractEventLoop) -> None:
        self._info = info
        self._loop = loop
        self._running: Running | None = None

    def connect(self, running: Running) -> None:
        """From now on the call can be told things. For whoever puts the call together."""
        self._running = running
        self._info = running.info

    @property
    def call_id(self) -> str:
        return self._info.call_id

    @property
    def agent(self) -> str:
        """The agent's slug."""
        return self._info.agent

    @property
    def language(self) -> str:
        """BCP 47 tag of the language that the call is held in."""
        return self._info.language

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What the client sent at the start; anybody can send anything."""
        return self._info.metadata

    @property
    def conversation(self) -> tuple[Message, ...]:
        """What was said so far, oldest first, without the system prompt.

        Of the agent's words those that were heard; nothing that was cancelled or replaced.
        """
        if self._running is None:
            return ()
        return tuple(messages_of(context(self._running.state)))

    def answer(self, message: str | Message, metadata: Mapping[str, Any] | None = None) -> None:
        """Have the agent say this now, whatever it is saying.

        Args:
            message: the words; of a `Message` its metadata count too.
            metadata: travels with the answer to the client and the record.

        Raises:
            TypeError: the metadata do not survive JSON.
            ValueError: a message with commands; those belong to `generate_answer`.
            RuntimeError: the call has not begun.
        """
        if isinstance(message, Message):
            if message.commands is not None:
                raise ValueError("commands belong to generate_answer; see LiveCall.end")
            metadata = {**message.metadata, **(metadata or {})}
            message = message.content
        self._tell(AnswerGiven(text=message, metadata=json.dumps(dict(metadata or {}))))

    def reset_conversation(self, conversation: Iterable[Message]) -> None:
        """Replace the conversation that the model sees; the record keeps what was said.

        What the agent is saying is broken off.

        Args:
            conversation: oldest first. A system message replaces the system prompt; without one
                the prompt stays. Results of tools are left out.

        Raises:
            RuntimeError: the call has not begun.
        """
        messages = tuple(conversation)
        prompts = [message.content for message in messages if message.role == "system"]
        roles = {"user": Role.USER.value, "assistant": Role.AGENT.value}
        entries = tuple((roles[m.role], m.content) for m in messages if m.role in roles)
        prompt = "\n".join(prompts) if prompts else None
        self._tell(ConversationReset(entries=entries, system_prompt=prompt))

    def end(self) -> None:
        """End the call at once.

        To end after a goodbye was heard, answer with `Commands(end_call=True)`.

        Raises:
            RuntimeError: the call has not begun.
        """
        self._tell(EndAsked(reason=EndReason.AGENT_ENDED))

    def _tell(self, event: Event) -> None:
        if self._running is None:
            raise RuntimeError("The call has not begun.")
        with suppress(RuntimeError):  # the loop is closed: the call is long over
            self._loop.call_soon_threadsafe(self._running.post, event)
