"""Which providers work, how fast, and what to do about those that do not."""

import asyncio
import json
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from typing_extensions import override

from calls.domain.events import Stage
from calls.models import Agent
from calls.ports.errors import ProviderFault
from calls.store.agents import agent_settings
from calls.wiring import networked, shared, trials
from calls.wiring.offers import chosen
from calls.wiring.trials import Trial

_HEADINGS = {
    Stage.STT: "Speech to text",
    Stage.LLM: "Answers",
    Stage.TTS: "Text to speech",
    Stage.VOICE: "Speech to speech",
}
_ADVICE = {
    ProviderFault.AUTH: "Check the key: it is unknown there, or may not do this.",
    ProviderFault.QUOTA: "The account has no credit left: top it up, or use another key.",
    ProviderFault.NOT_FOUND: "Check the model, the voice and the address (does it need /v1?).",
    ProviderFault.REFUSED: "The request was not understood: check the server's profile.",
    ProviderFault.UNSUPPORTED: "This server or model cannot do it: choose another.",
    ProviderFault.BUSY: "Try again later, or ask for a higher limit.",
    ProviderFault.TIMEOUT: "Check the network, and whether the server is overloaded.",
    ProviderFault.UNAVAILABLE: "Check the address, the network and the provider's status page.",
    ProviderFault.TRUNCATED: "It stopped half-way: try again; look at the server's own log.",
    ProviderFault.INVALID: "What came is not what the protocol says: check address and profile.",
    ProviderFault.CRASHED: "A worker process died: look at the server's log.",
}
_OFFLINE = ("embedded", "piper", "whisper")
_NOTHING_HOSTED = (
    "No hosted provider is set up, and no server of your own: calls are offline. Set\n"
    "OPENAI_API_KEY or ELEVENLABS_API_KEY, or LLM_BASE_URL, STT_BASE_URL or TTS_BASE_URL."
)


class Command(BaseCommand):
    """Every trial is one small request; hosted providers charge a fraction of a cent for it."""

    help = "Try every provider that is set up; say which work, how fast, and what to do."

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("names", nargs="*", metavar="PROVIDER", help="only these")
        parser.add_argument("--json", action="store_true", help="for programs")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        wanted = set(options["names"])
        known = {offer.name for _, offer in trials.all_offers()} | {"openai-realtime"}
        if unknown := sorted(wanted - known):
            raise CommandError(
                f"No provider is called {', '.join(unknown)}. Known: {', '.join(sorted(known))}."
            )
        report = _Report(self)
        with _quiet():
            results = asyncio.run(_tried(wanted, report.silent if options["json"] else report.tell))
        if options["json"]:
            self.stdout.write(json.dumps([_plain(result) for result in results], indent=2))
        else:
            report.end(results)
        if failed := sum(result.fault is not None for result in results):
            raise CommandError(f"Of the providers that are set up, {failed} cannot be used.")


class _Report:
    """Tells of every trial as soon as it is over, under the heading of its stage."""

    def __init__(self, command: BaseCommand) -> None:
        self._out = command.stdout
        self._style = command.style
        self._stage: Stage | None = None

    def silent(self, result: Trial) -> None:
        """What programs read is written in one piece."""

    def tell(self, result: Trial) -> None:
        if result.stage is not self._stage:
            self._leave_stage()
            self._stage = result.stage
            self._out.write(self._style.MIGRATE_HEADING(_HEADINGS[result.stage]))
        self._line(result)
        self._out.flush()

    def end(self, results: list[Trial]) -> None:
        self._leave_stage()
        if all(result.needs or result.name in _OFFLINE for result in results):
            self._out.write("")
            self._out.write(_NOTHING_HOSTED)

    def _leave_stage(self) -> None:
        if self._stage is None or self._stage is Stage.VOICE:
            return
        best = ", then ".join(offer.name for offer in chosen(self._stage, "auto", ()))
        self._out.write(f"  agents that leave it to us get: {best}\n\n")

    def _line(self, result: Trial) -> None:
        name = f"{result.name} {result.model}".strip()
        if result.needs:
            self._out.write(f"  -   {name:<42} not set up: {result.needs}")
        elif result.fault is not None:
            self._out.write(self._style.ERROR(f"  no  {name:<42} {result.fault}: {result.result}"))
            self._out.write(f"      {'':<42} {_ADVICE[result.fault]}")
        else:
            first = "" if result.first_ms is None else f"{result.first_ms} ms"
            self._out.write(f"  ok  {name:<42} {first:>8}  {result.result}")


def _plain(result: Trial) -> dict[str, Any]:
    return {
        "stage": result.stage.value,
        "provider": result.name,
        "model": result.model,
        "works": result.works,
        "needs": result.needs,
        "first_ms": result.first_ms,
        "total_ms": result.total_ms,
        "fault": result.fault.value if result.fault is not None else "",
        "result": result.result,
        "advice": _ADVICE[result.fault] if result.fault is not None else "",
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """What goes wrong is said in the report; warnings of the log would only get in between."""
    log = logging.getLogger("calls")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


async def _tried(wanted: Iterable[str], tell: Callable[[Trial], None]) -> list[Trial]:
    """One after the other: they share the machine, and figures are worth something."""
    names = set(wanted)
    found: list[Trial] = []

    def over(result: Trial) -> None:
        found.append(result)
        tell(result)

    try:
        await networked.warm()
        for stage, offer in trials.all_offers():
            if not names or offer.name in names:
                over(await trials.trial(stage, offer))
        if not names or "openai-realtime" in names:
            over(await trials.realtime_trial(agent_settings(Agent(slug="doctor"))))
    finally:
        await networked.close()
        await shared.speech().close()
        await shared.local_speech().close()
    return found
