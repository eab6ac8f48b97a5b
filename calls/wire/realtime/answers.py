"""All answers of one socket: of the conversation, one after another; and beside it."""

from collections.abc import Callable
from typing import Any

from calls.domain import effects as do
from calls.domain import events as ev
from calls.domain.effects import Outcome
from calls.ports.client import Aside, AsideAudio, AsideDone, AsideText, AsideTool
from calls.wire.base import AsideAsked, AsideCancelled, Inbound
from calls.wire.realtime.asking import Asked
from calls.wire.realtime.calls import Calls
from calls.wire.realtime.refusal import ACTIVE, NOT_ACTIVE, Refusal
from calls.wire.realtime.response import Counted, Response

MOST_ASIDES = 4

Make = Callable[[Asked | None, int | None], Response]
"""An answer as it is asked for (None: by nobody), and the number that the call has for it."""

_ENDS = {
    Outcome.TOOLS: ("completed", None),
    Outcome.SKIPPED: ("completed", None),
    Outcome.INTERRUPTED: ("cancelled", "turn_detected"),
    Outcome.CANCELLED: ("cancelled", "client_cancelled"),
    Outcome.FAILED: ("failed", None),
}
_FAULT = {"type": "server_error", "code": "response_failed", "message": "No answer could be made."}


class Answers:
    """What goes on, what was asked for, and the functions that the client has to answer.

    Attributes:
        fault: what went wrong last, for the answer that fails of it.
    """

    def __init__(self, make: Make, usage: Counted) -> None:
        self.calls = Calls()
        self.fault: str | None = None
        self._make = make
        self._usage = usage
        self._open: Response | None = None
        self._asked: Asked | None = None
        self._asides: dict[str, Response] = {}
        self._cancelling = False

    # The client

    def ask(self, asked: Asked) -> list[Inbound]:
        """The client asks for an answer.

        Raises:
            Refusal: one is being made.
        """
        if asked.aside:
            return self._ask_aside(asked)
        busy = self._open is not None and not self.calls.ready
        if busy or self._asked is not None:
            raise Refusal(ACTIVE, "The conversation has an active response already.")
        self._asked = asked
        # Where the answer goes on with the results, the call has no use for the second.
        return [*self.calls.go_on(), ev.AnswerAsked(wishes=asked.wishes)]

    def _ask_aside(self, asked: Asked) -> list[Inbound]:
        if len(self._asides) >= MOST_ASIDES:
            message = f"At most {MOST_ASIDES} responses go on beside the conversation."
            raise Refusal(ACTIVE, message)
        response = self._make(asked, None)
        self._asides[response.response_id] = response
        response.begin()
        return [AsideAsked(response.response_id, asked.items, asked.wishes)]

    def cancel(self, response_id: str | None) -> list[Inbound]:
        """The client stops one; without a name that of the conversation.

        Raises:
            Refusal: nothing is being made.
        """
        if response_id in self._asides:
            return [AsideCancelled(response_id)]
        now = self._open
        if now is not None and response_id in (None, now.response_id):
            self._cancelling = True
            return [ev.AnswerCancelled(response_id=now.answers)]
        if response_id is None and self._asked is not None:
            self._forget("client_cancelled")
            return [ev.AnswerCancelled()]
        raise Refusal(NOT_ACTIVE, "There is no such active response.")

    def _forget(self, reason: str) -> None:
        """What was only asked for will not begin; the client is told of it all the same."""
        asked, self._asked = self._asked, None
        if asked is not None:
            response = self._make(asked, 0)
            response.begin()
            response.finish("cancelled", self._usage, reason=reason)

    # The call

    def began(self, effect: do.SendResponseBegan) -> None:
        now = self._open
        if now is not None and now.answers == effect.response_id:
            return  # it goes on after functions that are none of the client's
        if now is not None:
            self._finish(now, "cancelled", "turn_detected")
        self.calls.over()
        self.fault = None
        asked, self._asked = self._asked, None
        self._open = self._make(asked, effect.response_id)
        self._open.begin()

    def text(self, effect: do.SendResponseText) -> None:
        if (now := self._current(effect.response_id)) is not None:
            now.text(effect.text)

    def audio(self, response_id: int, start_ms: int, pcm: bytes) -> None:
        if (now := self._current(response_id)) is not None:
            now.audio(pcm, start_ms)

    def tool(self, effect: do.SendTool) -> None:
        """Functions that the server runs are not the client's to answer: it hears nothing."""
        now = self._open
        if not effect.running:
            self.calls.settled(effect.tool_call_id)
        elif now is not None and effect.name in now.asked.tools and now.answers is not None:
            self.calls.asked(now.answers, effect.tool_call_id)
            now.call(effect.tool_call_id, effect.name, effect.arguments)

    def made(self, effect: do.SendResponseMade) -> None:
        now = self._current(effect.response_id)
        if now is not None:
            self._made(now, effect.outcome)
        if effect.outcome not in (Outcome.TOOLS, Outcome.COMPLETE):
            self._give_up(effect.response_id)

    def _made(self, now: Response, outcome: Outcome) -> None:
        """A round that calls nothing of the client goes on in the same response."""
        if outcome is Outcome.COMPLETE:
            now.made = True
            if now.sent or now.asked.text_only:
                self._finish(now, "completed")
        elif outcome is not Outcome.TOOLS or now.calls:
            self._finish(now, *_ENDS[outcome])

    def sent(self, response_id: int) -> None:
        """All sound has been sent."""
        if (now := self._current(response_id)) is not None:
            now.sent = True
            if now.made:
                self._finish(now, "completed")

    def cleared(self, response_id: int) -> None:
        """The agent falls silent; of what is told already the client hears nothing.

        What was made when it was cut off, and not all sent, ends here.
        """
        now = self._current(response_id)
        if now is not None and not now.made:
            return  # how it ended is told next
        if now is not None:
            reason = "client_cancelled" if self._cancelling else "turn_detected"
            self._finish(now, "cancelled", reason)
        self._give_up(response_id)

    def _give_up(self, response_id: int) -> None:
        """An answer that waited for functions does not go on, though the client asked it to."""
        if self.calls.answer == response_id:
            self.calls.over()
            self._forget("turn_detected")

    def _current(self, response_id: int) -> Response | None:
        now = self._open
        return now if now is not None and now.answers == response_id else None

    def _finish(self, now: Response, status: str, reason: str | None = None) -> None:
        error = None
        if status == "failed":
            error = _FAULT if self.fault is None else _FAULT | {"message": self.fault}
        now.finish(status, self._usage, reason=reason, error=error)
        self._open, self._cancelling, self.fault = None, False, None

    # Beside the conversation

    def aside(self, message: Aside) -> None:
        response = self._asides.get(message.aside_id)
        if response is None:
            return
        match message:
            case AsideText(_, text):
                response.text(text)
            case AsideAudio(_, pcm):
                response.audio(pcm, 0)
            case AsideTool(_, call_id, name, arguments):
                response.call(call_id, name, arguments)
            case AsideDone(aside_id, failed, cancelled):
                del self._asides[aside_id]
                self._finish_aside(response, failed=failed, cancelled=cancelled)

    def _finish_aside(self, response: Response, *, failed: str, cancelled: bool) -> None:
        error: dict[str, Any] | None = _FAULT | {"message": failed} if failed else None
        if cancelled:
            response.finish("cancelled", self._usage, reason="client_cancelled")
        else:
            response.finish("failed" if failed else "completed", self._usage, error=error)
