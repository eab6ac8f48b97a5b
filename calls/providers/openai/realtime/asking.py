"""Answers asked for one at a time, as the provider wants it, and what comes of them."""

import base64
import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from calls.domain.events import ResponseDone, Stage, ToolRequested, VoiceFailed
from calls.ports.errors import ProviderFault
from calls.ports.usage import CANCELLED, OK
from calls.providers.openai.realtime.desk import Desk
from calls.providers.openai.realtime.faults import error_kind, provider_error
from calls.providers.openai.realtime.made import Made, Said
from calls.providers.openai.realtime.messages import cancel_response
from calls.providers.openai.realtime.speech import NO_ID, Tail
from calls.providers.openai.realtime.usage import response_usage

logger = logging.getLogger(__name__)

SILENT_MS = 10_000
"""For the first part of an answer and between its parts."""

CANCEL_MS = 2_000
"""So long the end of a stopped answer is waited for before the next one is asked for."""

Message = dict[str, Any]


class Minutes(Protocol):
    """Who keeps the conversation in step with what comes."""

    def begins(self, made: Made) -> None:
        """It is asked for now: this is the conversation that it sees."""
        ...

    def grows(self, made: Made, part: Said) -> None: ...

    def ends(self, made: Made) -> None: ...


class Asking:
    """The one answer that goes on, and those that wait for their turn."""

    def __init__(self, desk: Desk, minutes: Minutes) -> None:
        self._desk = desk
        self._minutes = minutes
        self._waiting: deque[Made] = deque()
        self._active: Made | None = None
        self._by_server: dict[str, Made] = {}

    @property
    def going_on(self) -> tuple[Made, ...]:
        """The active one first."""
        active = () if self._active is None else (self._active,)
        return (*active, *self._waiting)

    def ask(self, made: Made) -> None:
        """Have it made as soon as no other is."""
        self._waiting.append(made)
        self._next()

    def stop(self, made: Made) -> None:
        """Nothing more of it is wanted."""
        if made.done:
            return
        made.stopped = True
        made.forget()
        if made in self._waiting:
            self._waiting.remove(made)
            made.done = True
        elif made is self._active:
            self._desk.connection.send(cancel_response(made.server_id))
            made.forget = self._desk.after(CANCEL_MS, partial(self._give_up, made))

    def _give_up(self, made: Made) -> None:
        """It does not say that it has stopped."""
        made.request.over(CANCELLED, _spoken(made), made.report_id, estimated=True)
        self._release(made)

    def _next(self) -> None:
        if self._active is not None or not self._waiting or not self._desk.connection.up:
            return
        self._active = made = self._waiting.popleft()
        self._minutes.begins(made)
        self._desk.connection.send(made.create)
        self._expect(made)

    def _expect(self, made: Made) -> None:
        made.forget()
        made.forget = self._desk.after(SILENT_MS, partial(self._too_late, made))

    def _too_late(self, made: Made) -> None:
        """The server has gone silent: whatever comes next is not asked of this connection."""
        kind = ProviderFault.TIMEOUT
        made.request.over(kind.value, _spoken(made), made.report_id, estimated=True)
        self._fail(made, kind)
        self._desk.connection.renew()
        self._release(made)

    def _release(self, made: Made) -> None:
        made.forget()
        made.done = True
        self._by_server.pop(made.server_id, None)
        if self._active is made:
            self._active = None
        self._next()

    def _fail(self, made: Made, kind: ProviderFault) -> None:
        self._finish(made, failure(self._desk, kind, made.response_id))

    def _finish(self, made: Made, tail: Tail) -> None:
        made.speech.finish(tail)
        self._desk.outlet.wake()

    # What comes

    def created(self, message: Message) -> None:
        response = message["response"]
        tag = (response.get("metadata") or {}).get("tag")
        made = self._active
        if made is None or made.server_id or (tag is not None and tag != made.tag):
            return
        made.server_id = made.request.request_id = str(response["id"])
        self._by_server[made.server_id] = made

    def part_added(self, message: Message) -> None:
        made, item = self._by_server.get(str(message["response_id"])), message["item"]
        if made is None:
            return
        part = Said(
            item_id=str(item["id"]),
            kind=str(item["type"]),
            call_id=str(item.get("call_id") or ""),
            name=str(item.get("name") or ""),
        )
        made.parts[part.item_id] = part
        self._minutes.grows(made, part)

    def text_came(self, message: Message) -> None:
        if (made := self._going_on(message)) is not None:
            made.speech.add_text(str(message["delta"]))
            self._desk.outlet.wake()

    def sound_came(self, message: Message) -> None:
        made = self._by_server.get(str(message["response_id"]))
        if made is None:
            return
        pcm = base64.b64decode(message["delta"])
        if (part := made.parts.get(str(message["item_id"]))) is not None:
            part.size_bytes += len(pcm)
        if not made.stopped:
            made.request.came()
            self._expect(made)
            made.speech.add_sound(pcm)
            self._desk.outlet.wake()

    def call_came(self, message: Message) -> None:
        made = self._going_on(message)
        if made is None:
            return
        part = made.parts.get(str(message["item_id"]))
        named = part.name if part is not None else ""
        made.speech.order(
            ToolRequested(
                response_id=NO_ID,
                tool_call_id=str(message["call_id"]),
                name=str(message.get("name") or named),
                arguments=str(message["arguments"]),
            )
        )
        self._desk.outlet.wake()

    def _going_on(self, message: Message) -> Made | None:
        made = self._by_server.get(str(message["response_id"]))
        if made is None or made.stopped:
            return None
        made.request.came()
        self._expect(made)
        return made

    def done(self, message: Message) -> None:
        response = message["response"]
        made = self._by_server.get(str(response["id"]))
        if made is None:
            self._other_done(response)
            return
        kind = _ended(response, made)
        stopped = CANCELLED if made.stopped else OK
        outcome = stopped if kind is None or made.stopped else kind.value
        usage = response_usage(response.get("usage")) | _spoken(made)
        made.request.over(outcome, usage, made.report_id)
        if kind is None:
            self._finish(made, ResponseDone(response_id=made.response_id))
        else:
            self._fail(made, kind)
        self._minutes.ends(made)
        self._release(made)

    def refused(self, tag: str, error: Message) -> bool:
        """Whether it was a request for an answer that the provider did not take."""
        made = self._active
        if made is None or made.tag != tag:
            return tag.startswith("answer")
        busy = error.get("code") == "conversation_already_has_active_response"
        if busy and not made.retried and not made.stopped:
            # Its end was missed, or is still to come: either frees the way.
            made.retried = True
            self._desk.connection.send(cancel_response(""))
            made.forget()
            made.forget = self._desk.after(CANCEL_MS, partial(self._again, made))
            return True
        made.request.over(error_kind(error).value, {}, made.report_id)
        self._fail(made, error_kind(error))
        self._release(made)
        return True

    def _other_done(self, response: Message) -> None:
        """An answer that nobody knows has ended: who was refused because of it asks again."""
        made = self._active
        if made is not None and made.retried and response.get("conversation_id"):
            self._again(made)

    def _again(self, made: Made) -> None:
        if made is self._active and not made.server_id and not made.stopped:
            self._desk.connection.send(made.create)
            self._expect(made)

    # The connection

    def lost(self) -> None:
        """Nothing that was asked for comes any more."""
        going_on = self.going_on
        self._waiting.clear()
        for made in going_on:
            self._tell_unfinished(made, ProviderFault.UNAVAILABLE.value)
            self._fail(made, ProviderFault.UNAVAILABLE)
            self._release(made)
        self._by_server.clear()

    def leave(self) -> None:
        """The call is over."""
        if self._active is not None:
            self._active.forget()
            self._tell_unfinished(self._active, CANCELLED)

    def _tell_unfinished(self, made: Made, outcome: str) -> None:
        """What it cost is never told: nothing, if it was not even begun."""
        if made.request.request_id:
            outcome = CANCELLED if made.stopped else outcome
            made.request.over(outcome, _spoken(made), made.report_id, estimated=True)


