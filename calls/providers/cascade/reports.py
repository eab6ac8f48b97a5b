"""Requests to providers, told of to whoever keeps the call's books."""

from collections.abc import Callable, Coroutine
from typing import Any

from calls.ports.usage import ServiceReport, reporting
from calls.ports.voice import ReportTaker


class Reports:
    """Where the reports of a session go; nowhere until somebody wants them."""

    def __init__(self) -> None:
        self.take: ReportTaker = _ignore

    async def of(
        self, work: Callable[[], Coroutine[Any, Any, None]], response_id: int | None = None
    ) -> None:
        """Do this work; requests made by it, and by tasks that it starts, are told.

        It is not begun by the call alone: who is cancelled before never began it.
        """
        with reporting(lambda result: self.take(result, response_id)):
            await work()


def _ignore(_report: ServiceReport, _response_id: int | None) -> None:
    pass
