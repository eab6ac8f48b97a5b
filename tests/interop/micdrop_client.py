"""micdrop's clients, written from the description of its protocol alone.

They keep the state that the real ones show (listening, processing, speaking), send what a browser's
recorder or microphone would, and can play all that they get.
"""

import asyncio
import io
import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import av
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.interop.calls import Seen, pieces, speech
from tests.providers.recorder import recorded

CAMEL = {"StartSpeaking": "startSpeaking", "StopSpeaking": "stopSpeaking", "Mute": "mute"}
PCM_HZ = 16_000
PCM_FRAME_BYTES = 3_250
RECORDER = {"1.0": (8_600, 0.540), "1": (1_954, 0.120)}
"""Bytes and seconds of a recorder's pieces."""

END_EVENT_S = {"1.0": 2.0, "1": 2.0, "2": 0.0}
"""How long a client takes to tell its application of the end."""


def comes_back(close_code: int) -> bool:
    """Whether a client of 2 or later connects again after this code; it does so for ever."""
    if 1001 <= close_code <= 1011:
        return close_code != 1005
    return 4000 <= close_code <= 4999 and close_code not in (4400, 4401, 4404)


class MicdropClient:
    """One call.

    Args:
        url: of the call, with its query.
        generation: "1.0", "1" or "2".
        container: what its recorder makes: `webm`, `ogg` or `mp4`.
        recorder: a client of 2.0: a recorder, although sound comes as PCM.
        params: sent first, if there are any.
    """

    def __init__(
        self,
        url: str,
        generation: str,
        *,
        container: str = "webm",
        recorder: bool = False,
        params: dict[str, Any] | None = None,
    ) -> None:
        self.url = url
        self.generation = generation
        self.container = container
        self.records = recorder or generation != "2"
        self.params = params
        self.processing = True
        self.speaking = False
        self.paused = False
        self.streaming = False
        self.ended = False
        self.conversation: list[dict[str, Any]] = []
        self.tool_calls: list[dict[str, Any]] = []
        self.partials: list[str] = []
        self.frames: list[str | bytes] = []
        """Everything that came, in order."""
        self.faults: list[str] = []
        """What a real client would have stumbled over."""
        self.heard_ms = 0.0
        self.close_code: int | None = None
        self._stream = bytearray()
        self._plays_until_s = 0.0
        self._moved = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._socket: ClientConnection | None = None

    async def __aenter__(self) -> "MicdropClient":
        self._socket = await connect(self.url, max_queue=None)
        if self.params is not None:
            await self._socket.send(json.dumps(self.params, separators=(",", ":")))
        self._tasks = [asyncio.get_running_loop().create_task(self._read())]
        return self

    async def __aexit__(self, *exc: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.stop()

    # What the caller does

    async def speaks(self, name: str) -> None:
        """Say an utterance, with a little silence around it, as the client's detector would cut it."""
        await self.starts()
        pcm = bytes(PCM_HZ // 5) + speech(name) + bytes(PCM_HZ)
        if self.records:
            await self._record(pcm)
        else:
            await self._send_pcm(pcm)

    async def starts(self) -> None:
        """Speech is confirmed: the loudspeaker falls silent at the same moment."""
        self.speaking, self.processing = True, False
        self._plays_until_s = 0.0
        await self.command("StartSpeaking")

    async def stops(self) -> None:
        """Speech is over, and the client waits for an answer."""
        self.speaking, self.processing = False, True
        await self.command("StopSpeaking")

    async def pauses(self) -> None:
        """The button for a pause. Clients of 2 end their turn first, those of 1 drop it."""
        if self.speaking and self.generation == "2":
            await self.stops()
        self.paused, self.speaking, self.processing = True, False, False
        self._plays_until_s = 0.0
        await self.command("Mute")

    async def resumes(self) -> None:
        self.paused = False

    async def command(self, name: str) -> None:
        await self.says(CAMEL[name] if self.generation == "1.0" else name)

    async def says(self, frame: str | bytes) -> None:
        """Send a frame as it is."""
        assert self._socket is not None
        with suppress(ConnectionClosed):
            await self._socket.send(frame)

    async def stop(self) -> None:
        """End the call: the socket is closed without a code."""
        if self._socket is not None:
            await self._socket.close()

    async def _record(self, pcm: bytes) -> None:
        size, every_s = RECORDER.get(self.generation, RECORDER["1"])
        *most, last = pieces(recorded(pcm, self.container), size)
        await self._at_pace(most, every_s)
        if self.generation == "1.0":
            await self.says(last)
            await self.stops()
        else:
            # The recorder gives its last piece when the turn is over for everyone else.
            await self.stops()
            await self.says(last)

    async def _send_pcm(self, pcm: bytes) -> None:
        frames = [frame for frame in pieces(pcm, PCM_FRAME_BYTES) if len(frame) == PCM_FRAME_BYTES]
        for frame in frames[:2]:  # what was kept while the detector was not sure
            await self.says(frame)
        await self._at_pace(frames[2:], PCM_FRAME_BYTES / 2 / PCM_HZ)
        await self.stops()

    async def _at_pace(self, frames: list[bytes], every_s: float) -> None:
        began_s = time.monotonic()
        for number, frame in enumerate(frames, 1):
            await asyncio.sleep(max(0, began_s + number * every_s - time.monotonic()))
            await self.says(frame)

    # What the caller gets

    @property
    def playing(self) -> bool:
        return time.monotonic() < self._plays_until_s

    @property
    def listening(self) -> bool:
        """What the client shows when it is the caller's turn."""
        return not (self.processing or self.speaking or self.paused or self.playing)

    async def hears_out(self, timeout_s: float = 25) -> None:
        """Wait until the client listens, and the agent has said all it had to say."""
        await self.until(lambda: self.listening, timeout_s)
        await asyncio.sleep(0.3)
        await self.until(lambda: self.listening, timeout_s)

    async def until(self, condition: Callable[[], bool], timeout_s: float = 15) -> None:
        """Wait for something to come true, and no longer than the call goes on."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not condition() and self.close_code is None:
                    self._moved.clear()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(0.05):
                            await self._moved.wait()
        last = [f if isinstance(f, str) else len(f) for f in self.frames][-12:]
        state = f"processing {self.processing}, speaking {self.speaking}, playing {self.playing}"
        assert condition(), f"waited in vain; closed: {self.close_code}, {state}, last: {last}"

    async def closed(self, timeout_s: float = 15) -> int:
        """Wait until the server closes the socket; the code."""
        await self.until(lambda: self.close_code is not None, timeout_s)
        assert self.close_code is not None
        return self.close_code

    def of(self, role: str) -> list[str]:
        """What was told of this role, in order."""
        return [entry["content"] for entry in self.conversation if entry["role"] == role]

    def names(self) -> list[str]:
        """The names of all commands that came, in order; sound is `sound`."""
        return [f.partition(" ")[0] if isinstance(f, str) else "sound" for f in self.frames]

    def seen(self) -> Seen:
        """The call as this client knows it."""
        greeting, *agent = self.of("assistant")
        tools = None
        if self.generation == "2":
            calls = [entry for entry in self.conversation if entry["role"] == "tool_call"]
            tools = [(call["toolName"], json.loads(call["parameters"])) for call in calls]
        return Seen(greeting=greeting, user=self.of("user"), agent=agent, tools=tools)

    # What comes

    async def _read(self) -> None:
        assert self._socket is not None
        try:
            async for frame in self._socket:
                self.frames.append(frame)
                self._take(frame)
                self._moved.set()
        except ConnectionClosed:
            pass
        self.close_code = self._socket.close_code
        self._moved.set()

    def _take(self, frame: str | bytes) -> None:
        if isinstance(frame, bytes):
            self._play(frame)
            return
        name, _, payload = frame.partition(" ")
        camel = name[0].islower()
        if camel is not (self.generation == "1.0"):
            return  # a name that this client does not know
        known = name[0].upper() + name[1:]
        handle = getattr(self, f"_on_{_snake(known)}", None)
        if handle is not None:
            handle(payload)

    def _on_user_message(self, payload: str) -> None:
        self.conversation.append({"role": "user", "content": payload})

    def _on_assistant_message(self, payload: str) -> None:
        self.conversation.append({"role": "assistant", "content": payload})

    def _on_message(self, payload: str) -> None:
        self.conversation.append(json.loads(payload))

    def _on_tool_call(self, payload: str) -> None:
        self.tool_calls.append(json.loads(payload))

    def _on_partial_assistant_message(self, payload: str) -> None:
        self.partials.append(json.loads(payload))

    def _on_enable_speaker_streaming(self, _payload: str) -> None:
        if self.streaming:
            self.faults.append("streaming was enabled twice")
        self.streaming = True

    def _on_cancel_last_assistant_message(self, _payload: str) -> None:
        if self.conversation and self.conversation[-1]["role"] == "assistant":
            self.conversation.pop()
        else:
            self.faults.append("there was no answer to take back")

    def _on_cancel_last_user_message(self, _payload: str) -> None:
        self.processing = False
        at = len(self.conversation) - 1
        if self.generation == "2":
            while at >= 0 and self.conversation[at]["role"] != "user":
                at -= 1
        if at < 0 or self.conversation[at]["role"] != "user":
            self.faults.append("there were no words to take back")
        else:
            del self.conversation[at]

    def _on_skip_answer(self, _payload: str) -> None:
        self.processing = False

    def _on_end_call(self, _payload: str) -> None:
        self.ended = True
        loop = asyncio.get_running_loop()
        self._tasks.append(loop.create_task(self._stop_after(END_EVENT_S[self.generation])))

    _on_end_interview = _on_end_call

    async def _stop_after(self, wait_s: float) -> None:
        """What applications do: the call is over, once its last words were heard."""
        await asyncio.sleep(wait_s)
        await self.stop()

    # Sound

    def _play(self, sound: bytes) -> None:
        self.processing = False
        if self.generation == "2":
            if len(sound) % 2:
                self.faults.append("PCM of an odd size")
            length_ms = len(sound) / 2 / PCM_HZ * 1_000
            if self.paused or self.speaking:
                return
        else:
            length_ms = self._decoded_ms(sound)
        self.heard_ms += length_ms
        now_s = time.monotonic()
        # A client of 1.0 plays an answer at once, over whatever it plays already.
        if self.generation == "1.0" and now_s < self._plays_until_s:
            self.faults.append("an answer over another")
        self._plays_until_s = max(now_s, self._plays_until_s) + length_ms / 1_000

    def _decoded_ms(self, sound: bytes) -> float:
        if self.streaming:
            before = _mp3_ms(bytes(self._stream)) if self._stream else 0.0
            self._stream += sound
            return _mp3_ms(bytes(self._stream)) - before
        try:
            return _mp3_ms(sound)
        except av.FFmpegError:
            self.faults.append("a file that cannot be decoded")
            return 0.0


def _mp3_ms(data: bytes) -> float:
    with av.open(io.BytesIO(data), format="mp3") as container:
        stream = container.streams.audio[0]
        samples = sum(frame.samples for frame in container.decode(stream))
        return samples / stream.rate * 1_000


def _snake(name: str) -> str:
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in name).lstrip("_")
