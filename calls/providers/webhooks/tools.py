"""A tool that another server answers, in the middle of a call."""

import asyncio
import json
import logging
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from calls.ports.tools import CallInfo, ToolError, ToolSpec
from calls.providers.webhooks.posting import Answer, Message, PostError, post

logger = logging.getLogger(__name__)

EVENT = "tool.needed"
RESULT_BYTES = 16_384
ONCE_MORE_AFTER_S = 0.25
_UNSEEN = {
    "timeout": "The service did not answer in time. It may have done what was asked.",
    "refused": "The service cannot be reached just now. Nothing was done.",
    "unreachable": "The service cannot be reached just now.",
    "forbidden": "The service cannot be reached. Nothing was done.",
    "broken": "The service broke off its answer. It may have done what was asked.",
}


class Terms(Protocol):
    """What is known of the tool."""

    @property
    def name(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def parameters(self) -> Mapping[str, Any]: ...
    @property
    def url(self) -> str: ...
    @property
    def timeout_ms(self) -> int: ...
    @property
    def secrets(self) -> tuple[str, ...]: ...


class AnsweredElsewhere:
    """Asks the tool's server with a signed message and takes its answer for the result.

    Args:
        site: slug of the call's site.
        caller: who calls, as far as is known.
        private: whether addresses of this network will do.
    """

    def __init__(self, terms: Terms, site: str, caller: str, *, private: bool) -> None:
        self.spec = ToolSpec(terms.name, terms.description, terms.parameters)
        self.timeout_ms = terms.timeout_ms
        self._terms = terms
        self._site = site
        self._caller = caller
        self._private = private

    async def run(self, call: CallInfo, arguments: Mapping[str, Any]) -> str:
        """Ask once; once more, under the same id, only if nobody listened.

        Raises:
            ToolError: what the model may tell the caller.
        """
        message = self._message(call, arguments)
        try:
            answer = await self._asked(message)
        except PostError as error:
            extra = {"call_id": call.call_id, "tool": self.spec.name, "error": error.reason}
            logger.warning("A tool's server gave no answer", extra=extra)
            raise ToolError(_UNSEEN[error.reason]) from None
        return _result(answer)

    async def _asked(self, message: Message) -> Answer:
        try:
            return await self._post(message)
        except PostError as error:
            if error.reason != "refused":
                raise
        await asyncio.sleep(ONCE_MORE_AFTER_S)
        return await self._post(message)

    async def _post(self, message: Message) -> Answer:
        return await post(
            self._terms.url,
            message,
            within_ms=self.timeout_ms,
            most_bytes=RESULT_BYTES,
            private=self._private,
        )

    def _message(self, call: CallInfo, arguments: Mapping[str, Any]) -> Message:
        message_id = f"evt_{secrets.token_hex(16)}"
        body = {
            "type": EVENT,
            "id": message_id,
            "timestamp": datetime.now(UTC).isoformat(),
            "data": {
                "call_id": call.call_id,
                "site": self._site,
                "agent": call.agent,
                "caller": self._caller,
                "language": call.language,
                "metadata": call.metadata,
                "tool": self.spec.name,
                "arguments": arguments,
            },
        }
        return Message(message_id, json.dumps(body).encode(), self._terms.secrets)


def _result(answer: Answer) -> str:
    """The answer as text, whatever kind of text it is.

    Raises:
        ToolError: it is none, or too long, or says that it failed.
    """
    if not 200 <= answer.status < 300:
        raise ToolError(f"The service could not do it (status {answer.status}).")
    if len(answer.body) >= RESULT_BYTES and not answer.complete:
        raise ToolError("The service's answer is too long.")
    if not answer.complete:
        raise ToolError(_UNSEEN["broken"])
    try:
        text = answer.body.decode()
        if "json" in answer.content_type.lower() and text.strip():
            json.loads(text)
    except (ValueError, RecursionError):
        raise ToolError("The service's answer cannot be read.") from None
    return text.strip() or "Done."
