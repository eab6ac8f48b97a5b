"""Functions that the client was asked to call, and what it answered."""

from calls.wire.base import Inbound, ToolResult

NO_ANSWER = "The client gave no result."


class Calls:
    """Those of one answer, until it goes on.

    The call goes on with an answer as soon as its last function is answered; a client says so
    only with `response.create`. Until then its results are held.
    """

    def __init__(self) -> None:
        self._open: set[str] = set()
        self._held: dict[str, str] = {}
        self.answer: int | None = None
        """The answer that waits for them."""

    @property
    def waiting(self) -> bool:
        return self.answer is not None

    @property
    def ready(self) -> bool:
        """Whether every one is answered, and at least one was asked."""
        return bool(self._held) and not self._open

    def asked(self, answer: int, call_id: str) -> None:
        self.answer = answer
        self._open.add(call_id)

    def settled(self, call_id: str) -> None:
        """The call waits for it no longer."""
        self._open.discard(call_id)
        self._held.pop(call_id, None)

    def answered(self, call_id: str, output: str) -> bool:
        """Whether this was asked and is not answered yet; then its result is held."""
        if call_id not in self._open:
            return False
        self._open.discard(call_id)
        self._held[call_id] = output
        return True

    def over(self) -> None:
        """The answer goes on, or will not: nothing is held back any more."""
        self.answer = None

    def go_on(self) -> list[Inbound]:
        """The client wants the answer to go on: what it has not answered has failed."""
        failed = [ToolResult(call_id, NO_ANSWER, failed=True) for call_id in sorted(self._open)]
        self._open.clear()
        return [*self._release(), *failed]

    def late(self) -> list[Inbound]:
        """Results of an answer that does not wait for them: they belong to the record."""
        return [] if self.waiting else self._release()

    def _release(self) -> list[Inbound]:
        results: list[Inbound] = [ToolResult(*held) for held in self._held.items()]
        self._held.clear()
        return results
