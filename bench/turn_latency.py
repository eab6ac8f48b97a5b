"""From the end of the caller's speech to the first sound of the answer, turn by turn.

A client streams a recorded sentence at the pace of speech to the real server process and stamps
its last spoken sample and the first binary frame that comes back. The server's own stages stand
beside it. Two agents: one whose services take no time, which leaves the framework's share, and
the embedded default.

    python -m bench.turn_latency                100 turns of each
    python -m bench.turn_latency --turns 20 --agent demo
"""

import argparse
import asyncio
import json
import statistics
import struct
import tempfile
import time
import wave
from dataclasses import dataclass, field
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect

from tests.servers import ROOT, Installation, RealServer

FRAME_MS = 20
RATE_HZ = 16_000
FRAME_SAMPLES = RATE_HZ * FRAME_MS // 1000
QUIET = 300
"""Samples below this are not speech; the recordings are clean."""

ANSWER_WITHIN_S = 15
REPORT_S = 0.2
APART_S = 0.73
STAGES = ("endpointing", "stt", "llm", "tts", "playout")


@dataclass
class Turns:
    """What was measured; milliseconds."""

    heard_ms: list[float] = field(default_factory=list)
    stages: dict[str, list[int]] = field(default_factory=dict)
    missed: int = 0

    def add_stages(self, stages: dict[str, int]) -> None:
        for name in STAGES:
            self.stages.setdefault(name, []).append(stages[name])
        beyond = sum(stages[name] for name in STAGES[1:])
        self.stages.setdefault("beyond endpointing", []).append(beyond)


class Caller:
    """One call: says the sentence, waits for the answer, lets it end, and says it again."""

    def __init__(self, socket: ClientConnection, speech: bytes, results: Turns) -> None:
        self._socket = socket
        self._speech = speech
        self._results = results
        self._position = 0
        self._sound = b""
        self._ended_s: float | None = None
        self._answered = asyncio.Event()
        self._listening = asyncio.Event()
        self._heard: tuple[int, int] | None = None
        self._staged: set[object] = set()

    async def run(self, turns: int) -> None:
        async with asyncio.TaskGroup() as group:
            work = (self._microphone(), self._hear(), self._report())
            tasks = [group.create_task(part) for part in work]
            for _ in range(turns):
                await self._turn()
            for task in tasks:
                task.cancel()

    async def _turn(self) -> None:
        await self._listening.wait()
        await asyncio.sleep(0.4)
        self._answered.clear()
        self._ended_s = None
        self._sound = self._speech
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                await self._answered.wait()
        except TimeoutError:
            self._results.missed += 1
        self._listening.clear()

    async def _microphone(self) -> None:
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        while True:
            frame, self._sound = (
                self._sound[: FRAME_SAMPLES * 2],
                self._sound[FRAME_SAMPLES * 2 :],
            )
            await self._socket.send(
                struct.pack("<I", self._position) + frame.ljust(FRAME_SAMPLES * 2, b"\0")
            )
            self._position += FRAME_SAMPLES
            if frame and not self._sound:
                self._ended_s = time.monotonic()
            due_s += FRAME_MS / 1000
            await asyncio.sleep(max(0, due_s - loop.time()))

    async def _hear(self) -> None:
        async for message in self._socket:
            if isinstance(message, bytes):
                self._take_sound(message)
            else:
                self._take(json.loads(message))

    def _take_sound(self, frame: bytes) -> None:
        now_s = time.monotonic()
        if self._ended_s is not None and not self._answered.is_set():
            self._results.heard_ms.append((now_s - self._ended_s) * 1000)
            self._answered.set()
        response_id, start_ms = struct.unpack_from("<II", frame)
        heard_ms = start_ms + (len(frame) - 8) // 48
        self._heard = response_id, heard_ms

    async def _report(self) -> None:
        """Say that all there is was heard: what follows the first sound is not measured."""
        told = None
        while True:
            await asyncio.sleep(REPORT_S)
            if self._heard is not None and self._heard != told:
                told = self._heard
                await self._say(
                    type="played", response_id=told[0], played_ms=told[1], buffered_ms=0
                )

    def _take(self, message: dict[str, object]) -> None:
        if message["type"] == "phase":
            if message["phase"] == "listening":
                self._listening.set()
            else:
                self._listening.clear()
        elif message["type"] == "turn" and message["stages"] and self._answered.is_set():
            stages = message["stages"]
            assert isinstance(stages, dict)
            if message["turn"] not in self._staged:
                self._staged.add(message["turn"])
                self._results.add_stages(stages)

    async def _say(self, **message: object) -> None:
        await self._socket.send(json.dumps(message))


def _sentence(file: Path) -> bytes:
    """The recording without the silence around the words."""
    with wave.open(str(file)) as recording:
        pcm = recording.readframes(recording.getnframes())
    samples = struct.unpack(f"<{len(pcm) // 2}h", pcm)
    loud = [at for at, sample in enumerate(samples) if abs(sample) > QUIET]
    return pcm[loud[0] * 2 : loud[-1] * 2 + 2]


async def _measure(server: RealServer, agent: str, speech: bytes, turns: int, calls: int) -> Turns:
    results = Turns()
    start = {
        "type": "start",
        "v": 1,
        "microphone": {"rate_hz": RATE_HZ},
        "capabilities": ["playback"],
    }

    async def call(number: int) -> None:
        # Out of step, or the calls would measure each other.
        await asyncio.sleep(number * APART_S)
        address = f"{server.ws_url}/ws/call/{agent}/"
        async with connect(address, origin=server.url) as socket:  # type: ignore[arg-type]
            await socket.send(json.dumps(start))
            await Caller(socket, speech, results).run(turns // calls)

    async with asyncio.TaskGroup() as group:
        for number in range(calls):
            group.create_task(call(number))
    return results


def _print(agent: str, results: Turns) -> None:
    print(f"\n{agent}: {len(results.heard_ms)} turns answered, {results.missed} not")
    print(f"  {'milliseconds':34} {'p50':>8} {'p90':>8} {'p99':>8} {'max':>8}")
    rows: dict[str, list[float]] = {"end of speech to first sound": results.heard_ms}
    rows |= {name: [float(v) for v in values] for name, values in results.stages.items()}
    for name, values in rows.items():
        if not values:
            continue
        cuts = statistics.quantiles(values, n=100, method="inclusive")
        print(f"  {name:34} {cuts[49]:8.1f} {cuts[89]:8.1f} {cuts[98]:8.1f} {max(values):8.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=100)
    parser.add_argument("--agent", choices=["instant", "demo"], nargs="+")
    parser.add_argument("--speech", type=Path, help="a 16 kHz mono WAV with one sentence")
    options = parser.parse_args()
    speech = _sentence(options.speech or ROOT / "tests" / "fixtures" / "callers" / "hours.wav")
    with tempfile.TemporaryDirectory(prefix="bench-") as place:
        template = Path(place) / "installation"
        template.mkdir()
        installation = Installation.made_in(template)
        settings = {"DJANGO_SETTINGS_MODULE": "bench.settings"}
        server = installation.start(Path(place) / "var", settings)
        try:
            for agent in options.agent or ["instant", "demo"]:
                calls = 4 if agent == "instant" else 1
                results = asyncio.run(_measure(server, agent, speech, options.turns, calls))
                _print(agent, results)
        finally:
            server.kill()


if __name__ == "__main__":
    main()
