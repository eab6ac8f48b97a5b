"""What goes wrong in an agent's own code."""

import logging
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from calls.agents.live import LiveCall
from calls.agents.workers import LeftError, WorkersBusyError
from calls.domain.events import Stage
from calls.ports.errors import ProviderError, ProviderFault

logger = logging.getLogger("calls.agents")

_FOREIGN = tuple({sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")})

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
        message = f"The agent's {method} failed ({type(_root(error)).__name__})."
        raise ProviderError(ProviderFault.CRASHED, message, provider=NAME, stage=stage) from error


def invalid(method: str, gave: str, stage: Stage) -> ProviderError:
    """The code gave something that cannot be used; `gave` never holds what was said."""
    return ProviderError(
        ProviderFault.INVALID, f"The agent's {method} gave {gave}.", provider=NAME, stage=stage
    )


def log_failure(call: LiveCall, method: str, error: BaseException) -> None:
    """Say what failed and where. The error's own words may hold what was said."""
    error = _root(error)
    logger.error(
        "An agent's %s failed: %s at %s.",
        method,
        type(error).__name__,
        _place(error),
        extra={"call_id": call.call_id},
    )


def _root(error: BaseException) -> BaseException:
    """What the code itself raised."""
    return error.__cause__ if isinstance(error, LeftError) and error.__cause__ else error


def _place(error: BaseException) -> str:
    """The innermost line that is neither Python's nor an installed package's."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(_FOREIGN)] or frames
    return f"{own[-1].filename}:{own[-1].lineno}" if own else "an unknown place"
