"""What goes wrong with a session that hears and speaks, as the one error that providers raise."""

from collections.abc import Mapping
from typing import Any

from calls.domain.events import Stage
from calls.ports.errors import ProviderError, ProviderFault
from calls.providers.openai import realtime_faults
from calls.providers.openai.faults import fault
from calls.sockets import SocketError


def provider_error(kind: ProviderFault, *, provider: str) -> ProviderError:
    return fault(kind, provider=provider, stage=Stage.VOICE)


def socket_error(error: SocketError, *, provider: str) -> ProviderError:
    """Map a socket that did not open, or was lost."""
    return realtime_faults.socket_error(error, provider=provider, stage=Stage.VOICE)


def error_kind(error: Mapping[str, Any] | None) -> ProviderFault:
    """What an `error` event, or the error of a failed answer, amounts to."""
    told = {"error": error}
    return realtime_faults.event_error(told, provider="", stage=Stage.VOICE).kind
