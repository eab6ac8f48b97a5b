"""What an agent can do with a call by telephone: hang up, and hand it to another extension."""

import logging
import re
from collections.abc import Mapping
from typing import Any, Protocol

from calls.ports.tools import CallInfo, ToolError, ToolSpec
from calls.providers.avr.service import ServiceError, request

logger = logging.getLogger(__name__)

HEARD_WITHIN_MS = 12_000
REQUEST_MS = 5_000
DEFAULT_CONTEXT = "demo"
DEFAULT_PRIORITY = 1
MOST_PRIORITY = 999

_EXTENSION = re.compile(r"[0-9A-Za-z*#+._-]{1,64}")
_CONTEXT = re.compile(r"[0-9A-Za-z._-]{1,80}")


class Line(Protocol):
    """What the tools need of the running call."""

    def end_once_heard(self) -> None:
        """The call ends when the answer that goes on has been heard.

        Raises:
            ToolError: there is none: the caller has interrupted it.
        """
        ...

    async def heard(self, *, within_ms: int) -> None:
        """Wait until the caller has heard what the agent has said so far, or time is up."""
        ...


class Ami:
    """AVR's service that steers the telephone system.

    Args:
        url: its address, without a slash at the end.
        uuid: the call's name over there.
    """

    def __init__(self, url: str, uuid: str) -> None:
        self._url = url
        self._uuid = uuid

    async def transfer(self, extension: str, context: str, priority: int) -> None:
        """Raises ServiceError."""
        fields = {"exten": extension, "context": context, "priority": priority}
        await self._post("transfer", fields)

    async def hang_up(self) -> None:
        """The call is over here; a failure is logged: the closed socket has ended it as well."""
        try:
            await self._post("hangup", {})
        except ServiceError as error:
            extra = {"reason": error.reason, "status": error.status}
            logger.info("AVR was not told to hang up", extra=extra)

    async def _post(self, order: str, fields: Mapping[str, Any]) -> None:
        body = {"uuid": self._uuid, **fields}
        await request("POST", f"{self._url}/{order}", within_ms=REQUEST_MS, body=body)


class HangUp:
    """Ends the call once the agent's goodbye has been heard."""

    timeout_ms = 1_000
    spec = ToolSpec(
        "avr_hangup",
        "Hang up: end the telephone call, once the conversation is over and the caller wants to "
        "go. What you say in this answer is heard before.",
        {"type": "object", "properties": {}, "additionalProperties": False},
    )

    def __init__(self, line: Line) -> None:
        self._line = line

    async def run(self, call: CallInfo, arguments: Mapping[str, Any]) -> str:  # noqa: ARG002
        self._line.end_once_heard()
        return "The call ends now. Say goodbye if you have not; else say nothing more."


class Transfer:
    """Hands the call to another extension once the agent's words have been heard."""

    timeout_ms = HEARD_WITHIN_MS + REQUEST_MS + 1_000
    spec = ToolSpec(
        "avr_transfer",
        "Transfer the telephone call to another extension. Tell the caller first.",
        {
            "type": "object",
            "properties": {
                "transfer_extension": {
                    "type": "string",
                    "description": "The extension to transfer to",
                },
                "transfer_context": {
                    "type": "string",
                    "description": f"Its context in the dial plan; {DEFAULT_CONTEXT} as a rule",
                },
                "transfer_priority": {
                    "type": "integer",
                    "description": f"Its priority there; {DEFAULT_PRIORITY} as a rule",
                },
            },
            "required": ["transfer_extension"],
            "additionalProperties": False,
        },
    )

    def __init__(self, line: Line, ami: Ami) -> None:
        self._line = line
        self._ami = ami

    async def run(self, call: CallInfo, arguments: Mapping[str, Any]) -> str:
        extension = _text(arguments, "transfer_extension", _EXTENSION)
        context = _text(arguments, "transfer_context", _CONTEXT, DEFAULT_CONTEXT)
        priority = _priority(arguments.get("transfer_priority"))
        await self._line.heard(within_ms=HEARD_WITHIN_MS)
        try:
            await self._ami.transfer(extension, context, priority)
        except ServiceError as error:
            extra = {"call_id": call.call_id, "reason": error.reason, "status": error.status}
            logger.warning("A call could not be transferred", extra=extra)
            raise ToolError(_explained(error)) from None
        return "The call is being transferred. Say nothing more."


def _text(
    arguments: Mapping[str, Any], name: str, allowed: re.Pattern[str], default: str = ""
) -> str:
    value = arguments.get(name) or default
    text = str(value).strip() if isinstance(value, str | int) else ""
    if not allowed.fullmatch(text):
        raise ToolError(f"{name} is not usable.")
    return text


def _priority(value: Any) -> int:
    """A whole number; models like to write it as text."""
    if value is None or value == "":
        return DEFAULT_PRIORITY
    try:
        priority = int(value)
    except (TypeError, ValueError, OverflowError):
        priority = 0
    if not 1 <= priority <= MOST_PRIORITY:
        raise ToolError("transfer_priority is not usable.")
    return priority


def _explained(error: ServiceError) -> str:
    if error.status == 404:
        return "The telephone system does not know this call any more."
    if error.reason == "timeout":
        return "The telephone system did not answer in time; the call was not transferred."
    return "The telephone system could not transfer the call."
