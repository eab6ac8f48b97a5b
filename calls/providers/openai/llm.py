"""A language model behind chat completions: the dialect that self-hosted servers speak too."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from calls.domain.events import Stage
from calls.ports.errors import ProviderError, ProviderFault
from calls.ports.speech import Answer, Prompt, TextDelta
from calls.providers.openai.address import ChatServer
from calls.providers.openai.assembling import Aloud, ToolCalls
from calls.providers.openai.client import client
from calls.providers.openai.faults import CAUGHT, provider_error
from calls.providers.openai.messages import chat_messages, chat_tools

NAME = "openai-compatible"


class ChatLanguageModel:
    """Sends only what every server of this kind takes: model, messages, stream, tools."""

    def __init__(self, server: ChatServer) -> None:
        self.name = f"{NAME}:{server.model}"
        self._server = server

    @asynccontextmanager
    async def answer(self, prompt: Prompt) -> AsyncIterator[AsyncIterator[Answer]]:
        request: dict[str, Any] = {"messages": chat_messages(prompt)}
        if prompt.tools:
            request["tools"] = chat_tools(prompt.tools)
        try:
            stream = await client(self._server).chat.completions.create(
                model=self._server.model, stream=True, **request
            )
        except CAUGHT as error:
            raise self._error(error) from None
        async with stream:
            yield self._parts(stream, request)

    async def _parts(self, stream: Any, request: dict[str, Any]) -> AsyncIterator[Answer]:
        calls, aloud, finished = ToolCalls(), Aloud(), False
        try:
            async for piece, last in self._pieces(stream, request):
                finished = finished or last
                if text := _taken(piece, calls, aloud):
                    yield TextDelta(text)
        except CAUGHT as error:
            raise self._error(error) from None
        if not finished:
            raise self._truncated()
        if rest := aloud.end():
            yield TextDelta(rest)
        for call in calls.requests():
            yield call

    async def _pieces(
        self, stream: Any, request: dict[str, Any]
    ) -> AsyncIterator[tuple[Any, bool]]:
        """Pieces of the answer, each with whether it is the last."""
        silent = True
        async for chunk in stream:
            silent = False
            for choice in chunk.choices[:1]:
                yield choice.delta, choice.finish_reason is not None
        for choice in await self._whole(request) if silent else ():
            yield choice.message, True

    async def _whole(self, request: dict[str, Any]) -> Sequence[Any]:
        """The answer in one piece, from a server that streams nothing when asked to."""
        completions = client(self._server).chat.completions
        answer: Any = await completions.create(model=self._server.model, **request)
        return (answer.choices or ())[:1]

    def _error(self, error: Exception) -> ProviderError:
        return provider_error(error, provider=NAME, stage=Stage.LLM)

    def _truncated(self) -> ProviderError:
        return ProviderError(
            ProviderFault.TRUNCATED,
            "The answer of the model's server ended early.",
            provider=NAME,
            stage=Stage.LLM,
            retryable=True,
        )


def _taken(delta: Any, calls: ToolCalls, aloud: Aloud) -> str:
    """What a piece of the stream adds to what is said. Some servers send none at all."""
    if delta is None:
        return ""
    for fragment in delta.tool_calls or ():
        calls.take(fragment)
    return aloud.take(delta.content or "")
