"""What stands beside AVR's core: its AMI service, and a server that knows each call's instructions.

Written from AVR's public description. Both are real servers on loopback; see `base` for how
requests are remembered and how faults strike.
"""

import time
from typing import Any

from aiohttp import web
from typing_extensions import override

from tests.doubles.providers.base import ProviderDouble, Stream, whole

UNKNOWN = "unknown-call"


class AmiDouble(ProviderDouble):
    """Steers calls: `/hangup`, `/transfer` and `/originate`.

    Attributes:
        orders: path and body of each order that was carried out, in order, with the time.
        known: the calls that there are; None: all but `UNKNOWN`.
    """

    def __init__(self) -> None:
        super().__init__("")
        self.orders: list[tuple[float, str, dict[str, Any]]] = []
        self.known: set[str] | None = None

    @override
    def routes(self) -> list[web.RouteDef]:
        return [
            web.post(path, self.answering(self._order))
            for path in ("/hangup", "/transfer", "/originate")
        ]

    async def _order(self, stream: Stream) -> web.StreamResponse:
        asked = stream.asked
        asked.body = await stream.request.json()
        uuid = asked.body.get("uuid")
        if uuid == UNKNOWN or (self.known is not None and uuid not in self.known):
            return whole(404, {"message": "Call not found"})
        self.orders.append((time.monotonic(), asked.path, asked.body))
        return whole(200, {"message": "Done"})


class InstructionsDouble(ProviderDouble):
    """Answers `GET /instructions` with what it knows of the call in the header `X-AVR-UUID`.

    Attributes:
        known: by the call's id.
    """

    def __init__(self) -> None:
        super().__init__("")
        self.known: dict[str, str] = {}

    @override
    def routes(self) -> list[web.RouteDef]:
        return [web.get("/instructions", self.answering(self._tell))]

    async def _tell(self, stream: Stream) -> web.StreamResponse:
        system = self.known.get(stream.asked.headers.get("X-AVR-UUID", ""))
        return whole(404, {}) if system is None else whole(200, {"system": system})
