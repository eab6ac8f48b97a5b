"""Responses of a realtime session: one at a time in its conversation, any number beside it."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tests.doubles.providers.openai_realtime_config import check_response, check_voice
from tests.doubles.providers.openai_realtime_items import visible
from tests.doubles.providers.openai_realtime_outputs import Call, Message, text_of
from tests.doubles.providers.openai_realtime_script import (
    CallsTool,
    Fails,
    Output,
    RejectedError,
    Says,
    Stalls,
    Stops,
    response_usage,
    words,
)

if TYPE_CHECKING:
    from tests.doubles.providers.openai_realtime_session import RealtimeSession


class Responses:
    def __init__(self, session: "RealtimeSession") -> None:
        self._session = session
        self.running: dict[str, Response] = {}
        self.has_spoken = False
        """Whether audio came: then the voice stays."""

    @property
    def active(self) -> "Response | None":
        return next((r for r in self.running.values() if not r.beside), None)

    def create(self, params: Any) -> None:
        check_response(params)
        beside = params.get("conversation") == "none"
        if not beside and (active := self.active) is not None:
            message = (
                f"Conversation already has an active response in progress: {active.id}. Wait until "
                "the response is finished before creating a new one."
            )
            raise RejectedError("conversation_already_has_active_response", message)
        self._check_voice(params)
        self._check_input(params)
        response = Response(self._session, params, beside=beside)
        self.running[response.id] = response
        response.begin()

    def cancel(self, response_id: Any) -> None:
        response = self.running.get(response_id) if response_id else self.active
        if response is None:
            message = "Cancellation failed: no active response found"
            raise RejectedError("response_cancel_not_active", message)
        response.end("cancelled", {"type": "cancelled", "reason": "client_cancelled"})

    def interrupt(self) -> None:
        """The caller speaks."""
        if (active := self.active) is not None:
            active.end("cancelled", {"type": "cancelled", "reason": "turn_detected"})

    def _check_voice(self, params: Mapping[str, Any]) -> None:
        voice = ((params.get("audio") or {}).get("output") or {}).get("voice")
        if voice is None:
            return
        check_voice(voice, "response.audio.output.voice")
        self.check_voice_stays(voice)

    def check_voice_stays(self, voice: Any) -> None:
        if self.has_spoken and voice != self._session.output["voice"]:
            message = "Cannot update a conversation's voice if assistant audio is present."
            raise RejectedError("cannot_update_voice", message)

    def _check_input(self, params: Mapping[str, Any]) -> None:
        for item in params.get("input") or ():
            if item.get("type") != "item_reference":
                self._session.conversation.checked({**item, "id": None}, "unused")
            elif self._session.conversation.find(item.get("id")) is None:
                raise RejectedError("invalid_value", "No such item.", "response.input")


class Response:
    """One response. It can end at any moment, and then everything it began is ended in order."""

    def __init__(
        self, session: "RealtimeSession", params: Mapping[str, Any], *, beside: bool
    ) -> None:
        self.id = session.new_id("resp")
        self.beside = beside
        self._session = session
        self._params = params
        self._output: list[dict[str, Any]] = []
        self._open: Message | Call | None = None
        self._task: asyncio.Task[None] | None = None
        self.spoken_ms = 0

    @property
    def text_only(self) -> bool:
        modalities = self._params.get("output_modalities")
        return (modalities or self._session.config["output_modalities"]) == ["text"]

    @property
    def session(self) -> "RealtimeSession":
        return self._session

    def emit(self, kind: str, **fields: Any) -> None:
        self._session.emit(kind, response_id=self.id, **fields)

    def begin(self) -> None:
        created = self._resource("in_progress", None)
        self._session.emit("response.created", response=created)
        self._task = self._session.start(self._run())

    def end(self, status: str, details: Mapping[str, Any] | None = None) -> None:
        """Finish what is open, and be done. Called once."""
        if self._open is not None:
            self._open.end("completed" if status == "completed" else "incomplete")
        self._session.responses.running.pop(self.id)
        resource = self._resource(status, details)
        self._session.emit("response.done", response=resource | {"usage": self._usage()})
        self._session.emit_rate_limits()
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()

    async def _run(self) -> None:
        session = self._session
        outputs = await session.double.answer(session, self._params, beside=self.beside)
        for output in outputs:
            if isinstance(output, Fails | Stops) and output.held:
                await session.double.go_on.wait()
            if isinstance(output, Fails):
                error = {"type": "server_error", "code": output.code, "message": "It failed."}
                return self.end("failed", {"type": "failed", "error": error})
            if isinstance(output, Stops):
                return self.end("incomplete", {"type": "incomplete", "reason": output.reason})
            await self._produce(output)
        return self.end("completed")

    async def _produce(self, output: Output) -> None:
        if isinstance(output, Says):
            await self._say(output)
        elif isinstance(output, CallsTool):
            call = Call(self, output, self._place())
            self._began(call)
            await self._session.double.pause()
            call.pieces()
            self._ended()
        elif isinstance(output, Stalls):
            await asyncio.Event().wait()

    async def _say(self, says: Says) -> None:
        message = Message(self, self._place())
        self._began(message)
        for number, piece in enumerate(says.pieces):
            await self._session.double.held(says, number)
            await self._session.double.pause()
            pcm = b"" if self.text_only else await self._sound(piece)
            message.text(piece)
            for at in range(0, len(pcm), self._session.double.chunk_bytes):
                message.sound(pcm[at : at + self._session.double.chunk_bytes])
                await self._session.double.pause()
        await self._session.double.held(says, len(says.pieces))
        self._ended()

    async def _sound(self, piece: str) -> bytes:
        return await self._session.double.spoken(piece, self._session.output["speed"])

    def _place(self) -> int:
        return len(self._output)

    def _began(self, output: "Message | Call") -> None:
        self._open = output
        self._output.append(output.item)
        output.begin()

    def _ended(self) -> None:
        assert self._open is not None
        self._open.end("completed")
        self._open = None

    def _resource(self, status: str, details: Mapping[str, Any] | None) -> dict[str, Any]:
        output = self._session.output if self._session.config["type"] == "realtime" else {}
        return {
            "object": "realtime.response",
            "id": self.id,
            "status": status,
            "status_details": details,
            "output": [visible(item) for item in self._output],
            "conversation_id": None if self.beside else self._session.conversation_id,
            "output_modalities": ["text"] if self.text_only else ["audio"],
            "max_output_tokens": "inf",
            "audio": {"output": {"format": output.get("format"), "voice": output.get("voice")}},
            "metadata": self._params.get("metadata"),
            "usage": None,
        }

    def _usage(self) -> dict[str, Any]:
        said = " ".join(text_of(item) for item in self._output)
        beside = self._params.get("input")
        items = self._session.conversation.items if beside is None else beside
        asked = [item for item in items if item not in self._output]
        asked_words = words(self._params.get("instructions") or self._session.instructions)
        asked_words += sum(words(text_of(item)) for item in asked)
        asked_ms = sum(item.get("audio_ms", 0) for item in asked)
        return response_usage(asked_words, asked_ms, said, self.spoken_ms)
