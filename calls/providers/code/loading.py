"""Finding an agent's class, and making its instance for a call."""

import asyncio
import inspect
from collections.abc import Iterator

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from calls.agents import FunctionTool, LiveCall, VoiceAgent
from calls.agents.calling import call as call_function
from calls.agents.workers import WorkersBusyError, workers
from calls.domain.errors import CallError, ErrorCode
from calls.ports.tools import CallInfo, Tool
from calls.providers.code.faults import log_failure

PREPARE_MS = 10_000


def agent_class(path: str, slug: str) -> type[VoiceAgent]:
    """The class of the agent in code named `slug`.

    Raises:
        ImproperlyConfigured: it cannot be imported, or is no agent; the message names the slug.
    """
    try:
        found = import_string(path)
    except Exception as error:
        raise ImproperlyConfigured(
            f"CALLS['AGENTS'][{slug!r}]: {path} cannot be imported ({error!r})."
        ) from error
    if not (isinstance(found, type) and issubclass(found, VoiceAgent)):
        raise ImproperlyConfigured(
            f"CALLS['AGENTS'][{slug!r}]: {path} is not a subclass of calls.agents.VoiceAgent."
        )
    _check_tools(found, slug)
    return found


async def made_for_call(path: str, info: CallInfo) -> VoiceAgent:
    """The instance for a call, prepared.

    Raises:
        CallError: its code failed; the log says where.
    """
    live = LiveCall(info, asyncio.get_running_loop())
    try:
        async with asyncio.timeout(PREPARE_MS / 1000):
            agent = await workers().run(lambda: agent_class(path, info.agent)())
            agent.call = live
            await call_function(agent.prepare)
    except WorkersBusyError:
        raise CallError(ErrorCode.BUSY, "The agent is at its limit.") from None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code
        log_failure(live, "prepare", error)
        raise CallError(ErrorCode.INTERNAL, "The agent cannot take the call.") from None
    return agent


def tools_of(agent: VoiceAgent) -> tuple[Tool, ...]:
    """What the agent can do: its own methods, then those that it lists."""
    own = [getattr(agent, name) for name in _method_tools(type(agent))]
    listed = (t.bound(agent.call) if isinstance(t, FunctionTool) else t for t in agent.tools)
    return (*own, *listed)


def _method_tools(cls: type[VoiceAgent]) -> list[str]:
    """Names of the methods that are tools, in the order of their definition."""
    names = dict.fromkeys(name for base in reversed(cls.__mro__) for name in vars(base))
    return [n for n in names if isinstance(inspect.getattr_static(cls, n, None), FunctionTool)]


def _check_tools(cls: type[VoiceAgent], slug: str) -> None:
    names = []
    for tool in _all_tools(cls):
        if not hasattr(tool, "spec"):
            raise ImproperlyConfigured(
                f"CALLS['AGENTS'][{slug!r}]: {tool!r} is not a tool; see calls.agents.tool."
            )
        names.append(tool.spec.name)
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ImproperlyConfigured(
            f"CALLS['AGENTS'][{slug!r}] has several tools named {', '.join(twice)}."
        )


def _all_tools(cls: type[VoiceAgent]) -> Iterator[Tool]:
    yield from (getattr(cls, name) for name in _method_tools(cls))
    listed = cls.tools
    if not isinstance(listed, property):
        yield from listed
