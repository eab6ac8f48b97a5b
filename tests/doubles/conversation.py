"""A conversation with a language model and its tools, without sound or machine."""

import json
from dataclasses import replace

from calls.domain.events import Direction
from calls.domain.items import Item, ItemStatus, Role
from calls.ports.speech import Directed, LanguageModel, Prompt, TextDelta, ToolCallRequested
from calls.ports.tools import CallInfo, Tool, ToolError

CALL = CallInfo("call-1", "demo", "en")


class Conversation:
    """Says things to a model, runs the tools it asks for, and keeps what was said and done."""

    def __init__(
        self, model: LanguageModel, tools: tuple[Tool, ...] = (), *, language: str = "en"
    ) -> None:
        self.items: list[Item] = []
        self.ended = False
        self._model = model
        self._tools = {tool.spec.name: tool for tool in tools}
        self._language = language

    async def say(self, text: str) -> str:
        """What the agent says to that, after all the tools it used."""
        self._add(Role.USER, text)
        return await self.answer()

    async def answer(self) -> str:
        """What the agent says as things stand."""
        said = ""
        prompt = Prompt(
            "", tuple(self.items), [t.spec for t in self._tools.values()], self._language
        )
        async with self._model.answer(prompt) as parts:
            answers = [part async for part in parts]
        said = "".join(part.text for part in answers if isinstance(part, TextDelta))
        if said:
            self._add(Role.AGENT, said)
        calls = [part for part in answers if isinstance(part, ToolCallRequested)]
        for call in calls:
            await self._run(call)
        self.ended = Directed(Direction.END_CALL) in answers
        return said + (await self.answer() if calls else "")

    def cut(self, heard: str) -> None:
        """Of its last words only these were heard."""
        last = self.items[-1]
        self.items[-1] = replace(
            last,
            text=heard,
            unheard=last.text.removeprefix(heard),
            status=ItemStatus.INTERRUPTED,
        )

    def calls(self) -> list[tuple[str, dict[str, str]]]:
        """The tools that were used, and how."""
        used = [item for item in self.items if item.role is Role.TOOL]
        return [(item.tool_name, json.loads(item.arguments)) for item in used]

    async def _run(self, call: ToolCallRequested) -> None:
        status, text = ItemStatus.COMPLETE, ""
        try:
            text = await self._tools[call.name].run(CALL, json.loads(call.arguments))
        except ToolError as error:
            status, text = ItemStatus.FAILED, str(error)
        self._add(
            Role.TOOL,
            text,
            status=status,
            tool_call_id=call.tool_call_id,
            tool_name=call.name,
            arguments=call.arguments,
        )

    def _add(self, role: Role, text: str, **fields: object) -> None:
        number = len(self.items) + 1
        self.items.append(Item(number, role, text, turn=number, **fields))  # type: ignore[arg-type]
