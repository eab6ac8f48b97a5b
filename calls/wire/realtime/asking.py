"""`response.create`: what one answer shall be like."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from calls.domain.items import Item
from calls.domain.wishes import Wishes
from calls.wire.realtime.dialect import Dialect
from calls.wire.realtime.given import read_input
from calls.wire.realtime.items import Items
from calls.wire.realtime.reading import Fields
from calls.wire.realtime.refusal import invalid
from calls.wire.realtime.settings import Settings, read_modalities, read_tokens
from calls.wire.realtime.tools import read_tool_choice, read_tools

MOST_METADATA = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """An answer that a client asked for, or that the server began itself.

    Attributes:
        aside: beside the conversation.
        items: what it answers; None: the conversation as it stands.
        tools: names of functions whose calls the client answers.
    """

    wishes: Wishes = field(default_factory=Wishes)
    aside: bool = False
    items: tuple[Item, ...] | None = None
    text_only: bool = False
    max_output_tokens: int = 0
    metadata: Mapping[str, str] | None = None
    tools: frozenset[str] = frozenset()


def by_itself(settings: Settings) -> Asked:
    """An answer that nobody asked for."""
    return Asked(
        text_only=settings.text_only,
        max_output_tokens=settings.max_output_tokens,
        tools=_names(settings.tools),
    )


def read_asked(
    response: Fields, settings: Settings, items: Items, dialect: Dialect, *, configures: bool
) -> Asked:
    """What the client wants.

    Args:
        configures: it may give instructions, tools, and words of others than the caller.

    Raises:
        Refusal: something of it is wrong.
    """
    conversation = response.one_of("conversation", ("auto", "none")) or "auto"
    aside = conversation == "none"
    given = read_input(response, items, configures=configures)
    if given is not None and not aside:
        raise invalid(response.at("input"), "left out unless `conversation` is `none`")
    text_only, most = _manner(response, dialect)
    tools = read_tools(response) if configures else None
    known = settings.tools if tools is None else tools
    choice = read_tool_choice(response, known) if response.has("tool_choice") else ""
    instructions = response.text("instructions")
    metadata = _metadata(response)
    wishes = Wishes(
        instructions=instructions if configures else None,
        text_only=text_only,
        tool_choice=choice,
        tools=tools,
        max_output_tokens=most,
        metadata=metadata or {},
    )
    return Asked(
        wishes=wishes,
        aside=aside,
        items=given,
        text_only=settings.text_only if text_only is None else text_only,
        max_output_tokens=settings.max_output_tokens if most is None else most,
        metadata=metadata,
        tools=_names(known),
    )


def _names(tools: tuple[dict[str, Any], ...]) -> frozenset[str]:
    return frozenset(str(tool["name"]) for tool in tools)


def _manner(response: Fields, dialect: Dialect) -> tuple[bool | None, int | None]:
    """Clients of either dialect send a modality alone here; both together mean sound."""
    allowed = (["audio"], ["text"], ["text", "audio"], ["audio", "text"])
    if dialect is Dialect.GA:
        text_only = read_modalities(response, "output_modalities", allowed)
        return text_only, read_tokens(response, "max_output_tokens")
    text_only = read_modalities(response, "modalities", allowed)
    return text_only, read_tokens(response, "max_response_output_tokens")


def _metadata(response: Fields) -> dict[str, str] | None:
    metadata = response.plain("metadata")
    if metadata is None:
        return None
    path = response.at("metadata")
    if len(metadata) > MOST_METADATA:
        raise invalid(path, f"an object of at most {MOST_METADATA} fields")
    for key, value in metadata.items():
        if len(key) > 64 or not isinstance(value, str) or len(value) > 512:
            raise invalid(path, "names of 64 characters at most, with texts of 512 at most")
    return metadata
