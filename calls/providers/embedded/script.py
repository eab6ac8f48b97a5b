"""The scripted agent as a language model. It is none, and says so when asked."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from calls.domain.events import Direction
from calls.domain.items import Item, Role
from calls.ports.speech import Answer, Directed, Prompt, TextDelta, ToolCallRequested
from calls.providers.embedded.dialogue import reply_to

ENGLISH_ONLY = "I only speak English."


class ScriptedAgent:
    """Answers by rules, the same to the same conversation, and keeps no state of its own."""

    name = "script"

    @asynccontextmanager
    async def answer(self, prompt: Prompt) -> AsyncIterator[AsyncIterator[Answer]]:
        yield _answers(prompt)


async def _answers(prompt: Prompt) -> AsyncIterator[Answer]:
    reply = reply_to(prompt.items, frozenset(tool.name for tool in prompt.tools))
    sentences = reply.sentences
    if _surprised(prompt):
        sentences = (ENGLISH_ONLY, *sentences)
    for number, sentence in enumerate(sentences, 1):
        yield TextDelta(sentence if number == len(sentences) else f"{sentence} ")
    if reply.tool:
        yield ToolCallRequested(
            _tool_call_id(prompt.items), reply.tool, json.dumps(dict(reply.arguments))
        )
    if reply.ends:
        yield Directed(Direction.END_CALL)


def _surprised(prompt: Prompt) -> bool:
    """Whether the caller has to be told, once, that there is English alone."""
    if prompt.language.lower().partition("-")[0] == "en":
        return False
    heard = sum(item.role is Role.USER for item in prompt.items)
    told = any(ENGLISH_ONLY in item.text for item in prompt.items if item.role is Role.AGENT)
    return heard <= 1 and not told


def _tool_call_id(items: Sequence[Item]) -> str:
    latest = max((item.item_id for item in items), default=0)
    return f"script-{latest}"
