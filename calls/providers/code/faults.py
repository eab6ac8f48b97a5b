"""What goes wrong in an agent's own code."""

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from calls.agents.live import LiveCall
from calls.agents.workers import WorkersBusyError
from calls.domain.events import Stage
from calls.ports.errors import ProviderError, ProviderFault

logger = logging.getLogger("calls.agents")

NAME = "code"
"""What stages done by an agent's code are called on the page and on the record."""


@contextmanager
def guarded(call: LiveCall, method: str, stage: Stage) -> Iterator[None]:
    """Turn whatever the code raises into a provider's failure.

    Raises:
        ProviderError: BUSY, CRASHED, or the one that the code raised itself.
    """
    try:
        yield
    except ProviderError:
        raise
    except WorkersBusyError:
        raise ProviderError(
            ProviderFault.BUSY,
            "The agent is at its limit. Please try again in a moment.",
            provider=NAME,
            stage=stage,
            retryable=True,
        ) from None
    except (Exception, SystemExit) as error:
        log_failure(call, method, error)
        message = f"The agent's {method} failed ({type(error).__name__})."
        raise ProviderError(ProviderFault.CRASHED, message, provider=NAME, stage=stage) from error


def invalid(method: str, gave: str, stage: Stage) -> ProviderError:
    """The code gave something that cannot be used; `gave` never holds what was said."""
    return ProviderError(
        ProviderFault.INVALID, f"The agent's {method} gave {gave}.", provider=NAME, stage=stage
    )


def log_failure(call: LiveCall, method: str, error: BaseException) -> None:
    """Say what failed and where. The error's own words may hold what was said."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "unknown"
    logger.error(
        "An agent's %s failed: %s at %s.",
        method,
        type(error).__name__,
        place,
        extra={"call_id": call.call_id},
    )
