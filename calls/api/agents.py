"""Agents: whom a key may call."""

from django.http import HttpRequest
from ninja import Path, Router

from calls.api.answers import answers
from calls.api.door import ApiError, BearerKey, grant_of
from calls.api.shapes import AgentFull, AgentOut, Agents, Slug
from calls.models import Agent
from calls.store.agents import agent_settings
from calls.store.seen import agents_seen

router = Router(tags=["agents"])
SETTINGS = "agents"


@router.get(
    "/agents",
    auth=BearerKey(),
    response=answers(Agents),
    operation_id="list_agents",
    summary="List the agents",
)
def listed(request: HttpRequest) -> Agents:
    """The active agents that the key may call, by name. Any key will do."""
    rows = agents_seen(grant_of(request))
    return Agents(data=[AgentOut.model_validate(row) for row in rows])


@router.get(
    "/agents/{slug}",
    auth=BearerKey(),
    response=answers(AgentFull, 404),
    operation_id="get_agent",
    summary="Read an agent",
)
def read(request: HttpRequest, slug: Path[Slug]) -> AgentFull:
    """What anybody may know of it; with the scope `agents`, its settings and prompt as well."""
    grant = grant_of(request)
    row = agents_seen(grant).filter(slug=slug).first()
    if row is None:
        raise ApiError(404, "There is no such agent.", "no_such_agent")
    settings = _settings(row) if SETTINGS in grant.scopes else None
    return AgentFull(**AgentOut.model_validate(row).model_dump(), settings=settings)


def _settings(row: Agent) -> dict[str, object]:
    return {**agent_settings(row).snapshot()}
