"""Network providers outside of calls: warmed at the start, closed at the end, and summaries."""

import asyncio
from collections.abc import Mapping
from typing import Any

from calls.conf import calls_settings
from calls.domain.events import Stage
from calls.models.providers import AUTO, EMBEDDED
from calls.providers.embedded.summary import ExtractiveSummarizer
from calls.providers.openai.address import Server
from calls.store.summaries import Summarizers
from calls.wiring.offers import (
    COMPATIBLE,
    OPENAI,
    chosen,
    compatible_server,
    openai_server,
)


async def warm() -> None:
    """Load the SDKs of the providers that are set up: they take up to a second."""
    if _servers():
        await asyncio.to_thread(_load_openai)
        from calls.providers.openai.client import warm as client_warm

        for server in _servers():
            await client_warm(server)
    if calls_settings().elevenlabs_api_key:
        await asyncio.to_thread(_load_elevenlabs)


async def close() -> None:
    """Close the connections that are kept; idempotent."""
    if _servers():
        from calls.providers.openai.client import clients_close

        await clients_close()
    if calls_settings().elevenlabs_api_key:
        from calls.providers.elevenlabs.client import clients_close as elevenlabs_close

        await elevenlabs_close()


def summarizers(agent: Mapping[str, Any]) -> Summarizers:
    """Who summarises a conversation, and picks data out of it, for an agent with these settings."""
    extractive = ExtractiveSummarizer()
    found = _model_for(agent)
    if found is None:
        return Summarizers(model=None, extractive=extractive)
    from calls.providers.openai.extraction import ChatExtractor
    from calls.providers.openai.summary import ChatSummarizer

    return Summarizers(
        model=ChatSummarizer(*found), extractive=extractive, extractor=ChatExtractor(*found)
    )


def _model_for(agent: Mapping[str, Any]) -> tuple[Server, str] | None:
    """The chat server and model of the agent's first language model that is one.

    An agent whose one model hears and speaks has its summaries written by the best there is.
    """
    first = agent.get("llm_provider", AUTO)
    wanted = agent.get("llm_model", "")
    for place, offer in enumerate(chosen(Stage.LLM, first, tuple(agent.get("llm_fallbacks", ())))):
        if offer.name == EMBEDDED:
            continue
        model = offer.model(wanted if place == 0 else "")
        if offer.vendor == COMPATIBLE:
            return compatible_server(Stage.LLM), model
        if offer.vendor == OPENAI:
            return openai_server(), model
    return None


def _servers() -> list[Server]:
    """The servers that speak OpenAI's dialects, as far as they are set up."""
    settings = calls_settings()
    own = [
        compatible_server(stage)
        for stage in (Stage.STT, Stage.LLM, Stage.TTS)
        if getattr(settings, f"{stage.value}_base_url")
    ]
    return [openai_server(), *own] if settings.openai_api_key else own


def _load_openai() -> None:
    from calls.providers.openai import (  # noqa: F401 - loading them is the point
        extraction,
        live,
        llm,
        speech,
        summary,
        transcription,
    )


def _load_elevenlabs() -> None:
    from calls.providers.elevenlabs import batch, http_voice, scribe, voice  # noqa: F401
