"""The services of one agent, for requests that are no calls."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from calls.domain.errors import CallError, ErrorCode
from calls.ports.speech import CallScoped, Services
from calls.store.agents import AgentNotFoundError, AgentSettings, agent_get
from calls.store.database import in_database
from calls.wiring.choosing import services


async def classic_services(slug: str) -> tuple[AgentSettings, Services]:
    """The agent and what its settings name; the stages that its code serves are not among them.

    Raises:
        CallError: no such agent, or nothing is set up for one of its stages.
    """
    try:
        agent = await in_database(agent_get, slug)
    except AgentNotFoundError:
        raise CallError(ErrorCode.NO_SUCH_AGENT, "There is no such agent.") from None
    return agent, services(agent)


@asynccontextmanager
async def in_use(service: object) -> AsyncIterator[None]:
    """Have the service's connections until the block ends, where it has some of its own."""
    async with AsyncExitStack() as stack:
        if isinstance(service, CallScoped):
            await stack.enter_async_context(service)
            service.warm()
        yield
