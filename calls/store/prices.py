"""What a use of a service costs: prices from their rows, in a snapshot that nobody waits for."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from math import ceil
from typing import Protocol

from calls.models import Price
from calls.store.sites import MICROS

REFRESH_S = 30
"""How often the snapshot is read anew; a price is a minute old at most before it counts."""

ANY_MODEL = ""

_IN = "input_tokens"
_CACHED = "cached_tokens"
_HEARD = "input_audio_tokens"
_HEARD_CACHED = "cached_audio_tokens"
_OUT = "output_tokens"
_THOUGHT = "reasoning_tokens"
_SPOKEN = "output_audio_tokens"

INSTEAD: Mapping[str, str] = {"character_cost": "characters", "billed_ms": "audio_ms"}
"""Figures that say of another one what is really charged: priced, they are paid instead of it."""

_PARTED = frozenset({_IN, _CACHED, _HEARD, _HEARD_CACHED, _OUT, _THOUGHT, _SPOKEN})


class Used(Protocol):
    """A use, as far as its price goes."""

    @property
    def provider(self) -> str: ...

    @property
    def model(self) -> str: ...

    @property
    def usage(self) -> Mapping[str, int]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """One row; `micros` is what one of the figure costs, in millionths of the currency."""

    provider: str
    model: str
    figure: str
    micros: Fraction
    valid_from: date


class Prices:
    """All prices at one moment. Never changes."""

    def __init__(self, rates: Iterable[Rate] = ()) -> None:
        self._rates: dict[tuple[str, str, str], list[Rate]] = {}
        for rate in sorted(rates, key=lambda rate: rate.valid_from, reverse=True):
            key = rate.provider, rate.model, rate.figure
            self._rates.setdefault(key, []).append(rate)

    def micros(self, provider: str, model: str, figure: str, on_day: date) -> Fraction | None:
        """The price of one: of the model if it has its own, then the latest valid one."""
        for named in dict.fromkeys((model, ANY_MODEL)):
            for rate in self._rates.get((provider, named, figure), ()):
                if rate.valid_from <= on_day:
                    return rate.micros
        return None


NO_PRICES = Prices()


def cost_micros(use: Used, prices: Prices, on_day: date) -> int | None:
    """What `use` cost, in millionths of the currency, rounded up.

    A figure that is part of another one is paid once: at its own price if it has one, else as the
    rest of the total. A figure without a price costs nothing.

    Args:
        on_day: of the call, by UTC.

    Returns:
        None: none of its figures has a price.
    """
    total: Fraction | None = None
    for options in _parts(_figures(use.usage)):
        for count, name in options:
            micros = prices.micros(use.provider, use.model, name, on_day)
            if micros is not None:
                total = (total or Fraction(0)) + count * micros
                break
    return None if total is None else ceil(total)


def _figures(usage: Mapping[str, int]) -> dict[str, int]:
    return {name: count for name, count in usage.items() if count > 0}


Options = Sequence[tuple[int, str]]
"""A count and the figure by whose price it is paid: the first one that has a price."""


def _parts(usage: Mapping[str, int]) -> Iterator[Options]:
    """What is paid for: counts that overlap nowhere."""
    tokens = (*_tokens_in(usage), *_tokens_out(usage))
    yield from ([(count, name) for name in names] for count, names in tokens if count > 0)
    rest = {name: count for name, count in usage.items() if name not in _PARTED}
    for charged, name in INSTEAD.items():
        if charged in rest and name in rest:
            yield (rest.pop(charged), charged), (rest.pop(name), name)
    yield from ([(count, name)] for name, count in rest.items())


Counts = Iterator[tuple[int, tuple[str, ...]]]


def _tokens_in(usage: Mapping[str, int]) -> Counts:
    heard_cached = usage.get(_HEARD_CACHED, 0)
    cached = max(usage.get(_CACHED, 0), heard_cached)
    heard = max(usage.get(_HEARD, 0), heard_cached)
    total = max(usage.get(_IN, 0), cached + heard - heard_cached)
    yield heard_cached, (_HEARD_CACHED, _HEARD, _CACHED, _IN)
    yield cached - heard_cached, (_CACHED, _IN)
    yield heard - heard_cached, (_HEARD, _IN)
    yield total - cached - heard + heard_cached, (_IN,)


def _tokens_out(usage: Mapping[str, int]) -> Counts:
    spoken, thought = usage.get(_SPOKEN, 0), usage.get(_THOUGHT, 0)
    total = max(usage.get(_OUT, 0), spoken + thought)
    yield spoken, (_SPOKEN, _OUT)
    yield thought, (_THOUGHT, _OUT)
    yield total - spoken - thought, (_OUT,)


# The snapshot of this process


class PriceList:
    """Prices as they were last read. Asked on the event loop, read beside it."""

    def __init__(self) -> None:
        self._prices: Prices | None = None

    @property
    def prices(self) -> Prices:
        """The snapshot; without prices until it was read for the first time. Never waits."""
        return self._prices or NO_PRICES

    def ensure(self) -> Prices:
        """Read it now, unless it was; asks the database.

        Raises:
            AWAY: the database is away.
        """
        return self._prices or self.refresh()

    def refresh(self) -> Prices:
        """Read it anew; asks the database. While that is away the former one stays.

        Raises:
            AWAY: the database is away.
        """
        self._prices = prices_read()
        return self._prices


_list = PriceList()


def price_list() -> PriceList:
    """The one of this process."""
    return _list


def prices_read() -> Prices:
    """All prices, from their rows."""
    return Prices(
        Rate(
            provider=row.provider,
            model=row.model,
            figure=row.figure,
            micros=Fraction(row.amount) * MICROS / row.per,
            valid_from=row.valid_from,
        )
        for row in Price.objects.all()
    )
