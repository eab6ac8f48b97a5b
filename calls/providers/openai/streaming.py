"""One streamed request: opened, read to its end, and closed at once whatever happens."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

from openai import AsyncOpenAI, Timeout

from calls.domain.events import Stage
from calls.ports.errors import ProviderError, ProviderFault
from calls.ports.speech import Answer, TextDelta, ToolCallRequested
from calls.ports.usage import note
from calls.providers.openai.address import Server
from calls.providers.openai.client import client
from calls.providers.openai.faults import CAUGHT, fault, payload_error, provider_error

FIRST_OR_NEXT_S = 5.0
"""So long may a server take for the first piece, and from one to the next."""

CONNECT_S = 3.0
WHOLE_TIMES = 4
"""An answer in one piece may take so many times longer than the first piece of a stream."""

TAIL_S = 1.0
"""What comes after the answer's end is figures: worth having, not worth waiting for."""

Ask = Callable[[AsyncOpenAI], Awaitable[Any]]
Pieces = AsyncGenerator[Any, None]


class Gathering(Protocol):
    """An answer as it is put together from pieces.

    Attributes:
        over: it has ended, well or not.
        error: what the server said went wrong; None: nothing.
    """

    error: Any

    @property
    def over(self) -> bool: ...

    def take(self, piece: Any, /) -> str:
        """Take a piece, or the whole; gives what of it is said."""
        ...

    def end(self) -> str:
        """What was held back."""
        ...

    def fault(self) -> ProviderFault | None:
        """What is wrong with it now that nothing more comes."""
        ...

    def calls(self) -> Sequence[ToolCallRequested]: ...


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the requests of one model go; `timeout_s` for the first piece and between pieces."""

    server: Server
    timeout_s: float = FIRST_OR_NEXT_S

    def timeout(self, times: int = 1) -> Timeout:
        return Timeout(self.timeout_s * times, connect=min(CONNECT_S, self.timeout_s))

    @asynccontextmanager
    async def opened(self, ask: Ask) -> AsyncIterator[Any]:
        """The SDK's stream, once the server has begun to answer.

        Raises:
            ProviderError: on entry.
        """
        stream = await self._asked(ask)
        async with stream:
            note(request_id=request_id(stream))
            yield stream

    async def pieces(self, stream: Any, whole_type: Any, ask: Ask) -> Pieces:
        """The pieces of a stream; from a server that streams nothing when asked to, the whole.

        Args:
            whole_type: of the SDK, for an answer in one piece.
            ask: asks for it.
        """
        if _is_json(stream):
            yield self._checked(whole_type.construct(None, **await _read_json(stream)))
            return
        silent = True
        async for piece in stream:
            silent = False
            yield piece
        if silent:
            yield await self.whole(ask)

    async def whole(self, ask: Ask) -> Any:
        """An answer in one piece.

        Raises:
            ProviderError
        """
        return self._checked(await self._asked(ask))

    async def parts(
        self, pieces: Pieces, answer: Gathering, request_id: str
    ) -> AsyncGenerator[Answer, None]:
        """What there is to say as it comes, then what there is to do."""
        async with aclosing(pieces):
            try:
                async for piece in pieces:
                    if text := answer.take(piece):
                        yield TextDelta(text)
                    if answer.over:
                        break
            except CAUGHT as error:
                raise self._mapped(error) from None
            if rest := answer.end():
                yield TextDelta(rest)
            if (failed := self._failed(answer, request_id)) is not None:
                raise failed
            for call in answer.calls():
                yield call
            await _tail(pieces, answer.take)

    async def _asked(self, ask: Ask) -> Any:
        try:
            return await ask(await client(self.server))
        except CAUGHT as error:
            raise self._mapped(error) from None

    def _failed(self, answer: Gathering, request_id: str) -> ProviderError | None:
        if answer.error is not None:
            return self._said(answer.error, request_id)
        if (kind := answer.fault()) is not None:
            return self.fault(kind, request_id)
        return None

    def _checked(self, whole: Any) -> Any:
        """An answer in one piece, unless it is an error or no answer at all."""
        if error := getattr(whole, "error", None):
            raise self._said(plain(error))
        if isinstance(whole, str) or whole is None:
            raise self.fault(ProviderFault.INVALID)
        return whole

    def _mapped(self, error: Exception) -> ProviderError:
        return provider_error(error, provider=self.server.provider, stage=Stage.LLM)

    def fault(self, kind: ProviderFault, request_id: str = "") -> ProviderError:
        provider = self.server.provider
        return fault(kind, provider=provider, stage=Stage.LLM, request_id=request_id)

    def _said(self, payload: Any, request_id: str = "") -> ProviderError:
        provider = self.server.provider
        return payload_error(payload, provider=provider, stage=Stage.LLM, request_id=request_id)


def request_id(stream: Any) -> str:
    """The provider's own id of the request; empty if it gave none."""
    return str(stream.response.headers.get("x-request-id", ""))


def plain(value: Any) -> Any:
    """A value of the SDK's as JSON has it."""
    dump = getattr(value, "model_dump", None)
    return value if dump is None else dump(warnings=False)


def _is_json(stream: Any) -> bool:
    """Whether the server answered in one piece, though asked to stream."""
    return "json" in str(stream.response.headers.get("content-type", "")).lower()


async def _read_json(stream: Any) -> Mapping[str, Any]:
    """The answer in one piece; empty if it is no object."""
    value = json.loads(await stream.response.aread())
    named = value if isinstance(value, dict) else {}
    return {name: field for name, field in named.items() if not name.startswith("_")}


async def _tail(pieces: Pieces, take: Callable[[Any], object]) -> None:
    """Read what is left of a stream whose answer is complete.

    Read to its end, the connection serves the next request. A failure costs nothing any more.
    """
    with suppress(*CAUGHT):
        async with asyncio.timeout(TAIL_S):
            async for piece in pieces:
                take(piece)
