"""What tests of OpenAI's HTTP audio endpoints share: how a request fails before its answer begins."""

import asyncio
from collections.abc import Callable

from calls.ports.errors import ProviderFault
from tests.doubles.providers.base import Fault, ProviderDouble

SAID = "It is four o'clock."
ID = {"x-request-id": "req_9"}


def error(code: str | None, kind: str = "invalid_request_error") -> dict:
    """An error as OpenAI words it; it repeats what was said, as some do."""
    return {"error": {"message": SAID, "type": kind, "code": code, "param": None}}


HEAD_FAULTS = [
    # id                              what happens                                                                                  kind                       again
    ("a bad request", Fault(status=400, headers=ID, body=error("invalid_value")), ProviderFault.REFUSED, False),
    ("a field that it does not know", Fault(status=422, headers=ID, body={"detail": [{"loc": ["body", "x"]}]}), ProviderFault.REFUSED, False),
    ("a wrong key", Fault(status=401, headers=ID, body=error("invalid_api_key")), ProviderFault.AUTH, False),
    ("not allowed", Fault(status=403, headers=ID, body=error(None)), ProviderFault.AUTH, False),
    ("no such model", Fault(status=404, headers=ID, body=error("model_not_found")), ProviderFault.NOT_FOUND, False),
    ("a text for an error", Fault(status=404, headers=ID, body={"error": "model not found"}), ProviderFault.NOT_FOUND, False),
    ("too many requests", Fault(status=429, headers=ID | {"retry-after": "1"}, body=error("rate_limit_exceeded", "requests")), ProviderFault.BUSY, True),
    ("in milliseconds", Fault(status=429, headers=ID | {"retry-after-ms": "200"}, body=error("rate_limit_exceeded")), ProviderFault.BUSY, True),
    ("at once", Fault(status=429, headers=ID | {"retry-after": "0"}, body=error("rate_limit_exceeded")), ProviderFault.BUSY, True),
    ("for long", Fault(status=429, headers=ID | {"retry-after": "130"}, body=error("rate_limit_exceeded")), ProviderFault.BUSY, True),
    ("nothing left to spend", Fault(status=429, headers=ID | {"x-should-retry": "false"}, body=error("insufficient_quota")), ProviderFault.QUOTA, False),
    ("a failure", Fault(status=500, headers=ID, body=error(None, "server_error")), ProviderFault.UNAVAILABLE, True),
    ("a proxy's page", Fault(status=502, headers=ID, body="<html>Bad Gateway</html>"), ProviderFault.UNAVAILABLE, True),
    ("an error that succeeds", Fault(status=200, headers=ID, body=error("insufficient_quota")), ProviderFault.QUOTA, False),
    ("cut before the head", Fault(drop_before_headers=True), ProviderFault.UNAVAILABLE, True),
    ("silent before the head", Fault(stall_headers=True), ProviderFault.TIMEOUT, True),
]  # fmt: skip
"""With what the adapter makes of them, and whether trying again may help."""

WAITS = [
    ("retry-after", "1", 1_000),
    ("retry-after-ms", "200", 200),
    ("retry-after", "130", 130_000),
]
"""A header, and what it says in ms."""


async def until(met: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not met():  # noqa: ASYNC110 - a stand-in's counters set no event
            await asyncio.sleep(0)


async def nothing_left(double: ProviderDouble) -> None:
    """Every request is over, and no task of an adapter or of a closed stream goes on."""
    await until(lambda: not double.busy)
    await until(lambda: len(asyncio.all_tasks()) == 1)
