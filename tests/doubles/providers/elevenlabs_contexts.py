"""The sockets of ElevenLabs' text to speech, with all of their rules."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from aiohttp import WSMsgType

from tests.doubles.providers.base import EndedEarlyError, Stream

MOST_CONTEXTS = 5
SCHEDULE = (120, 160, 250, 290)
TRIGGER_CHARS = 50
CHUNK_CHARS = 7
"""Characters in a message with sound; cuts words."""

_SNAKE = {
    "contextId": "context_id",
    "isFinal": "is_final",
    "normalizedAlignment": "normalized_alignment",
    "charStartTimesMs": "char_start_times_ms",
    "charDurationsMs": "char_durations_ms",
}
_PLURAL = {"charDurationsMs": "charsDurationsMs"}
_NAMES: Mapping[str, Mapping[str, str]] = {"camel": {}, "snake": _SNAKE, "plural": _PLURAL}

Alignment = Literal["relative", "absolute", "null", "missing", "restarting", "wrong"]


@dataclass(kw_only=True)
class VoiceRules:
    """How the sockets behave where the service is not the same every day.

    Attributes:
        alignment: times count from the chunk, or from the beginning of the context; are null on
            every second chunk; are never there; begin again with every chunk (but not the
            normalized ones); or belong to another text.
        spelling: of names; "plural" is the one with `charsDurationsMs`.
        spelled: what normalization makes of a character.
        inactivity_s: replaces what the client asks for; None: as it asks.
        late_audio: sound of a context comes even after its end.
        no_final: the end of a context is never told.
        deaf: the socket opens, and nothing is ever read from it.
        gate: while it is cleared no sound is sent.
    """

    ms_per_char: int = 60
    alignment: Alignment = "relative"
    spelling: str = "camel"
    spelled: Mapping[str, str] = field(default_factory=dict)
    inactivity_s: float | None = None
    late_audio: bool = False
    no_final: bool = False
    deaf: bool = False
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    def tells(self, number: int) -> bool:
        """Whether the chunk of that number says where its characters are."""
        return self.alignment != "missing" and not (self.alignment == "null" and number % 2)


class Sound(Protocol):
    def __call__(self, text: str, *, speed: float) -> Awaitable[bytes]: ...


class RuleBrokenError(Exception):
    """The client did what the service answers with 1008."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Context:
    """One context: text that waits, and what was made of it."""

    def __init__(self, context_id: str, config: Mapping[str, Any], speed: float) -> None:
        self.context_id = context_id
        self.schedule = tuple(config.get("chunk_length_schedule", SCHEDULE))
        self.speed = speed
        self.waiting = ""
        self.pieces: asyncio.Queue[str | None] = asyncio.Queue()
        self.made = 0
        self.chunks = 0
        self.sent_ms = 0.0
        self.so_far = ""

    def take(self, text: str, *, auto: bool, flush: bool, trigger: bool) -> None:
        """Take text, which is said as it comes: what ends without a space runs into the next."""
        self.waiting += text
        due = self.schedule[min(self.made, len(self.schedule) - 1)]
        if (
            flush
            or (auto and self.waiting.rstrip().endswith((".", "!", "?", "…")))
            or (trigger and len(self.waiting) >= TRIGGER_CHARS)
            or (not auto and len(self.waiting) >= due)
        ):
            self.speak()

    def speak(self) -> None:
        """What waits is said now."""
        text, self.waiting = self.waiting.lstrip(), ""
        if text:
            self.made += 1
            self.pieces.put_nowait(text)


