"""AVR's three interfaces for single stages: `docs/protocols/avr.md`, the classic pipeline.

They are requests, not calls: AVR's core puts the stages together, and no conversation is kept.
"""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any

from calls import wiring
from calls.audio.resample import Resampler
from calls.conf import calls_settings
from calls.consumers.avr import secret_given
from calls.consumers.base import Receive, knock_of
from calls.consumers.classic_ears import Ears
from calls.consumers.classic_http import (
    ClientGoneError,
    RefusedError,
    Reply,
    json_body,
    while_there,
)
from calls.consumers.client import Send
from calls.domain.audio import AGENT
from calls.domain.errors import CallError, ErrorCode
from calls.domain.items import Item, Role
from calls.origins import allowed_origin
from calls.ports.errors import ProviderError
from calls.ports.speech import Prompt, Services, TextDelta, TextToSpeech
from calls.providers.cascade.speakable import speakable
from calls.sessions.sentences import SentenceCutter
from calls.store.agents import AgentSettings
from calls.wire.avr.speaking import LINE
from calls.wire.fields import storable
from calls.wiring.classic import classic_services, in_use
from calls.wiring.shared import detector

logger = logging.getLogger(__name__)

LONGEST_S = 4 * 3600
"""Of a call whose agent knows no longest time."""

ANSWER_S = 60
SPEECH_S = 120
MESSAGES_BYTES = 262_144
TEXT_BYTES = 32_768
TEXT_CHARS = 5_000

_ROLES = {"user": Role.USER, "assistant": Role.AGENT, "agent": Role.AGENT}
_STATUS = {
    ErrorCode.NO_SUCH_AGENT: 404,
    ErrorCode.BUSY: 503,
    ErrorCode.DRAINING: 503,
}

Stage = Callable[[AgentSettings, Services, Receive, Reply], Awaitable[None]]


