"""Which services are worth asking, as all calls of this process have found them."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from calls.ports.clock import Clock
from calls.ports.errors import FATAL_FAULTS, ProviderError, ProviderFault

FAILURES = 3
"""So many in a row, and a service is left alone for a while."""

OPEN_MS, OPEN_AT_MOST_MS = 10_000, 120_000
FATAL_MS, FATAL_AT_MOST_MS = 60_000, 600_000
"""How long: doubled each time until a request succeeds. Only a person helps with fatal faults."""

KNOWN_SERVICES = 256

CROWDED = frozenset({ProviderFault.BUSY, ProviderFault.TIMEOUT})
"""Of an engine on this machine they say that much is asked of it just now, not that it is broken:
left alone, it would fail every call because of some."""

_REFUSED = frozenset({ProviderFault.REFUSED})


class BreakerState(StrEnum):
    CLOSED = "closed"
    """Everybody may ask."""
    OPEN = "open"
    """Nobody asks."""
    HALF_OPEN = "half_open"
    """One request at a time may find out whether it works again."""


@dataclass(slots=True)
class _Circuit:
    """`until_ms` is None while closed. What belongs to an older `epoch` counts no more."""

    forgiven: frozenset[ProviderFault]
    failures: int = 0
    openings: int = 0
    until_ms: int | None = None
    probing: bool = False
    epoch: int = 0

    def close(self) -> None:
        self.failures = self.openings = 0
        self.until_ms, self.probing = None, False


class Permit:
    """Leave to make one request; exactly one of its methods is to be called when it is over."""

    def __init__(self, circuit: _Circuit, clock: Clock) -> None:
        self._circuit = circuit
        self._clock = clock
        self._epoch = circuit.epoch

    def succeeded(self) -> None:
        if self._counts():
            self._circuit.close()

    def failed(self, error: ProviderError) -> None:
        """A failure that says nothing of the service concerns that one request."""
        if not self._counts():
            return
        circuit = self._circuit
        if error.kind in circuit.forgiven:
            circuit.probing = False
            return
        circuit.failures += 1
        if error.kind in FATAL_FAULTS or circuit.probing or circuit.failures >= FAILURES:
            self._open(error)

    def released(self) -> None:
        """The request was given up, which says nothing of the service."""
        if self._counts():
            self._circuit.probing = False

    def _counts(self) -> bool:
        counts = self._circuit.epoch == self._epoch
        self._epoch = -1
        return counts

    def _open(self, error: ProviderError) -> None:
        circuit = self._circuit
        fatal = error.kind in FATAL_FAULTS
        first_ms, most_ms = (FATAL_MS, FATAL_AT_MOST_MS) if fatal else (OPEN_MS, OPEN_AT_MOST_MS)
        open_ms = max(first_ms << min(circuit.openings, 10), error.retry_after_ms or 0)
        circuit.openings += 1
        circuit.epoch += 1
        circuit.failures, circuit.probing = 0, False
        circuit.until_ms = self._clock.now_ms() + min(open_ms, most_ms)


class Breakers:
    """One for the whole process: calls learn from each other. Used from one event loop.

    Services are known by their keys (`choosing.breaker_key`), up to `KNOWN_SERVICES` of them.

    Args:
        own: names of engines that run on this machine.
    """

    def __init__(self, clock: Clock, own: Collection[str] = ()) -> None:
        self._clock = clock
        self._own = frozenset(own)
        self._circuits: dict[str, _Circuit] = {}

    def own(self, name: str) -> bool:
        """Whether it is an engine of this machine."""
        return not self._own.isdisjoint(name.split(" "))

    def admit(self, name: str) -> Permit | None:
        """Leave to ask that service now; None: ask another."""
        circuit = self._circuit(name)
        match self._state(circuit):
            case BreakerState.OPEN:
                return None
            case BreakerState.HALF_OPEN:
                if circuit.probing:
                    return None
                circuit.probing = True
                circuit.epoch += 1
        return Permit(circuit, self._clock)

    def state(self, name: str) -> BreakerState:
        """As it is now; a service that nobody has asked is closed."""
        circuit = self._circuits.get(name)
        return self._state(circuit) if circuit else BreakerState.CLOSED

    def _state(self, circuit: _Circuit) -> BreakerState:
        if circuit.until_ms is None:
            return BreakerState.CLOSED
        over = self._clock.now_ms() >= circuit.until_ms
        return BreakerState.HALF_OPEN if over else BreakerState.OPEN

    def _circuit(self, name: str) -> _Circuit:
        if name not in self._circuits:
            self._make_room()
            forgiven = _REFUSED | CROWDED if self.own(name) else _REFUSED
            self._circuits[name] = _Circuit(forgiven)
        return self._circuits[name]

    def _make_room(self) -> None:
        if len(self._circuits) < KNOWN_SERVICES:
            return
        healthy = (name for name, known in self._circuits.items() if known.until_ms is None)
        del self._circuits[next(healthy, next(iter(self._circuits)))]
