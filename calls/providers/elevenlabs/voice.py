"""ElevenLabs' voices on sockets that stay open during a call: the quickest way to hear them."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import aclosing, asynccontextmanager
from typing import Any, Self
from urllib.parse import quote

from calls.domain.events import Stage
from calls.ports.clock import Clock
from calls.ports.errors import ProviderFault
from calls.ports.speech import SpokenAudio
from calls.ports.usage import note
from calls.providers.elevenlabs.address import NAME, ElevenLabs
from calls.providers.elevenlabs.contexts import Line, Place
from calls.providers.elevenlabs.faults import fault
from calls.providers.elevenlabs.piece import Order
from calls.providers.elevenlabs.request import (
    DEFAULT_VOICE,
    OUTPUT_FORMAT,
    Timbre,
    language_code,
    only_by_http,
)
from calls.providers.elevenlabs.sound import spoken

INACTIVITY_S = 30
"""The service closes a socket on which we said nothing for so long."""


class MultiContextVoice:
    """A `TextToSpeech` for one call, `CallScoped`: use it within `async with`.

    Voices are named by their ids, not by the names that people give them; empty is
    `DEFAULT_VOICE`. Models whose names begin with eleven_v3 or eleven_v4 are `UNSUPPORTED` here.

    Args:
        voice, language: what will be asked for first, as far as that is known: `warm` connects for
            it. Without them it connects for what was asked for last.
    """

    def __init__(
        self,
        address: ElevenLabs,
        model: str = "eleven_flash_v2_5",
        *,
        clock: Clock,
        timbre: Timbre | None = None,
        voice: str = "",
        language: str = "",
    ) -> None:
        self.name = f"{NAME}:{model}"
        self._address = address
        self._model = model
        self._clock = clock
        self._timbre = timbre or Timbre()
        self._lines: dict[tuple[str, str], Line] = {}
        self._next = self._key(voice, language) if voice or language else None
        self._group: asyncio.TaskGroup | None = None
        self._running: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        group, self._group = self._group, None
        if group is None:
            return
        for task in tuple(self._running):
            task.cancel()
        await group.__aexit__(None, None, None)

    def warm(self) -> None:
        if self._group is not None and self._next is not None and not only_by_http(self._model):
            self._line(*self._next).warm()

    @asynccontextmanager
    async def speak(
        self, text: str, *, language: str, voice: str, speed: float
    ) -> AsyncIterator[AsyncIterator[SpokenAudio]]:
        if only_by_http(self._model):
            raise fault(ProviderFault.UNSUPPORTED, stage=Stage.TTS)
        if self._group is None:
            raise fault(ProviderFault.UNAVAILABLE, stage=Stage.TTS, message="The call is over.")
        self._next = self._key(voice, language)
        order = Order(f"{text.strip()} ", self._timbre.settings(speed))
        async with self._line(*self._next).piece(order) as piece:
            note(model=self._model, characters=len(order.text) - 1)
            async with aclosing(spoken(text, piece.chunks(), end_is_told=True)) as sound:
                yield sound

    def _key(self, voice: str, language: str) -> tuple[str, str]:
        return voice or DEFAULT_VOICE, language_code(self._model, language)

    def _line(self, voice: str, language: str) -> Line:
        if (voice, language) not in self._lines:
            place = Place(self._url(voice, language), self._address.headers, self._clock)
            self._lines[voice, language] = Line(place, self._start)
        return self._lines[voice, language]

    def _url(self, voice: str, language: str) -> str:
        return self._address.ws_url(
            f"/v1/text-to-speech/{quote(voice, safe='')}/multi-stream-input",
            {
                "model_id": self._model,
                "output_format": OUTPUT_FORMAT,
                "language_code": language,
                "auto_mode": True,
                "sync_alignment": True,
                "apply_text_normalization": "auto",
                "inactivity_timeout": INACTIVITY_S,
            },
        )

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        assert self._group is not None
        task = self._group.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
