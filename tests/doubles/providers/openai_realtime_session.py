"""One realtime session: takes the client's events one by one, and sends its own in order."""

import asyncio
import base64
import binascii
import contextlib
import json
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web

from tests.doubles.providers.base import EndedEarlyError, Stream
from tests.doubles.providers.openai_realtime_config import updated
from tests.doubles.providers.openai_realtime_input import InputBuffer
from tests.doubles.providers.openai_realtime_items import Conversation, visible
from tests.doubles.providers.openai_realtime_responses import Responses
from tests.doubles.providers.openai_realtime_script import RejectedError

if TYPE_CHECKING:
    from tests.doubles.providers.openai_realtime import OpenAIRealtimeDouble

LARGEST_APPEND = 15 * 1024 * 1024
OLD_NAMES = {
    "response.output_audio.": "response.audio.",
    "response.output_audio_transcript.": "response.audio_transcript.",
    "response.output_text.": "response.text.",
    "conversation.item.added": "conversation.item.created",
}


class RealtimeSession:
    """State of a session, open to tests.

    Attributes:
        config: the session object, as merged so far.
        received: events of the client, in order.
        sent: events of ours, in order; those that wait for the wire are among them.
        appended_pcm: what was committed, by item.
        open: until the socket is closed.
    """

    def __init__(
        self, double: "OpenAIRealtimeDouble", stream: Stream, config: dict[str, Any]
    ) -> None:
        self.double = double
        self.id = self.new_id("sess")
        self.config = config | {"id": self.id, "expires_at": int(time.time()) + 3600}
        self.conversation = Conversation()
        self.conversation_id = self.new_id("conv")
        self.received: list[dict[str, Any]] = []
        self.sent: list[dict[str, Any]] = []
        self.appended_pcm: dict[str, bytes] = {}
        self.open = True
        self.buffer = InputBuffer(self)
        self.responses = Responses(self)
        self._stream = stream
        self._outbox: asyncio.Queue[Callable[[], Coroutine[Any, Any, None]]] = asyncio.Queue()
        self._tasks: asyncio.TaskGroup | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def session(self) -> dict[str, Any]:
        """The same as `config`."""
        return self.config

    @property
    def items(self) -> list[dict[str, Any]]:
        """The conversation, in order; audio has its length as `audio_ms`."""
        return self.conversation.items

    @property
    def input(self) -> dict[str, Any]:
        found: dict[str, Any] = self.config["audio"]["input"]
        return found

    @property
    def output(self) -> dict[str, Any]:
        found: dict[str, Any] = self.config["audio"]["output"]
        return found

    @property
    def instructions(self) -> str:
        return str(self.config.get("instructions") or "")

    @property
    def handshake(self) -> Any:
        """The request as it came."""
        return self._stream.asked

    def received_types(self) -> list[str]:
        """What the client sent, without appended audio."""
        append = "input_audio_buffer.append"
        return [event["type"] for event in self.received if event["type"] != append]

    def new_id(self, kind: str) -> str:
        return self.double.new_id(kind)

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Let something go on until it, or the session, ends."""
        assert self._tasks is not None
        return self._tasks.create_task(work)

    def emit(self, kind: str, /, **fields: Any) -> None:
        """Send an event, after those before it."""
        if self.double.old_names and (named := _old_name(kind)) is None:
            return
        event = {"type": named if self.double.old_names else kind, "event_id": self.new_id("event")}
        self.emit_raw(event | fields)

    def emit_raw(self, event: Mapping[str, Any]) -> None:
        """Send this, as it is."""
        self.sent.append(dict(event))
        self._outbox.put_nowait(lambda: self._stream.send(event))

    def emit_item(self, what: str, item: Mapping[str, Any], previous: str | None) -> None:
        kind = f"conversation.item.{what}"
        self.emit(kind, item=visible(dict(item)), previous_item_id=previous)

    def emit_rate_limits(self) -> None:
        limits = [
            {"name": name, "limit": 100, "remaining": 99, "reset_seconds": 0.6}
            for name in ("requests", "tokens")
        ]
        self.emit("rate_limits.updated", rate_limits=limits)

    def cut(
        self, code: int = 1001, reason: str = "", event: Mapping[str, Any] | None = None
    ) -> None:
        """End the session from the provider's side; 1006 just cuts the connection.

        May be called from any thread.
        """

        def enqueue() -> None:
            if event is not None:
                self.emit_raw(dict(event))
            self._outbox.put_nowait(lambda: self._close(code, reason))

        self._loop.call_soon_threadsafe(enqueue)

    async def run(self) -> None:
        """Serve until one side ends it."""
        self.emit("session.created", session=self.config)
        try:
            async with asyncio.TaskGroup() as self._tasks:
                self.start(self._deliver())
                if self.double.session_limit_s is not None:
                    self.start(self._expire(self.double.session_limit_s))
                await self._receive()
        except* EndedEarlyError:
            pass
        finally:
            self.open = False

    async def _receive(self) -> None:
        """Take what the client sends.

        Raises:
            EndedEarlyError: always, in the end: whatever still goes on ends with it.
        """
        socket = self._stream.socket
        assert socket is not None
        async for message in socket:
            if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                self._take(message.data)
        self._stream.asked.close_code = socket.close_code
        raise EndedEarlyError

    def _take(self, raw: str | bytes) -> None:
        event: Any = None
        with contextlib.suppress(ValueError):
            event = json.loads(raw)
        if not isinstance(event, dict):
            return self._reject(RejectedError("invalid_json", "Not a JSON object."), None)
        self.received.append(event)
        self._stream.asked.body.append(event)
        try:
            _HANDLERS.get(str(event.get("type")), _unknown)(self, event)
        except RejectedError as rejected:
            self._reject(rejected, event.get("event_id"))
        return None

    def _reject(self, rejected: RejectedError, event_id: Any) -> None:
        error = {"type": "invalid_request_error", "code": rejected.code}
        error |= {"message": rejected.message, "param": rejected.param, "event_id": event_id}
        self.emit("error", error=error)

    async def _deliver(self) -> None:
        while True:
            await (await self._outbox.get())()

    async def _close(self, code: int, reason: str) -> None:
        assert self._stream.socket is not None
        if code == 1006:
            self._stream.abort()
        else:
            await self._stream.socket.close(code=code, message=reason.encode())
        raise EndedEarlyError

    async def _expire(self, after_s: float) -> None:
        await asyncio.sleep(after_s)
        code, event = self.double.session_end
        self.cut(code, event=event)

    def _update(self, event: dict[str, Any]) -> None:
        config = updated(self.config, event.get("session"))
        if config["type"] == "realtime":
            before, output = self.output, config["audio"]["output"]
            if output["voice"] != before["voice"]:
                self.responses.check_voice_stays(output["voice"])
            if output["speed"] != before["speed"] and self.responses.running:
                param = "session.audio.output.speed"
                raise RejectedError("invalid_value", "Not while a response is in progress.", param)
        self.config = config
        self.emit("session.updated", session=self.config)

    def _append(self, event: dict[str, Any]) -> None:
        audio = event.get("audio")
        if not isinstance(audio, str):
            raise RejectedError("missing_required_parameter", "Missing 'audio'.", "audio")
        if len(audio) > LARGEST_APPEND:
            raise RejectedError("string_above_max_length", "15 MiB at most.", "audio")
        try:
            pcm = base64.b64decode(audio, validate=True)
        except binascii.Error:
            raise RejectedError("invalid_value", "Not base64.", "audio") from None
        self.buffer.append(pcm)

    def _item_create(self, event: dict[str, Any]) -> None:
        self._conversational()
        item = self.conversation.checked(event.get("item"), self.new_id("item"))
        previous = self.conversation.insert(item, event.get("previous_item_id"))
        self.emit_item("added", item, previous)
        self.emit_item("done", item, previous)

    def _item_retrieve(self, event: dict[str, Any]) -> None:
        item = self.conversation.retrieved(event.get("item_id"))
        self.emit("conversation.item.retrieved", item=item)

    def _item_delete(self, event: dict[str, Any]) -> None:
        self.conversation.delete(event.get("item_id"))
        self.emit("conversation.item.deleted", item_id=event["item_id"])

    def _item_truncate(self, event: dict[str, Any]) -> None:
        where = {key: event.get(key) for key in ("item_id", "content_index", "audio_end_ms")}
        self.conversation.truncate(*where.values())
        self.emit("conversation.item.truncated", **where)

    def _respond(self, event: dict[str, Any]) -> None:
        self._conversational()
        self.responses.create(event.get("response") or {})

    def _cancel(self, event: dict[str, Any]) -> None:
        self._conversational()
        self.responses.cancel(event.get("response_id"))

    def _conversational(self) -> None:
        if self.config["type"] != "realtime":
            raise RejectedError("invalid_value", "Not in a transcription session.", "type")


def _unknown(_session: RealtimeSession, event: dict[str, Any]) -> None:
    raise RejectedError("invalid_value", f"Invalid value: '{event.get('type')}'.", "type")


def new_socket() -> web.WebSocketResponse:
    return web.WebSocketResponse(max_msg_size=LARGEST_APPEND + 1024 * 1024, timeout=0.2)


def _old_name(kind: str) -> str | None:
    """What older servers call it; None: they have no such event."""
    if kind == "conversation.item.done":
        return None
    for new, old in OLD_NAMES.items():
        if kind.startswith(new):
            return old + kind.removeprefix(new)
    return kind


_HANDLERS: dict[str, Callable[[RealtimeSession, dict[str, Any]], None]] = {
    "session.update": RealtimeSession._update,
    "input_audio_buffer.append": RealtimeSession._append,
    "input_audio_buffer.commit": lambda session, _event: session.buffer.commit(),
    "input_audio_buffer.clear": lambda session, _event: session.buffer.clear(),
    "conversation.item.create": RealtimeSession._item_create,
    "conversation.item.retrieve": RealtimeSession._item_retrieve,
    "conversation.item.delete": RealtimeSession._item_delete,
    "conversation.item.truncate": RealtimeSession._item_truncate,
    "response.create": RealtimeSession._respond,
    "response.cancel": RealtimeSession._cancel,
}
