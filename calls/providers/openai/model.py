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
        options = self._options(self._style, max_output_tokens)
        self._sent = {name: value for name, value in options.items() if value not in (None, "")}

    @asynccontextmanager
    async def answer(self, prompt: Prompt) -> AsyncIterator[AsyncIterator[Answer]]:
        note(model=self._model)
        endpoint = self._endpoint
        request = {"model": self._model, **self._request(prompt), **self._sent}
        whole = {**request, "timeout": endpoint.timeout(WHOLE_TIMES)}
        asked = {**request, **self._streamed(), "stream": True, "timeout": endpoint.timeout()}
        async with endpoint.opened(lambda sdk: self._create(sdk, asked)) as stream:
            pieces = endpoint.pieces(stream, self.whole_type, lambda sdk: self._create(sdk, whole))
            parts = endpoint.parts(pieces, self._gathering(), request_id(stream))
            async with aclosing(parts):
                yield parts

    def _tool_options(self) -> dict[str, Any]:
        return {"parallel_tool_calls": True} if self._profile.parallel_tool_calls else {}

    @abstractmethod
    def _options(self, wanted: Style, limit: int | None) -> Mapping[str, Any]:
        """The same in every request; what is None or empty is left out."""

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
