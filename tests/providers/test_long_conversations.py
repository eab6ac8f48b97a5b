"""What a request costs the event loop must not grow with the conversation."""

import sys
from types import FrameType

import pytest

from calls.domain.items import Item, Role
from calls.ports.speech import Prompt
from calls.providers.openai.address import Server
from calls.providers.openai.client import client, clients_close
from calls.providers.openai.llm import ChatLanguageModel
from calls.providers.openai.responses import ResponsesLanguageModel
from tests.doubles.providers.base import serving
from tests.doubles.providers.openai_http import OpenAIHttpDouble

LONG = 400


class Looks:
    """Counts what the SDK calls in order to look through a request."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> "Looks":
        sys.setprofile(self._called)
        return self

    def __exit__(self, *exc: object) -> None:
        sys.setprofile(None)

    def _called(self, frame: FrameType, event: str, _: object) -> None:
        self.count += event == "call" and frame.f_globals["__name__"] == "openai._utils._transform"


def conversation(length: int) -> Prompt:
    roles = (Role.USER, Role.AGENT)
    said = [Item(n + 1, roles[n % 2], "So it is.", turn=1 + n // 2) for n in range(length - 1)]
    return Prompt("Be kind.", (*said, Item(length, Role.USER, "And now?", turn=length)), (), "en")


async def looks(model, length: int) -> int:
    with Looks() as looked:
        async with model.answer(conversation(length)) as parts:
            _ = [part async for part in parts]
    return looked.count


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", [ChatLanguageModel, ResponsesLanguageModel])
async def test_the_sdk_does_not_look_through_what_was_said(kind):
    double = OpenAIHttpDouble()
    async with serving(double):
        server = Server(double.base_url, double.key, "openai", "openai")
        await client(server)
        model = kind(server, "gpt-6-luna")
        _, short, long = [await looks(model, length) for length in (1, 1, LONG)]
        await clients_close()
    assert short > 0
    assert long == short
    said = double.asked[-1].body.get("messages") or double.asked[-1].body["input"]
    assert len(said) >= LONG
