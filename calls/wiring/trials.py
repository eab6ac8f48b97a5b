"""Trying providers out: one small request each, with the time it took."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from calls.audio.resample import Resampler
from calls.conf import calls_settings
from calls.domain.audio import AGENT, CALLER
from calls.domain.events import (
    ResponseAudio,
    ResponseDone,
    Stage,
    VoiceFailed,
)
from calls.domain.items import Item, Role
from calls.ports.errors import ProviderError, ProviderFault
from calls.ports.speech import CallScoped, Prompt, TextDelta
from calls.ports.tools import CallInfo
from calls.ports.voice import VoiceSession
from calls.store.agents import AgentSettings
from calls.wiring.offers import Offer, Wanted, offers
from calls.wiring.sessions import realtime, realtime_model
from calls.wiring.shared import CLOCK, speech

PATIENCE_S = 20
SENTENCE = "What are your opening hours?"
REQUEST = "Say yes."
FRAME_MS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of trying one provider.

    Attributes:
        first_ms: from the request (of ears: from the end of the speech) to the first of the
            result; None: nothing came.
        total_ms: to its end.
        result: in words.
        fault: None when it works.
        needs: the setting that is missing; then nothing was tried.
    """

    stage: Stage
    name: str
    model: str = ""
    first_ms: int | None = None
    total_ms: int = 0
    result: str = ""
    fault: ProviderFault | None = None
    needs: str = ""
    retry_after_ms: int | None = None

    @property
    def works(self) -> bool:
        return self.fault is None and not self.needs


Measured = tuple[int | None, str]
Try = Callable[[], Awaitable[Measured]]


async def trial(stage: Stage, offer: Offer) -> Trial:
    """Try the provider, if the installation has it."""
    model = offer.model()
    blank = Trial(stage=stage, name=offer.name, model=model)
    if missing := offer.missing():
        return replace(blank, needs=missing)
    service = offer.build(Wanted(model=model))
    attempts: dict[Stage, Callable[[], Awaitable[Measured]]] = {
        Stage.STT: lambda: _hear(service),
        Stage.LLM: lambda: _answer(service),
        Stage.TTS: lambda: _speak(service),
    }
    return await _tried(blank, service, attempts[stage])


async def realtime_trial(agent: AgentSettings) -> Trial:
    """Try a speech-to-speech session: open it, and have it answer a typed word."""
    blank = Trial(stage=Stage.VOICE, name="openai-realtime", model=realtime_model(agent))
    if not calls_settings().openai_api_key:
        return replace(blank, needs="OPENAI_API_KEY")
    info = CallInfo(call_id="doctor", agent=agent.slug, language=agent.language, metadata={})
    session = realtime(agent, info, (), apologises=False)
    return await _tried(blank, session, lambda: _converse(session))


def all_offers() -> list[tuple[Stage, Offer]]:
    """Every provider of every stage."""
    return [
        (stage, entry) for stage in (Stage.STT, Stage.LLM, Stage.TTS) for entry in offers(stage)
    ]


async def _tried(blank: Trial, service: object, attempt: Try) -> Trial:
    began_ms = CLOCK.now_ms()
    try:
        async with asyncio.timeout(PATIENCE_S), AsyncExitStack() as stack:
            if isinstance(service, CallScoped):
                await stack.enter_async_context(service)
                service.warm()
            first_ms, result = await attempt()
    except ProviderError as error:
        return replace(
            blank, fault=error.kind, result=error.message, retry_after_ms=error.retry_after_ms
        )
    except TimeoutError:
        return replace(
            blank, fault=ProviderFault.TIMEOUT, result=f"Nothing came within {PATIENCE_S} s."
        )
    return replace(blank, first_ms=first_ms, total_ms=CLOCK.now_ms() - began_ms, result=result)


async def _hear(service: object) -> Measured:
    pcm = await _sample()
    async with service.utterance(language="en") as transcriber:  # type: ignore[attr-defined]
        for at in range(0, len(pcm), CALLER.bytes(FRAME_MS)):
            await transcriber.feed(pcm[at : at + CALLER.bytes(FRAME_MS)])
        ended_ms = CLOCK.now_ms()
        text = await transcriber.finish()
    if not text:
        return None, "It understood nothing of a spoken sentence."
    return CLOCK.now_ms() - ended_ms, f"heard “{text}”"


async def _answer(service: object) -> Measured:
    began_ms, first_ms, text = CLOCK.now_ms(), None, ""
    asked = Item(item_id=1, role=Role.USER, text=REQUEST, turn=1)
    prompt = Prompt("Answer with one word.", (asked,), (), "en")
    async with service.answer(prompt) as parts:  # type: ignore[attr-defined]
        async for part in parts:
            if isinstance(part, TextDelta):
                first_ms = CLOCK.now_ms() - began_ms if first_ms is None else first_ms
                text += part.text
    return first_ms, f"said “{text.strip()[:60]}”"


async def _speak(service: object) -> Measured:
    began_ms, first_ms, sound = CLOCK.now_ms(), None, 0
    async with service.speak(  # type: ignore[attr-defined]
        SENTENCE, language="en", voice="", speed=1.0
    ) as chunks:
        async for chunk in chunks:
            first_ms = CLOCK.now_ms() - began_ms if first_ms is None else first_ms
            sound += len(chunk.pcm)
    return first_ms, f"{AGENT.ms_of(sound) / 1000:.1f} s of sound"


async def _converse(session: VoiceSession) -> Measured:
    asked = Item(item_id=1, role=Role.USER, text=REQUEST, turn=1)
    outcomes: list[str] = []
    session.report_to(lambda report, _: outcomes.append(report.outcome))
    async with session:
        began_ms, first_ms, sound = CLOCK.now_ms(), None, 0
        await session.respond(1, (asked,), tools_allowed=False)
        async for event in session.events():
            if isinstance(event, ResponseAudio):
                first_ms = CLOCK.now_ms() - began_ms if first_ms is None else first_ms
                sound += len(event.pcm)
            if isinstance(event, VoiceFailed):
                raise _failure(event, outcomes)
            if isinstance(event, ResponseDone):
                break
    return first_ms, f"{AGENT.ms_of(sound) / 1000:.1f} s of sound"


def _failure(event: VoiceFailed, outcomes: list[str]) -> ProviderError:
    """What the session says in words, with the kind of fault that its reports name."""
    named = [ProviderFault(kind) for kind in outcomes if kind in set(ProviderFault)]
    kind = named[-1] if named else ProviderFault.UNAVAILABLE
    return ProviderError(kind, event.message, provider="openai", stage=Stage.VOICE)


async def _sample() -> bytes:
    """A spoken sentence as a caller's microphone would send it, from the offline voice."""
    resampler = Resampler(AGENT.rate_hz, CALLER.rate_hz)
    pcm = bytearray(CALLER.bytes(300))
    async with speech().tts.speak(SENTENCE, language="en", voice="", speed=1.0) as chunks:
        async for chunk in chunks:
            pcm += resampler.feed(chunk.pcm)
    return bytes(pcm + bytes(CALLER.bytes(300)))
