"""What a frame of microphone sound costs: CPU microseconds per call per 20 ms.

Our real server process beside two bare Channels consumers that echo, all on Daphne, in one run:
a fresh process for every measurement, the contestants in turn, the processor time of the whole
server process by the kernel's account. The server has one core, the generator another.

    python -m bench.frames                      1, 10, 50 and 100 calls, three rounds
    python -m bench.frames --calls 100 --rounds 5
"""

import argparse
import asyncio
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.load import FRAME_MS, Load, cpu_ns, sound_frames
from tests.needs import machine_environment
from tests.servers import ROOT, Installation

WARM_S = 2
WINDOW_S = 5
SPEECH = ROOT / "tests" / "fixtures" / "audio"

_AGENT = """
from calls.models import Agent
Agent.objects.create(slug="bench{name}", name="Bench", first_message_mode="none", idle_ms=0,
    endpoint_silence_ms=5000, max_turn_ms=300000, recorded={record}, summarized=False)
"""


@dataclass(frozen=True)
class Contestant:
    name: str
    start: Callable[["Bench"], tuple[int, int, Callable[[], None]]]
    """Returns port, process id, and how to end it."""
    path: str
    openings: tuple[dict[str, object], ...]


def _start(turns: str) -> dict[str, object]:
    microphone = {"rate_hz": 16_000}
    return {"type": "start", "v": 1, "microphone": microphone, "turns": turns}


def _ours(bench: "Bench") -> tuple[int, int, Callable[[], None]]:
    place = Path(tempfile.mkdtemp(dir=bench.place))
    server = bench.installation.start(place / "var", {"LOG_LEVEL": "WARNING"})
    os.sched_setaffinity(server.process.pid, {0})
    return server.port, server.process.pid, server.kill


def _echo(kind: str) -> Callable[["Bench"], tuple[int, int, Callable[[], None]]]:
    def start(_bench: "Bench") -> tuple[int, int, Callable[[], None]]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [sys.executable, "-m", "bench.echo_servers", kind, str(port)]
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert process.stdout is not None
        process.stdout.readline()
        os.sched_setaffinity(process.pid, {0})

        def end() -> None:
            process.kill()
            process.wait()

        return port, process.pid, end

    return start


_PRESSED: dict[str, object] = {"type": "talk", "pressed": True}

CONTESTANTS = (
    Contestant("stock Channels echo", _echo("stock"), "/", ()),
    Contestant("lean own-loop echo", _echo("lean"), "/", ()),
    Contestant(
        "call, button held: no detection",
        _ours,
        "/ws/call/benchplain/",
        (_start("push_to_talk"), _PRESSED),
    ),
    Contestant("call, detection", _ours, "/ws/call/benchplain/", (_start("auto"),)),
    Contestant("call, detection, recorded", _ours, "/ws/call/benchrecorded/", (_start("auto"),)),
)


class Bench:
    def __init__(self, place: Path) -> None:
        self.place = place
        template = place / "installation"
        template.mkdir()
        self.installation = Installation.made_in(template)
        for name, record in (("plain", False), ("recorded", True)):
            self._make_agent(template, _AGENT.format(name=name, record=record))
        self.speech = _speech()

    def measure(self, who: Contestant, calls: int) -> float:
        """CPU µs of the server per call per 20 ms of sound."""
        port, pid, end = who.start(self)
        try:
            return asyncio.run(self._run(who, port, pid, calls))
        finally:
            end()

    async def _run(self, who: Contestant, port: int, pid: int, calls: int) -> float:
        load = Load(port, who.path, calls)
        await load.connect(*who.openings)
        positioned = bool(who.openings)
        per_second = 1000 // FRAME_MS
        frames = sound_frames(self.speech, (WARM_S + WINDOW_S) * per_second, positioned=positioned)
        await load.stream(frames[: WARM_S * per_second])
        before_ns, began_s = cpu_ns(pid), time.monotonic()
        await load.stream(frames[WARM_S * per_second :])
        used_ns, took_s = cpu_ns(pid) - before_ns, time.monotonic() - began_s
        if any(caller.closed for caller in load.callers):
            raise RuntimeError(f"{who.name}: the server closed a connection")
        load.close()
        if took_s > WINDOW_S * 1.1:
            print(f"  (generator behind: {took_s:.1f} s for {WINDOW_S} s)")
        return used_ns / 1000 / (calls * WINDOW_S * per_second)

    def _make_agent(self, var_dir: Path, code: str) -> None:
        subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), "shell", "-c", code],
            check=True,
            cwd=ROOT,
            env=machine_environment(VAR_DIR=str(var_dir), NO_BOOTSTRAP="1"),
            stdout=subprocess.DEVNULL,
        )


def _speech() -> bytes:
    """All spoken fixtures in a row, each followed by half its length of silence."""
    sound = b""
    for file in sorted(SPEECH.glob("*.wav")):
        with wave.open(str(file)) as recording:
            if recording.getframerate() == 16_000 and recording.getnchannels() == 1:
                pcm = recording.readframes(recording.getnframes())
                sound += pcm + bytes(len(pcm) // 4 * 2)
    if not sound:
        raise SystemExit("no speech under tests/fixtures/audio")
    return sound


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, nargs="+", default=[1, 10, 50, 100])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory(prefix="bench-") as place:
        bench = Bench(Path(place))
        for calls in options.calls:
            _table(bench, calls, options.rounds)


def _table(bench: Bench, calls: int, rounds: int) -> None:
    results: dict[str, list[float]] = {who.name: [] for who in CONTESTANTS}
    for _ in range(rounds):
        for who in CONTESTANTS:
            results[who.name].append(bench.measure(who, calls))
    print(f"\n{calls} calls: CPU µs per call per {FRAME_MS} ms (min / median / max of {rounds})")
    for name, values in results.items():
        low, mid, high = min(values), statistics.median(values), max(values)
        print(f"  {name:34} {low:7.1f} {mid:7.1f} {high:7.1f}")


if __name__ == "__main__":
    main()
