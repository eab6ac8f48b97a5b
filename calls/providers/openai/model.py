"""What language models over HTTP share, whichever endpoint they are asked by."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any, ClassVar

from openai import AsyncOpenAI

from calls.ports.speech import Answer, Prompt
from calls.ports.usage import note
from calls.providers.openai.address import Server
from calls.providers.openai.profile import Style, profile, style
from calls.providers.openai.streaming import (
    FIRST_OR_NEXT_S,
    WHOLE_TIMES,
    Endpoint,
    Gathering,
    request_id,
)

REQUIRED = "required"
"""Some tool has to be called, whichever."""


class HttpLanguageModel(ABC):
    """Sends only what the server's profile allows.

    Args:
        server: where, and how to speak to it.
        model: as the server calls it.
        temperature: None for the model's own; not sent where the model takes none.
        reasoning_effort: empty for the least that the model can do, where that is known.
        max_output_tokens: None for the server's own limit.
        timeout_s: for the first piece of an answer and between pieces.

    Raises:
        ValueError: there is no such profile.
    """

    whole_type: ClassVar[Any]
    """The SDK's type of an answer in one piece."""

    def __init__(
        self,
        server: Server,
        model: str,
        *,
        temperature: float | None = None,
        reasoning_effort: str = "",
        max_output_tokens: int | None = None,
        timeout_s: float = FIRST_OR_NEXT_S,
    ) -> None:
        self.name = f"{server.provider}:{model}"
        self._model = model
        self._endpoint = Endpoint(server, timeout_s)
        self._profile = profile(server.profile)
        self._style = style(
            self._profile, model, temperature=temperature, reasoning_effort=reasoning_effort
        )
        self._limit = max_output_tokens

    @asynccontextmanager
    async def answer(self, prompt: Prompt) -> AsyncIterator[AsyncIterator[Answer]]:
        note(model=self._model)
        endpoint = self._endpoint
        options = self._options(self._style, self._least(prompt.max_output_tokens))
        sent = {name: value for name, value in options.items() if value not in (None, "")}
        request = {"model": self._model, **self._request(prompt), **sent}
        whole = {**request, "timeout": endpoint.timeout(WHOLE_TIMES)}
        asked = {**request, **self._streamed(), "stream": True, "timeout": endpoint.timeout()}
        async with endpoint.opened(lambda sdk: self._create(sdk, asked)) as stream:
            pieces = endpoint.pieces(stream, self.whole_type, lambda sdk: self._create(sdk, whole))
            parts = endpoint.parts(pieces, self._gathering(), request_id(stream))
            async with aclosing(parts):
                yield parts

    def _least(self, wanted: int | None) -> int | None:
        """Whoever asks may want less than the model is set up for, not more."""
        return min((limit for limit in (self._limit, wanted) if limit), default=None)

    def _tool_options(self, prompt: Prompt) -> dict[str, Any]:
        options: dict[str, Any] = {}
        if self._profile.parallel_tool_calls:
            options["parallel_tool_calls"] = True
        if self._profile.tool_choice and prompt.tool_choice:
            options["tool_choice"] = self._tool_choice(prompt.tool_choice)
        return options

    def _tool_choice(self, choice: str) -> str | dict[str, Any]:
        return choice if choice == REQUIRED else self._one_tool(choice)

    @abstractmethod
    def _one_tool(self, name: str) -> dict[str, Any]:
        """The choice of that tool alone."""

    @abstractmethod
    def _options(self, wanted: Style, limit: int | None) -> Mapping[str, Any]:
        """Beside the conversation; what is None or empty is left out."""

    @abstractmethod
    def _request(self, prompt: Prompt) -> Mapping[str, Any]:
        """The conversation and the tools."""

    @abstractmethod
    def _streamed(self) -> Mapping[str, Any]:
        """What is asked for beside `stream`."""

    @abstractmethod
    def _create(self, sdk: AsyncOpenAI, request: Mapping[str, Any]) -> Awaitable[Any]:
        """Ask."""

    @abstractmethod
    def _gathering(self) -> Gathering:
        """An answer of which nothing has come yet."""


def as_it_is(request: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The request, with those lists where the SDK does not look through them.

    It would do so on the event loop, for a quarter of a millisecond a message.
    """
    lists = {name: request[name] for name in names if name in request}
    return {**request, **dict.fromkeys(lists, ()), "extra_body": lists}