class ContextSocket:
    """One socket. `many`: with contexts by name, else with a single one.

    Attributes:
        opened, closed: ids of contexts, in order; closed once their end was told.
        most_open: at any one time.
        texts: what was said, by context.
        keep_alives: so many messages that said nothing.
    """

    def __init__(self, stream: Stream, rules: VoiceRules, sound: Sound, *, many: bool) -> None:
        self.stream = stream
        self.opened: list[str] = []
        self.closed: list[str] = []
        self.most_open = 0
        self.texts: dict[str, str] = {}
        self.keep_alives = 0
        self._rules = rules
        self._sound = sound
        self._many = many
        self._contexts: dict[str, Context] = {}
        self._touched: set[str] = set()
        self._ends = False
        self._group = asyncio.TaskGroup()

    @property
    def open(self) -> int:
        return len(self._contexts)

    async def run(self, objection: str) -> None:
        """Serve it to its end.

        Raises:
            EndedEarlyError: a fault has struck.
        """
        self.stream.asked.body = []
        struck = False
        try:
            async with self._group:
                await self._serve(objection)
        except* EndedEarlyError:
            struck = True
        if struck:
            raise EndedEarlyError

    async def _serve(self, objection: str) -> None:
        try:
            if objection:
                await self._close(objection)
            else:
                await self._listen()
        except RuleBrokenError as broken:
            await self._close(broken.code)
        for task in tuple(self._group._tasks):
            task.cancel()

    async def _listen(self) -> None:
        assert self.stream.socket is not None
        query = self.stream.request.query
        idle_s = self._rules.inactivity_s or float(query.get("inactivity_timeout", 20))
        while True:
            try:
                async with asyncio.timeout(None if self._ends else idle_s):
                    message = await self.stream.socket.receive()
            except TimeoutError:
                raise RuleBrokenError("input_timeout_exceeded") from None
            if message.type is not WSMsgType.TEXT:
                self.stream.asked.close_code = self.stream.socket.close_code
                return
            said = json.loads(message.data)
            self.stream.asked.body.append(said)
            self._take(said)

    def _take(self, said: Mapping[str, Any]) -> None:
        if said.get("close_socket"):
            self._ends = True
            for context in tuple(self._contexts.values()):
                self._end(context)
            return
        context_id = (said.get("context_id") or "") if self._many else ""
        context = self._contexts.get(context_id)
        text = said.get("text") or ""
        if context is None:
            self._first(context_id, text, said)
            return
        if "voice_settings" in said or "generation_config" in said:
            raise RuleBrokenError("invalid_request")
        if said.get("close_context") or (not self._many and said.get("text") == ""):
            self._end(context)
        elif text or said.get("flush"):
            self._feed(context, text, said)
        else:
            self.keep_alives += 1

    def _first(self, context_id: str, text: str, said: Mapping[str, Any]) -> None:
        """A message for a context that is not open."""
        if not text:
            # Keeps the socket alive and opens nothing, but is that context's first message.
            self.keep_alives += not said.get("close_context")
            if context_id:
                self._touched.add(context_id)
            return
        if context_id in self._touched and "voice_settings" in said:
            raise RuleBrokenError("invalid_request")
        if len(self._contexts) >= MOST_CONTEXTS:
            raise RuleBrokenError("max_active_conversations")
        config, settings = said.get("generation_config") or {}, said.get("voice_settings") or {}
        if not all(50 <= chars <= 500 for chars in config.get("chunk_length_schedule", ())):
            raise RuleBrokenError("invalid_request")
        if not 0.7 <= settings.get("speed", 1.0) <= 1.2:
            raise RuleBrokenError("invalid_request")
        context = Context(context_id, config, settings.get("speed", 1.0))
        self._contexts[context_id] = context
        self._touched.add(context_id)
        self.opened.append(context_id)
        self.texts[context_id] = ""
        self.most_open = max(self.most_open, len(self._contexts))
        self._group.create_task(self._speak(context))
        self._feed(context, text, said)

    def _feed(self, context: Context, text: str, said: Mapping[str, Any]) -> None:
        auto = self.stream.request.query.get("auto_mode") == "true"
        flush, trigger = bool(said.get("flush")), bool(said.get("try_trigger_generation"))
        context.take(text, auto=auto, flush=flush, trigger=trigger)

    def _end(self, context: Context) -> None:
        """What waits is still said, then the end is told."""
        context.speak()
        context.pieces.put_nowait(None)

    async def _speak(self, context: Context) -> None:
        while (text := await context.pieces.get()) is not None:
            self.texts[context.context_id] += text
            pcm = await self._sound(text, speed=context.speed)
            for message in self._messages(context, text, pcm):
                await self._rules.gate.wait()
                await self._send(message)
        if self._rules.no_final:
            return
        del self._contexts[context.context_id]
        self.closed.append(context.context_id)
        named = {"contextId": context.context_id} if self._many else {}
        await self._send({"audio": None, "isFinal": True, **named})
        if self._rules.late_audio:
            await self._send({"audio": base64.b64encode(b"\x01\x02" * 480).decode(), **named})
        if not self._many or (self._ends and not self._contexts):
            assert self.stream.socket is not None
            await self.stream.socket.close()

    def _messages(self, context: Context, text: str, pcm: bytes) -> Iterator[Mapping[str, Any]]:
        for begin in range(0, len(text), CHUNK_CHARS):
            part = text[begin : begin + CHUNK_CHARS]
            end = begin + len(part)
            sound = pcm[cut(pcm, begin, len(text)) : cut(pcm, end, len(text))]
            part_ms = len(pcm) / 48 * len(part) / len(text)
            plain, normal = self._aligned(context, part, part_ms)
            message: dict[str, Any] = {"audio": base64.b64encode(sound).decode(), "isFinal": None}
            if self._rules.alignment != "missing":
                message |= {"alignment": plain, "normalizedAlignment": normal}
            if self._many:
                message["contextId"] = context.context_id
            yield message
            context.chunks += 1
            context.sent_ms += part_ms
            context.so_far += part

    def _aligned(self, context: Context, part: str, part_ms: float) -> tuple[Any, Any]:
        """Where the characters of a chunk are: as they were given, and as they were spelled out."""
        if not self._rules.tells(context.chunks):
            return None, None
        style, char_ms = self._rules.alignment, part_ms / len(part)
        begin_ms = 0 if style == "relative" else context.sent_ms
        spaced = [" "] if not context.chunks else []
        normal = _times(
            spaced + [self._rules.spelled.get(char, char) for char in part],
            [0.0] * len(spaced) + [char_ms] * len(part),
            begin_ms,
        )
        if style == "restarting":
            given = context.so_far + part
            return _times(list(given), [char_ms] * len(given), 0), normal
        if style == "wrong":
            wrong = _times(list("x" * len(part)), [char_ms] * len(part), begin_ms)
            return wrong, wrong
        return _times(list(part), [char_ms] * len(part), begin_ms), normal

    async def _send(self, message: Mapping[str, Any]) -> None:
        await self.stream.send(_respelled(message, _NAMES[self._rules.spelling]))

    async def _close(self, code: str) -> None:
        socket = self.stream.socket
        assert socket is not None
        await self._send(
            {"message": f"The server's words about {code}.", "error": code, "code": 1008}
        )
        await socket.close(code=1008, message=code.encode())


def _times(units: list[str], unit_ms: list[float], begin_ms: float) -> dict[str, Any]:
    """An alignment; what was spelled out shares the time of its character."""
    chars, starts, durations, at_ms = [], [], [], begin_ms
    for unit, ms in zip(units, unit_ms, strict=True):
        for char in unit:
            chars.append(char)
            starts.append(round(at_ms))
            durations.append(round(at_ms + ms / len(unit)) - round(at_ms))
            at_ms += ms / len(unit)
    return {"chars": chars, "charStartTimesMs": starts, "charDurationsMs": durations}


def _respelled(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {names.get(name, name): _respelled(inner, names) for name, inner in value.items()}
    return value


def cut(pcm: bytes, chars: int, of_chars: int) -> int:
    """Where the sound of so many characters ends: odd, but for the last."""
    if chars in (0, of_chars):
        return len(pcm) * chars // of_chars
    return len(pcm) * chars // of_chars // 2 * 2 + 1