async def classic(scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
    """Serve one request. An ASGI application; only where the settings have it."""
    reply = Reply(send)
    try:
        stage, agent = _asked(scope)
        with wiring.registry().place():
            settings, services = await classic_services(agent)
            await stage(settings, services, receive, reply)
    except ClientGoneError:
        return
    except RefusedError as refusal:
        await reply.refuse(refusal.status, refusal.message)
    except CallError as error:
        await reply.refuse(_STATUS.get(error.code, 500), error.message)
    except (ProviderError, TimeoutError) as error:
        kind = error.kind.value if isinstance(error, ProviderError) else "timeout"
        logger.warning("An AVR stage failed", extra={"path": scope["path"], "kind": kind})
        await reply.refuse(502, "The service behind this could not do it.")


def _asked(scope: Mapping[str, Any]) -> tuple[Stage, str]:
    """Which stage, of which agent.

    Raises:
        RefusedError: it is not for this client.
    """
    query = knock_of(scope).query
    stage = _STAGES.get(scope["path"].rstrip("/"))
    if stage is None or not calls_settings().avr_http:
        raise RefusedError(404, "There is nothing here.")
    if scope["method"] != "POST":
        raise RefusedError(405, "Only POST is served here.")
    if not allowed_origin(scope, missing=True) or not secret_given(query):
        raise RefusedError(403, "The address lacks the secret, or the page is a stranger's.")
    return stage, query.get("agent") or calls_settings().default_agent


# Speech to text


async def _hear(agent: AgentSettings, services: Services, receive: Receive, reply: Reply) -> None:
    """Each utterance is written as it is understood; the answer begins before the first."""
    longest_ms = agent.policy.max_call_ms or LONGEST_S * 1000
    async with asyncio.timeout(longest_ms / 1000), in_use(services.stt):
        await reply.begin("text/event-stream")
        ears = Ears(detector(), services.stt, agent, write=_written(reply))
        await ears.listen(receive)
        await reply.end()


def _written(reply: Reply) -> Callable[[str], Awaitable[None]]:
    async def write(text: str) -> None:
        await reply.write(text.encode(errors="replace"))

    return write


# Language model


async def _think(agent: AgentSettings, services: Services, receive: Receive, reply: Reply) -> None:
    prompt = _prompt(agent, await json_body(receive, most_bytes=MESSAGES_BYTES))

    async def answer() -> None:
        async with (
            asyncio.timeout(ANSWER_S),
            in_use(services.llm),
            services.llm.answer(prompt) as answers,
        ):
            async for piece in answers:
                if isinstance(piece, TextDelta) and piece.text:
                    await reply.begin("text/event-stream")
                    # Escaped to ASCII: half a surrogate pair must not break the stream.
                    fields = {"type": "text", "content": piece.text}
                    await reply.write(json.dumps(fields, separators=(",", ":")).encode())
        await reply.begin("text/event-stream")
        await reply.end()

    await while_there(receive, answer())


def _prompt(agent: AgentSettings, body: Mapping[str, Any]) -> Prompt:
    """The conversation as AVR's core keeps it; its instructions follow the agent's own.

    Raises:
        RefusedError: there is none.
    """
    said = _messages(body)
    items = [
        Item(item_id=number, role=_ROLES[role], text=text, turn=number)
        for number, (role, text) in enumerate((entry for entry in said if entry[0] in _ROLES), 1)
    ]
    if not items:
        raise RefusedError(400, "Messages is required")
    told = [text for role, text in said if role not in _ROLES]
    return Prompt(
        system_prompt="\n\n".join([agent.system_prompt, *told]).strip(),
        items=items,
        tools=(),
        language=agent.language,
    )


def _messages(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Role and words of each message; one connector sends a single `message` instead."""
    entries = body.get("messages")
    if entries is None and isinstance(body.get("message"), str):
        entries = [{"role": "user", "content": body["message"]}]
    if not isinstance(entries, list):
        raise RefusedError(400, "Messages is required")
    found = []
    for entry in entries:
        role, text = (entry.get(key) for key in ("role", "content")) if _is(entry) else (0, 0)
        if role not in (*_ROLES, "system") or not isinstance(text, str) or not storable(text):
            raise RefusedError(400, "Each message needs a known role and text as its content.")
        if text.strip():
            found.append((role, text))
    return found


def _is(entry: object) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("role"), str)


# Text to speech


async def _speak(agent: AgentSettings, services: Services, receive: Receive, reply: Reply) -> None:
    body = await json_body(receive, most_bytes=TEXT_BYTES)
    text = body.get("text")
    if not isinstance(text, str) or not text.strip() or len(text) > TEXT_CHARS:
        raise RefusedError(400, "Text is required")
    if services.tts is None:
        raise RefusedError(501, "This agent has no voice.")
    voice = services.tts

    async def say() -> None:
        async with (
            asyncio.timeout(SPEECH_S),
            in_use(voice),
            aclosing(_sound(voice, agent, text)) as sound,
        ):
            async for pcm in sound:
                await reply.begin("audio/l16")
                await reply.write(pcm)
        await reply.begin("audio/l16")
        await reply.end()

    await while_there(receive, say())


async def _sound(
    voice: TextToSpeech, agent: AgentSettings, text: str
) -> AsyncGenerator[bytes, None]:
    """The text's sound for a telephone line, sentence by sentence."""
    resampler = Resampler(AGENT.rate_hz, LINE.rate_hz)
    for piece in _pieces(text, agent.language):
        said = voice.speak(piece, language=agent.language, voice=agent.voice, speed=agent.speed)
        async with said as sound:
            async for spoken in sound:
                if pcm := resampler.feed(spoken.pcm):
                    yield pcm
    if rest := resampler.flush():
        yield rest


def _pieces(text: str, language: str) -> list[str]:
    """What is said aloud of it, in pieces that a voice likes."""
    cutter = SentenceCutter()
    pieces, in_code = [], False
    for piece in (*cutter.feed(text), cutter.flush()):
        spoken = speakable(piece, in_code=in_code, language=language)
        in_code = spoken.in_code
        if spoken.audible:
            pieces.append(spoken.text)
    return pieces


_STAGES: Mapping[str, Stage] = {
    "/speech-to-text-stream": _hear,
    "/prompt-stream": _think,
    "/text-to-speech-stream": _speak,
}
