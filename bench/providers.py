"""What the way through a provider costs: milliseconds of a turn, and processor time of sound.

Stand-ins for the providers run in one process, without delays of their own, and every measurement
in a fresh one beside it, over real sockets on loopback. Services that are scripted in the measured
process stand in the same tables: what is left of them is the call's own machinery.

Milliseconds: from the commit of the caller's turn to the first sound that the session hands to the
playout, less what the stand-ins took: from the bytes that came to the bytes that went, by their own
clock, until the first sound left them. What both did at the same time counts as theirs. The rest is
ours, and loopback's. Callers speak ten times faster than callers do; calls go on one at a time.
"first" is the turn of a call that has just begun: connections are to be warm by then.
"processor" is the processor time of the measured process in a turn: neighbours do not disturb it.

Processor time: microseconds of the whole measured process for one second of sound, 20 ms frames in
the time of speech on the caller's side (less the bare timers), as fast as it comes on the agent's.
One call, and twenty at once; a call's commit, transcript and requests are part of it.

    python -m bench.providers                   two rounds, less than three minutes
    python -m bench.providers --rounds 1 --only turns
    python -m bench.providers --real-time       before all neighbours; needs root
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from bench.provider_services import EARS, MINDS, PIPELINES, SPEECH_TO_SPEECH, VOICES

DIRECTLY = ("NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1")
Seen = list[list[tuple[str, float]]]


class StandIns:
    """The other process."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "bench.stand_ins"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.origin = self._line()

    def begin(self) -> None:
        self._say("begin")

    def seen(self) -> Seen:
        self._say("tell")
        found: Seen = json.loads(self._line())
        return found

    def end(self) -> None:
        self._pipe(self._process.stdin).close()
        self._process.wait(10)

    def _say(self, word: str) -> None:
        pipe = self._pipe(self._process.stdin)
        pipe.write(f"{word}\n")
        pipe.flush()

    def _line(self) -> str:
        return self._pipe(self._process.stdout).readline().strip()

    def _pipe(self, pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None
        return pipe


def measured(measure: str, name: str, stand_ins: StandIns) -> Any:
    """What a fresh process found."""
    program = [sys.executable, "-m", "bench.provider_calls", measure, name, stand_ins.origin]
    done = subprocess.run(
        ["env", *DIRECTLY, *program], stdout=subprocess.PIPE, check=True, timeout=120
    )
    return json.loads(done.stdout)


# Milliseconds


def taken_s(seen: Seen, began_s: float, first_s: float) -> float:
    """How long stand-ins were at work between these moments, before their first sound had left."""
    told = [moment for events in seen for moment in events if began_s <= moment[1] <= first_s]
    sounds = [at_s for what, at_s in told if what == "sound"]
    end_s = min(sounds, default=first_s)
    spans = sorted(span for events in seen for span in _spans(events, began_s, end_s))
    total_s, until_s = 0.0, began_s
    for begin_s, over_s in spans:
        total_s += max(0.0, over_s - max(begin_s, until_s))
        until_s = max(until_s, over_s)
    return total_s


def _spans(
    events: Sequence[tuple[str, float]], began_s: float, end_s: float
) -> Iterator[tuple[float, float]]:
    """From what came to the last of what went on account of it."""
    came_s = went_s = None
    for what, at_s in events:
        if not began_s <= at_s <= end_s:
            continue
        if what != "in":
            went_s = at_s
        elif went_s is not None or came_s is None:
            if came_s is not None and went_s is not None:
                yield came_s, went_s
            came_s, went_s = at_s, None
    if came_s is not None and went_s is not None:
        yield came_s, went_s


def added_ms(turns: Sequence[tuple[float, float, float]], seen: Seen) -> list[float]:
    """What our side took of each turn."""
    return [1000 * (first - began - taken_s(seen, began, first)) for began, first, _ in turns]


@dataclass
class Found:
    """Milliseconds of the turns of one pipeline; `ours_first` of those that began a call."""

    whole: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)
    ours_first: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    def row(self) -> str:
        late = statistics.quantiles(self.ours, n=100)[98]
        middles = map(statistics.median, (self.ours, self.processor, self.ours_first, self.whole))
        ours, processor, first, whole = middles
        return f"{ours:.1f} | {late:.1f} | {processor:.1f} | {first:.1f} | {whole:.1f}"


def print_turns(stand_ins: StandIns, rounds: int) -> None:
    results = {name: Found() for name in PIPELINES}
    for _ in range(rounds):
        for name, found in results.items():
            stand_ins.begin()
            turns = measured("turns", name, stand_ins)
            first, *later = added_ms(turns, stand_ins.seen())
            found.ours_first.append(first)
            found.ours += later
            found.whole += [1000 * (first_s - began_s) for began_s, first_s, _ in turns[1:]]
            found.processor += [processor_ms for *_, processor_ms in turns[1:]]
    count = len(results[SPEECH_TO_SPEECH].ours)
    print(f"\n| ms, {count} turns each | ours p50 | ours p99 | processor | first | whole turn |")
    print("|---|--:|--:|--:|--:|--:|")
    for name, found in results.items():
        print(f"| {name} | {found.row()} |")


# Processor time


def print_costs(stand_ins: StandIns, rounds: int) -> None:
    print("\n| processor time, µs | 1 call | 20 calls at once |")
    print("|---|--:|--:|")
    kinds = (("ears", EARS, "a second of the caller"), ("voices", VOICES, "a second of the agent"))
    for measure, services, unit in (*kinds, ("minds", MINDS, "an answer of one sentence")):
        for name in services:
            found = [measured(measure, name, stand_ins) for _ in range(rounds)]
            print_cost(f"{unit}, {name}", found)
    found = [measured("session", SPEECH_TO_SPEECH, stand_ins) for _ in range(rounds)]
    print_cost("a second of the caller, speech to speech", [heard for heard, _ in found])
    print_cost("a second of the agent, speech to speech", [said for _, said in found])


def print_cost(what: str, found: Sequence[tuple[float, float]]) -> None:
    one, many = (statistics.median(column) for column in zip(*found, strict=True))
    print(f"| {what} | {one:.0f} | {many:.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", choices=["turns", "costs"])
    parser.add_argument("--real-time", action="store_true")
    asked = parser.parse_args()
    if asked.real_time:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))  # the children inherit it
    stand_ins = StandIns()
    try:
        if asked.only != "costs":
            print_turns(stand_ins, asked.rounds)
        if asked.only != "turns":
            print_costs(stand_ins, 1)
    finally:
        stand_ins.end()


if __name__ == "__main__":
    main()
