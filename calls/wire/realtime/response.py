"""One answer on the wire, from `response.created` to `response.done`."""

import base64
from collections.abc import Callable
from typing import Any

from calls.domain.audio import AGENT
from calls.wire.realtime.asking import Asked
from calls.wire.realtime.items import Entry, Items
from calls.wire.realtime.settings import Settings
from calls.wire.realtime.showing import TEMPERATURE, beta_format, format_object, tokens_shown
from calls.wire.realtime.sound import SoundOut
from calls.wire.realtime.writing import Names, Out

Counted = Callable[[list[Entry]], dict[str, Any]]
"""The usage of an answer that is made of these items."""


class Response:
    """Its items in order: at most one message, and functions called beside it.

    Attributes:
        response_id: the wire's own name.
        answers: the number of the call's answer it is a round of; None: beside the conversation.
        made: nothing more will be made of it.
        sent: all of its sound has been sent.
        calls: of the functions that the client has to answer.
    """

    def __init__(
        self,
        out: Out,
        names: Names,
        items: Items,
        settings: Settings,
        *,
        asked: Asked,
        answers: int | None,
    ) -> None:
        self.response_id = names.next("resp")
        self.answers = answers
        self.asked = asked
        self.made = False
        self.sent = False
        self.calls = 0
        self._out = out
        self._names = names
        self._items = items
        self._settings = settings
        self._output: list[Entry] = []
        self._message: Entry | None = None
        self._said: list[str] = []
        self._sound: SoundOut | None = None
        self._sound_bytes = 0

    def begin(self) -> None:
        self._out.put("response.created", response=self._shown("in_progress"))

    # Being made

    def text(self, text: str) -> None:
        message = self._open_message()
        self._said.append(text)
        kind = "text" if self.asked.text_only else "audio_transcript"
        self._out.put(f"response.output_{kind}.delta", **self._place(message), delta=text)

    def audio(self, pcm: bytes, start_ms: int) -> None:
        """Sound that begins so far into the sound of the call's answer."""
        if self.asked.text_only:
            return
        message = self._open_message()
        if self._sound is None:
            self._sound = SoundOut(self._settings.output_format)
            message.offset_ms = start_ms
        self._sound_bytes += len(pcm)
        message.sound_ms = AGENT.ms_of(self._sound_bytes)
        for piece in self._sound.feed(pcm):
            self._tell_sound(message, piece)

    def call(self, call_id: str, name: str, arguments: str) -> None:
        """A function that the client has to answer; its call comes in one piece."""
        self.calls += 1
        fields = {
            "id": self._items.new_id(),
            "object": "realtime.item",
            "type": "function_call",
            "status": "in_progress",
            "name": name,
            "call_id": call_id,
            "arguments": "",
        }
        entry = Entry(fields, named={"tool_call_id": call_id})
        self._add(entry)
        place = {
            "response_id": self.response_id,
            "item_id": entry.item_id,
            "output_index": len(self._output) - 1,
            "call_id": call_id,
        }
        self._out.put("response.function_call_arguments.delta", **place, delta=arguments)
        named = {"name": name} if self._out.is_ga else {}
        self._out.put(
            "response.function_call_arguments.done", **place, **named, arguments=arguments
        )
        fields |= {"status": "completed", "arguments": arguments}
        entry.fields = fields
        self._complete(entry)

    # Its end

    def finish(
        self,
        status: str,
        usage: Counted,
        *,
        reason: str | None = None,
        error: dict[str, str] | None = None,
    ) -> None:
        """Close what is open, and say how it ended."""
        if self._message is not None:
            self._close(self._message, "completed" if status == "completed" else "incomplete")
        details: dict[str, Any] | None = None
        if status != "completed":
            details = {"type": status}
            details |= {"reason": reason} if reason else {}
            details |= {"error": error} if error else {}
        response = self._shown(status) | {"status_details": details, "usage": usage(self._output)}
        self._out.put("response.done", response=response)

    def _close(self, message: Entry, status: str) -> None:
        said, place = "".join(self._said), self._place(message)
        if self.asked.text_only:
            self._out.put("response.output_text.done", **place, text=said)
            part = {"type": "text", "text": said}
            content = {"type": "output_text", "text": said}
        else:
            if self._sound is not None and (rest := self._sound.flush()):
                self._tell_sound(message, rest)
            self._out.put("response.output_audio.done", **place)
            self._out.put("response.output_audio_transcript.done", **place, transcript=said)
            part = {"type": "audio", "transcript": said}
            content = {"type": "output_audio", "transcript": said}
        self._out.put("response.content_part.done", **place, part=part)
        message.fields |= {"status": status, "content": [content]}
        self._complete(message)

    # Items

    def _open_message(self) -> Entry:
        if self._message is not None:
            return self._message
        fields = {
            "id": self._items.new_id(),
            "object": "realtime.item",
            "type": "message",
            "status": "in_progress",
            "role": "assistant",
            "content": [],
        }
        named = {} if self.answers is None else {"response_id": self.answers}
        self._message = message = Entry(fields, named, response_id=self.answers)
        self._add(message)
        text_only = self.asked.text_only
        part = {"type": "text", "text": ""} if text_only else {"type": "audio", "transcript": ""}
        self._out.put("response.content_part.added", **self._place(message), part=part)
        return message

    def _add(self, entry: Entry) -> None:
        self._output.append(entry)
        self._tell_item("added", entry)
        if self.answers is not None:
            self._items.add(entry, done=False)

    def _complete(self, entry: Entry) -> None:
        if self.answers is not None and entry.item_id in self._items:
            self._items.complete(entry)
        self._tell_item("done", entry)

    def _tell_item(self, what: str, entry: Entry) -> None:
        self._out.put(
            f"response.output_item.{what}",
            response_id=self.response_id,
            output_index=self._output.index(entry),
            item=self._items.shown(entry),
        )

    def _tell_sound(self, message: Entry, sound: bytes) -> None:
        delta = base64.b64encode(sound).decode()
        self._out.put("response.output_audio.delta", **self._place(message), delta=delta)

    def _place(self, message: Entry) -> dict[str, Any]:
        return {
            "response_id": self.response_id,
            "item_id": message.item_id,
            "output_index": self._output.index(message),
            "content_index": 0,
        }

    # As it is shown

    def _shown(self, status: str) -> dict[str, Any]:
        asked = self.asked
        metadata = None if asked.metadata is None else dict(asked.metadata)
        shown: dict[str, Any] = {
            "id": self.response_id,
            "object": "realtime.response",
            "status": status,
            "status_details": None,
            "output": [self._items.shown(entry) for entry in self._output],
            "conversation_id": None if self.answers is None else self._names.conversation,
            "metadata": metadata,
            "usage": None,
        }
        tokens, form = tokens_shown(asked.max_output_tokens), self._settings.output_format
        voice = self._settings.voice
        if self._out.is_ga:
            sound = {"format": format_object(form), "voice": voice}
            modalities = ["text"] if asked.text_only else ["audio"]
            manner = {"output_modalities": modalities, "audio": {"output": sound}}
            return shown | manner | {"max_output_tokens": tokens}
        return shown | {
            "modalities": ["text"] if asked.text_only else ["text", "audio"],
            "voice": voice,
            "output_audio_format": beta_format(form),
            "temperature": TEMPERATURE,
            "max_output_tokens": tokens,
        }
