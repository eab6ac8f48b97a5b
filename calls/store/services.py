"""What the services behind a call did, as a reviewer reads it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from calls.conf import calls_settings
from calls.domain.events import Stage
from calls.models import ServiceUse
from calls.models.providers import AUTO
from calls.ports.errors import ProviderFault
from calls.ports.usage import CANCELLED, OK
from calls.store.wording import clock, cost_words, counted, seconds, usage_words

UNTROUBLED = (OK, CANCELLED)
SERVICE_LABELS: Mapping[str, str] = {
    Stage.STT: "Speech to text",
    Stage.LLM: "Language model",
    Stage.TTS: "Text to speech",
    Stage.VOICE: "Speech to speech",
}
OUTCOME_WORDS: Mapping[str, str] = {
    OK: "ok",
    CANCELLED: "stopped",
    ProviderFault.AUTH: "key not accepted",
    ProviderFault.QUOTA: "no credit left",
    ProviderFault.NOT_FOUND: "no such model, voice or address",
    ProviderFault.REFUSED: "request refused",
    ProviderFault.UNSUPPORTED: "not supported there",
    ProviderFault.BUSY: "too busy",
    ProviderFault.TIMEOUT: "took too long",
    ProviderFault.UNAVAILABLE: "not reachable",
    ProviderFault.TRUNCATED: "ended early",
    ProviderFault.INVALID: "answer not understood",
    ProviderFault.CRASHED: "crashed",
}


@dataclass(frozen=True, slots=True)
class Use:
    """One request to one provider, in words."""

    row: ServiceUse

    @property
    def stage(self) -> str:
        return SERVICE_LABELS.get(self.row.stage, self.row.stage)

    @property
    def outcome(self) -> str:
        return OUTCOME_WORDS.get(self.row.outcome, self.row.outcome)

    @property
    def failed(self) -> bool:
        return self.row.outcome not in UNTROUBLED

    @property
    def stopped(self) -> bool:
        return self.row.outcome == CANCELLED

    @property
    def at(self) -> str:
        return clock(self.row.began_ms)

    @property
    def first(self) -> str:
        return "" if self.row.first_ms is None else seconds(self.row.first_ms)

    @property
    def duration(self) -> str:
        return seconds(self.row.duration_ms)

    @property
    def usage(self) -> str:
        return usage_words(figures(self.row.usage))

    @property
    def cost(self) -> str:
        """Empty: nobody knew a price."""
        return _cost([self])


@dataclass(frozen=True, slots=True)
class TurnServices:
    """What services did for one turn.

    Attributes:
        troubles: one sentence for each stage that failed or had to be done by another provider.
        fallback: another provider than the first choice did the work of a stage.
    """

    uses: tuple[Use, ...]
    troubles: tuple[str, ...]
    fallback: bool

    @property
    def failed(self) -> int:
        return sum(use.failed for use in self.uses)

    @property
    def tag(self) -> str:
        """The trouble in a word; empty: there was none."""
        if self.fallback:
            return "fallback"
        return "service failed" if self.troubles else ""

    @property
    def title(self) -> str:
        count = counted(len(self.uses), "request")
        return f"{count}, {self.failed} failed" if self.failed else count


@dataclass(frozen=True, slots=True)
class Total:
    """What one provider was asked for in the whole call.

    Attributes:
        estimated: part of `usage` is a guess of ours.
        cost: of what had a price; empty: nothing had.
    """

    provider: str
    models: str
    requests: str
    failed: int
    usage: str
    estimated: bool
    cost: str


def services_by_turn(
    rows: Iterable[ServiceUse], settings: Mapping[str, object]
) -> dict[int, TurnServices]:
    """Uses in the order in which they began, by turn; `settings` are those of the agent."""
    ordered = sorted(rows, key=lambda row: (row.turn, row.began_ms, row.number))
    return {
        turn: _turn_services(tuple(Use(row) for row in group), settings)
        for turn, group in groupby(ordered, key=lambda row: row.turn)
    }


def totals(turns: Iterable[TurnServices]) -> tuple[Total, ...]:
    """By provider, in the order in which they were first asked."""
    by_provider: dict[str, list[Use]] = {}
    for use in (use for turn in turns for use in turn.uses):
        by_provider.setdefault(use.row.provider, []).append(use)
    return tuple(_total(provider, uses) for provider, uses in by_provider.items())


def figures(usage: object) -> dict[str, int]:
    """Those entries of a stored usage that are figures."""
    if not isinstance(usage, Mapping):
        return {}
    return {
        str(name): figure
        for name, figure in usage.items()
        if isinstance(figure, int) and not isinstance(figure, bool)
    }


def _total(provider: str, uses: Sequence[Use]) -> Total:
    added: dict[str, int] = {}
    for use in uses:
        for name, figure in figures(use.row.usage).items():
            added[name] = added.get(name, 0) + figure
    return Total(
        provider=provider,
        models=", ".join(dict.fromkeys(use.row.model for use in uses if use.row.model)),
        requests=counted(len(uses), "request"),
        failed=sum(use.failed for use in uses),
        usage=usage_words(added),
        estimated=any(use.row.estimated for use in uses),
        cost=_cost(uses),
    )


def _cost(uses: Sequence[Use]) -> str:
    known = [use.row.cost_micros for use in uses if use.row.cost_micros is not None]
    return cost_words(sum(known), calls_settings().currency) if known else ""


def _turn_services(uses: tuple[Use, ...], settings: Mapping[str, object]) -> TurnServices:
    stages = [
        [use for use in uses if use.row.stage == stage]
        for stage in dict.fromkeys(use.row.stage for use in uses)
    ]
    return TurnServices(
        uses,
        troubles=tuple(_troubles(stages, settings)),
        fallback=any(_successor(stage) or _replaced(stage, settings) for stage in stages),
    )


def _troubles(stages: Iterable[Sequence[Use]], settings: Mapping[str, object]) -> Iterator[str]:
    for stage in stages:
        failed = {use.row.provider: use.outcome for use in stage if use.failed}
        replaced = _replaced(stage, settings)
        if failed:
            who = ", ".join(f"{name} failed ({why})" for name, why in failed.items())
            yield f"{stage[0].stage}: {who}{_what_then(stage)}."
        elif replaced:
            provider = stage[-1].row.provider
            yield f"{stage[0].stage}: {provider} stood in for {replaced}."


def _what_then(uses: Sequence[Use]) -> str:
    if successor := _successor(uses):
        return f", {successor} took over"
    since = next(at for at, use in enumerate(reversed(uses)) if use.failed)
    worked = any(use.row.outcome == OK for use in uses[len(uses) - since :])
    return ", then it worked" if worked else ""


def _successor(uses: Sequence[Use]) -> str:
    """Who did the work of a stage after somebody else had failed; empty: nobody."""
    failed: set[str] = set()
    for use in uses:
        if use.failed:
            failed.add(use.row.provider)
        elif failed and use.row.provider not in failed:
            return use.row.provider
    return ""


def _replaced(uses: Sequence[Use], settings: Mapping[str, object]) -> str:
    """The first choice for a stage, if one of its fallbacks was asked at once; else empty."""
    stage = uses[0].row.stage
    first, fallbacks = settings.get(f"{stage}_provider"), settings.get(f"{stage}_fallbacks")
    if not isinstance(first, str) or first == AUTO or not isinstance(fallbacks, list):
        return ""
    asked = {use.row.provider for use in uses}
    return first if first not in asked and asked & set(map(str, fallbacks)) else ""
