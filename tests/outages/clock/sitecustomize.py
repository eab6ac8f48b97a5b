"""Lets a test set the clock of a server's process: SIGUSR2 is 25 hours forward, or back again."""

import signal
import time

_told_s = time.time
_ahead_s = [0]


def _jump(*_: object) -> None:
    _ahead_s[0] = 90_000 - _ahead_s[0]


time.time = lambda: _told_s() + _ahead_s[0]
signal.signal(signal.SIGUSR2, _jump)
