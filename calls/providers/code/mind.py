"""An agent's `generate_answer` as a language model."""

import json
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

from calls.agents import Commands, Message, ToolCall, VoiceAgent
from calls.agents.calling import stream
from calls.agents.messages import messages_of
from calls.domain.events import Direction, Stage
from calls.ports.speech import Answer, Directed, Noted, Prompt, TextDelta, ToolCallRequested
from calls.providers.code.faults import NAME, guarded, invalid

METHOD = "generate_answer"


class CodeLanguageModel:
    """Answers with what the agent's code says. `LanguageModel` says what is promised."""

    name = NAME

    def __init__(self, agent: VoiceAgent) -> None:
        self._agent = agent

    @asynccontextmanager
    async def answer(self, prompt: Prompt) -> AsyncIterator[AsyncIterator[Answer]]:
        async with aclosing(self._parts(prompt)) as parts:
            yield parts

    async def _parts(self, prompt: Prompt) -> AsyncGenerator[Answer, None]:
        given = stream(self._agent.generate_answer, _conversation(prompt))
        with guarded(self._agent.call, METHOD, Stage.LLM):
            async with aclosing(given):
                async for part in given:
                    for answer in _read(part, tools_allowed=bool(prompt.tools)):
                        yield answer
                        if answer == _SKIP:
                            return


_SKIP = Directed(Direction.SKIP_ANSWER)


def _conversation(prompt: Prompt) -> list[Message]:
    system = [Message("system", prompt.system_prompt)] if prompt.system_prompt else []
    return [*system, *messages_of(prompt.items)]


def _read(part: Any, *, tools_allowed: bool) -> Iterator[Answer]:
    match part:
        case str():
            yield TextDelta(part)
        case Commands():
            yield from _orders(part)
        case Message():
            yield from _message(part)
        case ToolCall() if tools_allowed:
            yield ToolCallRequested(secrets.token_hex(8), part.name, _json(part.arguments))
        case ToolCall():
            raise invalid(METHOD, "a ToolCall where no tool can be used", Stage.LLM)
        case _:
            raise invalid(METHOD, f"{type(part).__name__}, which is no answer", Stage.LLM)


def _message(message: Message) -> Iterator[Answer]:
    """Metadata before the words, so that they are there when the words are."""
    if message.role != "assistant":
        raise invalid(METHOD, f"a message of role {message.role}", Stage.LLM)
    commands = message.commands or Commands()
    if message.metadata:
        _json(message.metadata)
        yield Noted(message.metadata)
    if message.content and not commands.skip_answer:
        yield TextDelta(message.content)
    yield from _orders(commands)


def _orders(commands: Commands) -> Iterator[Answer]:
    """A call that ends does not listen again, so that ending outranks skipping."""
    if commands.cancel_last_user_message:
        yield Directed(Direction.CANCEL_LAST_USER)
    if commands.end_call:
        yield Directed(Direction.END_CALL)
    elif commands.skip_answer:
        yield _SKIP


def _json(value: Any) -> str:
    try:
        return json.dumps(dict(value))
    except (TypeError, ValueError):
        raise invalid(METHOD, "data that do not survive JSON", Stage.LLM) from None
