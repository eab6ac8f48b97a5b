"""Several language models as one."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from calls.domain.events import Stage
from calls.ports.clock import Clock
from calls.ports.speech import Answer, LanguageModel, Prompt, TextDelta, ToolCallRequested
from calls.providers.choice.breaker import Breakers
from calls.providers.choice.budget import LLM_BUDGET, Budget
from calls.providers.choice.choosing import Choosing
from calls.providers.choice.streaming import Request, chosen

CHARS_PER_TOKEN = 4
"""Of English, roughly; good enough where the provider said nothing."""

_COUNTED = ("input_tokens", "output_tokens")


class ChosenModel(Choosing):
    """A `LanguageModel` that asks the first candidate that answers.

    Another one is asked only as long as nothing of an answer was passed on. An answer without any
    parts is an answer. It belongs to one call.
    """

    def __init__(
        self,
        candidates: Sequence[LanguageModel],
        *,
        breakers: Breakers,
        clock: Clock,
        budget: Budget = LLM_BUDGET,
    ) -> None:
        names = [candidate.name for candidate in candidates]
        super().__init__(Stage.LLM, candidates, names, breakers, clock)
        self._candidates = tuple(candidates)
        self._budget = budget

    def answer(self, prompt: Prompt) -> AbstractAsyncContextManager[AsyncIterator[Answer]]:
        request: Request[Answer] = Request(
            ask=lambda index: self._candidates[index].answer(prompt),
            tally=lambda: _Tokens(prompt),
            weighs=lambda _part: True,
            may_be_empty=True,
        )
        return chosen(self, request, self._budget)


@dataclass(slots=True)
class _Tokens:
    """The tokens of an answer, guessed where the provider did not count them."""

    prompt: Prompt
    received_chars: int = 0

    def take(self, part: Answer) -> None:
        match part:
            case TextDelta(text):
                self.received_chars += len(text)
            case ToolCallRequested(_, name, arguments):
                self.received_chars += len(name) + len(arguments)

    def usage(self, noted: Mapping[str, int], *, served: bool) -> tuple[dict[str, int], bool]:
        if not served or any(name in noted for name in _COUNTED):
            return dict(noted), False
        guess = {
            "input_tokens": _tokens(_chars(self.prompt)),
            "output_tokens": _tokens(self.received_chars),
        }
        return {**guess, **noted}, True


def _tokens(chars: int) -> int:
    return -(-chars // CHARS_PER_TOKEN)


def _chars(prompt: Prompt) -> int:
    said = sum(len(item.text) + len(item.arguments or "") for item in prompt.items)
    tools = sum(
        len(tool.name) + len(tool.description) + len(json.dumps(dict(tool.parameters)))
        for tool in prompt.tools
    )
    return len(prompt.system_prompt) + said + tools
