"""What `manage.py check` says about `CALLS`."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured

from calls.conf import calls_settings
from calls.providers.code import agent_class

UNUSABLE_SETTINGS = "calls.E001"
UNUSABLE_AGENT = "calls.E002"


def agents_check(
    app_configs: Sequence[AppConfig] | None,  # noqa: ARG001 - how Django calls checks
    **_: Any,
) -> list[CheckMessage]:
    """The settings can be read and every agent in code can be loaded."""
    try:
        agents = calls_settings().agents
    except ImproperlyConfigured as error:
        return [Error(str(error), id=UNUSABLE_SETTINGS)]
    return [problem for slug, path in agents.items() for problem in _agent_problems(slug, path)]


def _agent_problems(slug: str, path: str) -> list[CheckMessage]:
    try:
        agent_class(path, slug)
    except ImproperlyConfigured as error:
        return [Error(str(error), id=UNUSABLE_AGENT)]
    return []
