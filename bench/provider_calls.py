"""The calls' side of `bench.providers`, one measurement in a process of its own.

python -m bench.provider_calls turns elevenlabs http://127.0.0.1:1234
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

from bench.provider_services import EARS, MINDS, PIPELINES, VOICES, Shared, ready
from calls.domain.audio import AGENT, CALLER
from calls.domain.events import ResponseAudio, ResponseDone, TranscriptFinal, VoiceFailed
from calls.domain.items import Item, Role
from calls.ports.speech import Prompt
from calls.ports.voice import VoiceSession

FRAME_MS = 20
FRAME = b"\x10\x00\xf0\xff" * (CALLER.bytes(FRAME_MS) // 4)

TURNS = 52
SPOKEN_FRAMES = 25
FASTER = 10
"""Callers speak so many times faster than callers do."""

CALLS = (1, 20)
LISTEN_S = 1.5
TEXT = "It is a fine day in the middle of the week, and all of the doors are open to all. "
"""About five seconds of sound."""
ANSWERS = 20


class Talk:
    """One call at a voice session, turn by turn."""

    def __init__(self, session: VoiceSession) -> None:
        self.spoken_bytes = 0
        self._session = session
        self._events = session.events()
        self._items: list[Item] = []
        self._turn = 0

    async def speak(self, frames: int, *, pause_s: float) -> None:
        for _ in range(frames):
            await self._session.listen(FRAME)
            await asyncio.sleep(pause_s)

    async def answered(self) -> tuple[float, float, float]:
        """End the caller's turn, and wait for the whole answer.

        Returns:
            When the turn was committed, and when the first sound came: seconds, monotonic. Then
            the processor time from one to the other, in milliseconds.
        """
        self._turn += 1
        committed_s, first_s = time.monotonic(), 0.0
        began_ns = took_ns = time.process_time_ns()
        await self._session.commit()
        async for event in self._events:
            match event:
                case TranscriptFinal(text=text):
                    self._add(Role.USER, text)
                    items = tuple(self._items)
                    await self._session.respond(self._turn, items, tools_allowed=False)
                case ResponseAudio(pcm=pcm):
                    if not first_s:
                        first_s, took_ns = time.monotonic(), time.process_time_ns() - began_ns
                    self.spoken_bytes += len(pcm)
                case ResponseDone():
                    break
                case VoiceFailed(message=message):
                    raise RuntimeError(message)
        self._add(Role.AGENT, "We are open from nine to five.")
        await self._session.settle(self._turn, 60_000)
        return committed_s, first_s, took_ns / 1e6

    def _add(self, role: Role, text: str) -> None:
        number = len(self._items) + 1
        self._items.append(Item(item_id=number, role=role, text=text, turn=self._turn))


async def turns(name: str, origin: str) -> Any:
    """What `Talk.answered` tells of one call's turns, from its beginning on."""
    found = []
    async with PIPELINES[name](origin, Shared()) as session:
        await asyncio.sleep(0.3)  # the caller is greeted meanwhile
        talk = Talk(session)
        for _ in range(TURNS):
            await talk.speak(SPOKEN_FRAMES, pause_s=FRAME_MS / 1000 / FASTER)
            found.append(await talk.answered())
            await asyncio.sleep(0.02)
    return found


# Processor time. Everything gives microseconds, for one call and for many.


async def ears(name: str, origin: str) -> Any:
    return [await _ears(name, origin, calls) for calls in CALLS]


async def _ears(name: str, origin: str, calls: int) -> float:
    """For a second of the caller, its part of the commit and the transcript included."""
    shared = Shared()
    async with AsyncExitStack() as stack:
        used = [EARS[name](origin, shared) for _ in range(calls)]
        for service in used:
            await stack.enter_async_context(service)
            service.warm()
        await _together([_hear(service, 0.3) for service in used])
        bare_us = await _cpu_us([_speak(_nothing, LISTEN_S) for _ in range(calls)])
        us = await _cpu_us([_hear(service, LISTEN_S) for service in used])
    return (us - bare_us) / calls / LISTEN_S


async def _hear(service: Any, seconds: float) -> None:
    async with service.utterance(language="en") as transcriber:
        await _speak(transcriber.feed, seconds)
        await transcriber.finish()


