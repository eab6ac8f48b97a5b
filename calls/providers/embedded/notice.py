"""What a caller has to be told of the offline engines: the one place of these words."""

from collections.abc import Collection

from calls.domain.events import Stage

_LIMITS = {
    Stage.STT: "English, quiet room, short sentences",
    Stage.TTS: "robotic voice",
    Stage.LLM: "scripted answers",
}


def notice(stages: Collection[Stage]) -> str:
    """One sentence for the page while these stages are offline engines; empty for none."""
    limits = [text for stage, text in _LIMITS.items() if stage in stages]
    return f"Offline demo voice: {', '.join(limits)}." if limits else ""


NOTICE = notice(tuple(_LIMITS))
"""All of it: "Offline demo voice: English, quiet room, short sentences, robotic voice, ..."."""