def _ended(response: Message, made: Made) -> ProviderFault | None:
    """What was wrong with an answer that has ended; None: nothing."""
    status = response.get("status")
    details = response.get("status_details") or {}
    if status == "failed":
        return error_kind(details.get("error"))
    if status == "completed" or made.stopped or not made.speech.empty:
        return None
    return ProviderFault.TRUNCATED


def _spoken(made: Made) -> dict[str, int]:
    return {"spoken_ms": made.audio_ms} if made.audio_ms else {}


def failure(desk: Desk, kind: ProviderFault, response_id: int) -> VoiceFailed:
    """The event that tells of it."""
    error = provider_error(kind, provider=desk.provider)
    logger.warning("An answer failed.", extra={"stage": "voice", "kind": kind.value})
    return VoiceFailed(
        stage=Stage.VOICE,
        message=error.message,
        response_id=response_id,
        busy=kind is ProviderFault.BUSY,
    )


HANDLERS: dict[str, Callable[[Asking, Message], None]] = {
    "response.created": Asking.created,
    "response.output_item.added": Asking.part_added,
    "response.output_text.delta": Asking.text_came,
    "response.output_audio_transcript.delta": Asking.text_came,
    "response.output_audio.delta": Asking.sound_came,
    "response.function_call_arguments.done": Asking.call_came,
    "response.done": Asking.done,
}
