"""A language model behind chat completions: the dialect that self-hosted servers speak too."""

from collections.abc import Awaitable, Mapping
from typing import Any, ClassVar

from openai import AsyncOpenAI
from openai.types.chat import ChatCompletion
from typing_extensions import override

from calls.ports.speech import Prompt
from calls.providers.openai.assembling import ChatAnswer
from calls.providers.openai.messages import chat_messages, chat_tools
from calls.providers.openai.model import HttpLanguageModel, as_it_is
from calls.providers.openai.profile import Style


class ChatLanguageModel(HttpLanguageModel):
    """Asks by `POST /chat/completions`."""

    whole_type: ClassVar[Any] = ChatCompletion

    @override
    def _options(self, wanted: Style, limit: int | None) -> Mapping[str, Any]:
        return {
            "temperature": wanted.temperature,
            "reasoning_effort": wanted.effort,
            "verbosity": wanted.verbosity,
            self._profile.answer_limit: limit,
        }

    @override
    def _request(self, prompt: Prompt) -> Mapping[str, Any]:
        messages = {"messages": chat_messages(prompt)}
        if not prompt.tools:
            return messages
        tools = chat_tools(prompt.tools, strict=self._profile.strict_tools)
        return {**messages, "tools": tools, **self._tool_options(prompt)}

    @override
    def _one_tool(self, name: str) -> dict[str, Any]:
        return {"type": "function", "function": {"name": name}}

    @override
    def _streamed(self) -> Mapping[str, Any]:
        options: dict[str, Any] = {}
        if self._profile.stream_usage:
            options["include_usage"] = True
        if self._profile.obfuscation:
            options["include_obfuscation"] = False
        return {"stream_options": options} if options else {}

    @override
    def _create(self, sdk: AsyncOpenAI, request: Mapping[str, Any]) -> Awaitable[Any]:
        return sdk.chat.completions.create(**as_it_is(request, "messages", "tools"))

    @override
    def _gathering(self) -> ChatAnswer:
        return ChatAnswer()
