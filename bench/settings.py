"""The project's settings and an agent without latency of its own."""

from voiceapp.settings import *  # noqa: F403 - a settings module extends another this way
from voiceapp.settings import CALLS as _CALLS

CALLS = _CALLS | {"AGENTS": {"instant": "bench.agents.Instant"}}