async def _speak(feed: Callable[[bytes], Awaitable[None]], seconds: float) -> None:
    loop = asyncio.get_running_loop()
    due_s = loop.time()
    for _ in range(round(seconds * 1000 / FRAME_MS)):
        await feed(FRAME)
        due_s += FRAME_MS / 1000
        await asyncio.sleep(max(0, due_s - loop.time()))


async def _nothing(_pcm: bytes) -> None:
    pass


async def voices(name: str, origin: str) -> Any:
    return [await _voices(name, origin, calls) for calls in CALLS]


async def _voices(name: str, origin: str, calls: int) -> float:
    """For a second of the agent."""
    shared, pieces = Shared(), 4 if calls == 1 else 1
    spoken: list[int] = []
    async with AsyncExitStack() as stack:
        used = [VOICES[name](origin, shared) for _ in range(calls)]
        for service in used:
            await stack.enter_async_context(service)
            service.warm()
        await _together([_say(service, 1, []) for service in used])
        us = await _cpu_us([_say(service, pieces, spoken) for service in used])
    return us / (AGENT.ms_of(sum(spoken)) / 1000)


async def _say(service: Any, pieces: int, spoken: list[int]) -> None:
    for _ in range(pieces):
        async with service.speak(TEXT, language="en", voice="", speed=1.0) as chunks:
            spoken.extend([len(chunk.pcm) async for chunk in chunks])


async def minds(name: str, origin: str) -> Any:
    return [await _minds(name, origin, calls) for calls in CALLS]


async def _minds(name: str, origin: str, calls: int) -> float:
    """For an answer of one sentence."""
    shared, each = Shared(), ANSWERS if calls == 1 else 2
    used = [MINDS[name](origin, shared) for _ in range(calls)]
    await _together([_answer(service, 1) for service in used])
    return await _cpu_us([_answer(service, each) for service in used]) / calls / each


async def _answer(service: Any, times: int) -> None:
    asked = Item(item_id=1, role=Role.USER, text="What are your opening hours?", turn=1)
    for _ in range(times):
        async with service.answer(Prompt("Be kind.", (asked,), (), "en")) as parts:
            _ = [part async for part in parts]


async def session(name: str, origin: str) -> Any:
    """For a second of the caller and for one of the agent, in turn."""
    figures = [await _session(name, origin, calls) for calls in CALLS]
    return [list(column) for column in zip(*figures, strict=True)]


async def _session(name: str, origin: str, calls: int) -> tuple[float, float]:
    shared = Shared()
    async with AsyncExitStack() as stack:
        made = [PIPELINES[name](origin, shared) for _ in range(calls)]
        talks = [Talk(await stack.enter_async_context(one)) for one in made]
        await _together([talk.speak(SPOKEN_FRAMES, pause_s=0.002) for talk in talks])
        await _together([talk.answered() for talk in talks])
        frames = round(LISTEN_S * 1000 / FRAME_MS)
        bare_us = await _cpu_us([_speak(_nothing, LISTEN_S) for _ in range(calls)])
        heard_us = await _cpu_us([_speak(one.listen, LISTEN_S) for one in made])
        before = sum(talk.spoken_bytes for talk in talks)
        said_us = await _cpu_us([talk.answered() for talk in talks])
        spoken_s = AGENT.ms_of(sum(talk.spoken_bytes for talk in talks) - before) / 1000
    return (heard_us - bare_us) / calls / (frames * FRAME_MS / 1000), said_us / spoken_s


async def _together(work: Sequence[Awaitable[Any]]) -> None:
    await asyncio.gather(*work)


async def _cpu_us(work: Sequence[Awaitable[Any]]) -> float:
    began = time.process_time_ns()
    await _together(work)
    return (time.process_time_ns() - began) / 1000


MEASURES: dict[str, Callable[[str, str], Awaitable[Any]]] = {
    "turns": turns,
    "ears": ears,
    "voices": voices,
    "minds": minds,
    "session": session,
}


async def main() -> None:
    _, measure, name, origin = sys.argv
    await ready(origin)
    print(json.dumps(await MEASURES[measure](name, origin)))


if __name__ == "__main__":
    asyncio.run(main())
