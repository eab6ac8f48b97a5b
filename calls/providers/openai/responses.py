"""A language model behind OpenAI's Responses, told the whole conversation each time.

The server keeps nothing: its own history would hold words that the caller never heard.
"""

from collections.abc import Awaitable, Mapping
from typing import Any, ClassVar

from openai import AsyncOpenAI
from openai.types.responses import Response
from typing_extensions import override

from calls.ports.speech import Prompt
from calls.providers.openai.messages import response_items, response_tools
from calls.providers.openai.model import HttpLanguageModel, as_it_is
from calls.providers.openai.profile import Style
from calls.providers.openai.response_events import ResponseAnswer


class ResponsesLanguageModel(HttpLanguageModel):
    """Asks by `POST /responses`."""

    whole_type: ClassVar[Any] = Response

    @override
    def _options(self, wanted: Style, limit: int | None) -> Mapping[str, Any]:
        return {
            "temperature": wanted.temperature,
            "reasoning": {"effort": wanted.effort} if wanted.effort else None,
            "text": {"verbosity": wanted.verbosity} if wanted.verbosity else None,
            "max_output_tokens": limit,
            "store": False,
        }

    @override
    def _request(self, prompt: Prompt) -> Mapping[str, Any]:
        request: dict[str, Any] = {"input": response_items(prompt)}
        if prompt.system_prompt:
            request["instructions"] = prompt.system_prompt
        if prompt.tools:
            tools = response_tools(prompt.tools, strict=self._profile.strict_tools)
            request |= {"tools": tools, **self._tool_options(prompt)}
        return request

    @override
    def _one_tool(self, name: str) -> dict[str, Any]:
        return {"type": "function", "name": name}

    @override
    def _streamed(self) -> Mapping[str, Any]:
        without_padding = {"stream_options": {"include_obfuscation": False}}
        return without_padding if self._profile.obfuscation else {}

    @override
    def _create(self, sdk: AsyncOpenAI, request: Mapping[str, Any]) -> Awaitable[Any]:
        return sdk.responses.create(**as_it_is(request, "input", "tools"))

    @override
    def _gathering(self) -> ResponseAnswer:
        return ResponseAnswer()
