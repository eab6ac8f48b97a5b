"""An answer of Responses out of its events."""

from dataclasses import dataclass
from typing import Any

from openai.types.responses import Response

from calls.ports.errors import ProviderFault
from calls.ports.speech import ToolCallRequested
from calls.ports.usage import note
from calls.providers.openai.assembling import Aloud, calls_fault, figure, new_call_id, text_at
from calls.providers.openai.streaming import plain

HANDLED_EVENTS = frozenset(
    {
        "error",
        "response.completed",
        "response.failed",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.incomplete",
        "response.output_item.added",
        "response.output_item.done",
        "response.output_text.delta",
        "response.refusal.delta",
    }
)
IGNORED_EVENTS = frozenset(
    {
        # The answer goes on; or what it says has come before.
        "response.content_part.added",
        "response.content_part.done",
        "response.created",
        "response.in_progress",
        "response.output_text.annotation.added",
        "response.output_text.done",
        "response.queued",
        "response.refusal.done",
        # What a model says to itself.
        "response.compaction.compacting",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_part.done",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done",
        "response.reasoning_text.delta",
        "response.reasoning_text.done",
        # Tools that run at the provider's, sound and pictures: never asked for.
        "response.audio.delta",
        "response.audio.done",
        "response.audio.transcript.delta",
        "response.audio.transcript.done",
        "response.code_interpreter_call.completed",
        "response.code_interpreter_call.in_progress",
        "response.code_interpreter_call.interpreting",
        "response.code_interpreter_call_code.delta",
        "response.code_interpreter_call_code.done",
        "response.custom_tool_call_input.delta",
        "response.custom_tool_call_input.done",
        "response.file_search_call.completed",
        "response.file_search_call.in_progress",
        "response.file_search_call.searching",
        "response.image_generation_call.completed",
        "response.image_generation_call.generating",
        "response.image_generation_call.in_progress",
        "response.image_generation_call.partial_image",
        "response.mcp_call.completed",
        "response.mcp_call.failed",
        "response.mcp_call.in_progress",
        "response.mcp_call_arguments.delta",
        "response.mcp_call_arguments.done",
        "response.mcp_list_tools.completed",
        "response.mcp_list_tools.failed",
        "response.mcp_list_tools.in_progress",
        "response.shell_call_command.added",
        "response.shell_call_command.delta",
        "response.shell_call_command.done",
        "response.shell_call_output_content.delta",
        "response.shell_call_output_content.done",
        "response.web_search_call.completed",
        "response.web_search_call.in_progress",
        "response.web_search_call.searching",
    }
)

_TOO_LONG = frozenset({"max_output_tokens", "max_tokens"})
"""Reasons why an answer is incomplete that leave it fine as far as it goes."""

_CUT = {"content_filter": ProviderFault.REFUSED}


@dataclass(slots=True)
class _Call:
    call_id: str = ""
    name: str = ""
    arguments: str = ""


class ResponseAnswer:
    """Takes the events of one answer, or the whole of it.

    Attributes:
        over: it has ended, well or not.
        error: what the server said went wrong; None: nothing.
    """

    def __init__(self) -> None:
        self.over = False
        self.error: Any = None
        self._reason = ""
        self._spoke = False
        self._calls: dict[int | str, _Call] = {}
        self._aloud = Aloud()

    def take(self, event: Any) -> str:
        """Take an event, or the whole; gives what is said. What is not known says nothing."""
        if isinstance(event, Response):
            return self._whole(event)
        match text_at(event, "type"):
            case "response.output_text.delta":
                return self._spoken(self._aloud.take(text_at(event, "delta")))
            case "response.refusal.delta":
                return self._spoken(text_at(event, "delta"))
            case "response.completed" | "response.incomplete" | "response.failed":
                return self._whole(getattr(event, "response", None))
            case "error":
                self.over, self.error = True, {"code": getattr(event, "code", None)}
            case kind if kind in HANDLED_EVENTS:
                self._take_call(kind, event)
        return ""

    def end(self) -> str:
        """What was held back."""
        return self._spoken(self._aloud.end())

    def calls(self) -> list[ToolCallRequested]:
        """The calls, in the order in which they began."""
        calls, seen = [], {""}
        for call in self._calls.values():
            call_id = call.call_id if call.call_id not in seen else new_call_id()
            seen.add(call_id)
            calls.append(ToolCallRequested(call_id, call.name, call.arguments))
        return calls

    def fault(self) -> ProviderFault | None:
        """What is wrong with it now that nothing more comes."""
        if not self.over:
            return ProviderFault.TRUNCATED
        if self._reason and self._reason not in _TOO_LONG:
            return _CUT.get(self._reason, ProviderFault.TRUNCATED)
        return calls_fault(self.calls(), cut=bool(self._reason), spoke=self._spoke)

    def _whole(self, response: Any) -> str:
        """Take the response as it stands at the end; gives what was not said before."""
        status = text_at(response, "status")
        output = getattr(response, "output", None)
        self.over = bool(status or output)
        self.error = plain(getattr(response, "error", None))
        if status in {"failed", "cancelled"}:
            self.error = self.error or {}
        reason = text_at(getattr(response, "incomplete_details", None), "reason")
        self._reason = reason or ("other" if status == "incomplete" else "")
        _note_tokens(getattr(response, "usage", None))
        if self._spoke or self._calls or not isinstance(output, list):
            return ""
        return self._spoken("".join(map(self._item, range(len(output)), output)))

    def _take_call(self, kind: str, event: Any) -> None:
        item = getattr(event, "item", None)
        if item is not None:
            if text_at(item, "type") == "function_call":
                self._item(_place(event, item, "id"), item)
            return
        call = self._calls.setdefault(_place(event, event, "item_id"), _Call())
        if kind.endswith(".delta"):
            call.arguments += text_at(event, "delta")
        else:
            call.arguments = text_at(event, "arguments") or call.arguments

    def _item(self, place: int | str, item: Any) -> str:
        """Take an output item; gives the words of a message."""
        match text_at(item, "type"):
            case "function_call":
                call = self._calls.setdefault(place, _Call())
                call.call_id = text_at(item, "call_id") or call.call_id
                call.name = text_at(item, "name") or call.name
                call.arguments = text_at(item, "arguments") or call.arguments
            case "message":
                content = getattr(item, "content", None)
                parts = content if isinstance(content, list) else ()
                words = (text_at(part, "text") or text_at(part, "refusal") for part in parts)
                return self._aloud.take("".join(words))
        return ""

    def _spoken(self, text: str) -> str:
        self._spoke = self._spoke or bool(text)
        return text


def _place(event: Any, named: Any, name: str) -> int | str:
    """Where in the answer it belongs: by its number, else by the id of the item."""
    number = figure(event, "output_index")
    return text_at(named, name) if number is None else number


def _note_tokens(usage: Any) -> None:
    note(
        input_tokens=figure(usage, "input_tokens"),
        cached_tokens=figure(usage, "input_tokens_details", "cached_tokens"),
        output_tokens=figure(usage, "output_tokens"),
        reasoning_tokens=figure(usage, "output_tokens_details", "reasoning_tokens"),
    )
