"""What the clients of the OpenAI Realtime endpoint stand on: a key, an agent, sounds."""

from collections.abc import Callable
from pathlib import Path

from tests.interop.calls import silence, speech
from tests.servers import RealServer

RATE_HZ = 24_000
PAUSE_MS = 1_500
"""Behind what is said, so that the server notices that it is over."""

_AGENT = """
from calls.models import Agent
Agent.objects.update_or_create(slug="front", defaults={"name": "Front desk", "tools": []})
"""


def prepared(server: RealServer, manage: Callable[..., str]) -> str:
    """Make an agent `front` that has no tools of its own; a key for all agents."""
    manage(server, "shell", "-c", _AGENT)
    return manage(server, "api_key", "create", "interop").strip()


def sounds_in(folder: Path) -> Path:
    """The utterances that clients say, as `<name>.pcm`, 24 kHz s16le with a pause behind them."""
    folder.mkdir(exist_ok=True)
    for name in ("hours", "friday", "no-goodbye"):
        pcm = speech(f"callers/{name}", RATE_HZ) + silence(PAUSE_MS, RATE_HZ)
        (folder / f"{name}.pcm").write_bytes(pcm)
    return folder
