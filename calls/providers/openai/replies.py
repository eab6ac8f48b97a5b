"""One reply of an audio endpoint, as it is read: whose it is, its events, and how it fails."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from openai import AsyncOpenAI, AsyncStream, Timeout

from calls.domain.events import Stage
from calls.ports.errors import ProviderError, ProviderFault
from calls.ports.usage import note
from calls.providers.openai.address import Server
from calls.providers.openai.faults import CAUGHT, fault, payload_error, provider_error

AFTER_DONE_S = 0.1
"""The end of a stream may take so long after its last event; then the connection is given up."""

_OVER = object()

Events = AsyncGenerator[Mapping[str, Any], None]


@dataclass(slots=True)
class Reply:
    """What is known of the reply; `request_id` once it has begun."""

    server: Server
    stage: Stage
    request_id: str = ""

    def begin(self, response: Any) -> None:
        """The head has come."""
        self.request_id = response.headers.get("x-request-id", "")
        note(request_id=self.request_id)

    async def events(self, response: Any, sdk: AsyncOpenAI) -> Events:
        """The objects of a stream of events, as they are: look-alikes have shapes of their own.

        Raises:
            ProviderError: something else came.
        """
        stream = AsyncStream[object](cast_to=object, response=response.http_response, client=sdk)
        while (event := await anext(stream, _OVER)) is not _OVER:
            if not isinstance(event, Mapping):
                raise self.fault(ProviderFault.INVALID)
            yield event

    def fault(self, kind: ProviderFault) -> ProviderError:
        return fault(
            kind,
            provider=self.server.provider,
            stage=self.stage,
            request_id=self.request_id,
        )

    def payload_error(self, payload: Any) -> ProviderError:
        """The failure that an answer with a good status tells of, or is by its shape."""
        said = payload.get("error") if isinstance(payload, Mapping) else None
        if not said:
            return self.fault(ProviderFault.INVALID)
        return payload_error(
            said,
            provider=self.server.provider,
            stage=self.stage,
            request_id=self.request_id,
        )

    @contextmanager
    def mapping(self) -> Iterator[None]:
        """What fails within is the one error that providers raise, and knows the request."""
        try:
            yield
        except CAUGHT as error:
            failure = provider_error(error, provider=self.server.provider, stage=self.stage)
            failure.request_id = failure.request_id or self.request_id
            raise failure from None
        except (ValueError, RecursionError):
            # Sound of another kind, base64 that is none, or an object nested without end.
            raise self.fault(ProviderFault.INVALID) from None


async def read_out(events: AsyncIterator[Any]) -> None:
    """All is said: a connection that is read to its end can be used again."""
    with suppress(*CAUGHT, ProviderError):
        async with asyncio.timeout(AFTER_DONE_S):
            async for _ in events:
                pass


def is_event_stream(response: Any) -> bool:
    return bool(content_type(response) == "text/event-stream")


def content_type(response: Any) -> str:
    """In lower case, without parameters."""
    kind: str = response.headers.get("content-type", "")
    return kind.partition(";")[0].strip().lower()


def patience(timeout_s: float) -> Timeout:
    """For one request: how long the server may be silent."""
    return Timeout(connect=min(3, timeout_s), read=timeout_s, write=timeout_s, pool=2)
