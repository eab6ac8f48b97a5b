"""What a call is put together from."""

from collections.abc import Callable
from dataclasses import dataclass

from calls.domain import effects as do
from calls.domain.policy import Policy
from calls.ports.clock import Clock
from calls.ports.records import CallRecords, RecordingSink
from calls.ports.tools import CallInfo, Tool
from calls.ports.usage import ServiceReport
from calls.ports.voice import VoiceSession

Observer = Callable[[do.Effect], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSetup:
    """Everything a call is made of."""

    info: CallInfo
    policy: Policy
    voice: VoiceSession
    records: CallRecords
    recording: RecordingSink | None
    tools: tuple[Tool, ...]
    clock: Clock
    observers: tuple[Observer, ...] = ()
    """Told of every effect, in order, on the loop; they must neither block nor raise."""
    another_voice: Callable[[], VoiceSession] | None = None
    """Makes a session like `voice` for one answer beside the conversation; None: there are none."""
    price: Callable[[ServiceReport], int | None] = lambda _report: None
    """What a use costs, in millionths of the currency; it must neither block nor raise."""
