"""`{% load calls %}{% voice_call "support" %}`: a call in a page of this Django project."""

import logging
from typing import Any

from django import template
from django.urls import reverse

from calls.conf import calls_settings
from calls.embedding.element import element, visitor_token
from calls.models import OWN_SITE
from calls.store.agents import AgentNotFoundError, agent_get
from calls.store.sites import site_get

logger = logging.getLogger(__name__)
register = template.Library()


@register.inclusion_tag("calls/tag.html", takes_context=True)
def voice_call(context: template.Context, agent: str = "") -> dict[str, Any]:
    """The element with all it needs; who is logged in calls as themselves.

    An agent that is not there, or is switched off, leaves nothing in the page.

    Args:
        agent: slug; empty: the default agent.
    """
    slug = agent or calls_settings().default_agent
    try:
        settings = agent_get(slug)
    except AgentNotFoundError:
        logger.warning("a page shows an agent that is not there", extra={"agent": slug})
        return {}
    request = context.get("request")
    token = None if request is None else visitor_token(request, site_get(OWN_SITE), settings)
    path = reverse("calls:call", args=[slug])
    return element(settings, token=token, token_path=path if token else "")
