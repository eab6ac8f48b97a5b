"""Whether the machine had its processors for a test that looks at the clock.

A page that is not run for a second hears nothing in it, whatever the server does. On Linux two
figures tell: time that a hypervisor took away (`steal` in `/proc/stat`, `man 5 proc`), and time in
which something that could run had to wait (`some` in `/proc/pressure/cpu`, the kernel's PSI).
"""

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MOST_STOLEN = 0.01
"""Of all processor time: one of two processors is away for a fiftieth of a second in each."""
MOST_WAITED = 0.25
"""Of the time of the test."""

_STEAL = 8
"""Its place in the line of all processors."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Seconds since the machine began; 0 where the system does not tell."""

    at_s: float
    stolen_s: float
    waited_s: float

    @classmethod
    def now(cls) -> "Figures":
        return cls(time.monotonic(), _stolen_s(), _waited_s())

    def starved_since(self) -> bool:
        """Whether processors were lacking between these figures and now."""
        now = Figures.now()
        took_s = now.at_s - self.at_s
        stolen_s, waited_s = now.stolen_s - self.stolen_s, now.waited_s - self.waited_s
        processors = os.cpu_count() or 1
        return stolen_s > MOST_STOLEN * took_s * processors or waited_s > MOST_WAITED * took_s


def _stolen_s() -> float:
    with suppress(OSError, IndexError):
        line = Path("/proc/stat").read_text().splitlines()[0].split()
        return int(line[_STEAL]) / os.sysconf("SC_CLK_TCK")
    return 0


def _waited_s() -> float:
    with suppress(OSError, IndexError):
        some = Path("/proc/pressure/cpu").read_text().splitlines()[0]
        return int(some.rpartition("total=")[2]) / 1_000_000
    return 0
