"""One text on its way to sound, as events of a realtime session tell of it."""

import asyncio
import base64
import binascii
import re
from collections import deque
from collections.abc import AsyncIterator, Mapping
from difflib import SequenceMatcher
from typing import Any

from calls.domain.audio import AGENT
from calls.domain.items import Mark
from calls.ports.errors import ProviderError, ProviderFault
from calls.ports.speech import SpokenAudio
from calls.providers.openai.realtime_faults import response_error
from calls.providers.openai.realtime_line import RealtimeLine

DONE = "response.done"
AUDIO = frozenset({"response.output_audio.delta", "response.audio.delta"})
TRANSCRIPT = frozenset(
    {"response.output_audio_transcript.delta", "response.audio_transcript.delta"}
)
"""Look-alikes still use the older names."""

WAITING_BYTES = AGENT.bytes(300_000)
"""No text takes so long: who is so far behind will not catch up."""

REWORDED = 0.3
"""With more of its words changed, a text was not read but retold."""


class Reading:
    """What was asked for, and what of it has come.

    Attributes:
        piece: our own id of the text.
        asked: the server was asked.
        unwanted: nobody listens any more.
        usage: as the provider told it.
        reworded: what was said is another text.
    """

    def __init__(self, piece: str, text: str) -> None:
        self.piece = piece
        self.text = text
        self.response_id = ""
        self.asked = False
        self.unwanted = False
        self.usage: Mapping[str, Any] = {}
        self.reworded = False
        self._error: ProviderError | None = None
        self._over = asyncio.Event()
        self._news = asyncio.Event()
        self._waiting: deque[SpokenAudio] = deque()
        self._waiting_bytes = 0
        self._odd = b""
        self._received_bytes = 0
        self._said = ""
        self._marked = 0
        self._mark: Mark | None = None

    @property
    def over(self) -> bool:
        return self._over.is_set()

    async def ended(self) -> None:
        """Until the server has told the end, or nobody can."""
        await self._over.wait()

    async def chunks(self) -> AsyncIterator[SpokenAudio]:
        """Its sound, as it comes.

        Raises:
            ProviderError: there is no more, and it is not complete.
        """
        while True:
            while self._waiting:
                chunk = self._waiting.popleft()
                self._waiting_bytes -= len(chunk.pcm)
                yield chunk
            if self._error is not None:
                raise self._error
            if self.over:
                return
            self._news.clear()
            await self._news.wait()

    def take(self, kind: str, event: Mapping[str, Any], line: RealtimeLine) -> None:
        """An event of its response has come."""
        if kind == DONE:
            self._done(event["response"], line)
        elif kind in TRANSCRIPT:
            self._transcript(str(event.get("delta") or ""))
        elif not (self.unwanted or self.over):
            self._sound(str(event["delta"]), line)

    def lost(self, error: ProviderError) -> None:
        """Nothing more comes; sound that has begun is cut off by that."""
        if self._received_bytes and error.kind is ProviderFault.UNAVAILABLE:
            error = ProviderError(
                ProviderFault.TRUNCATED,
                "The voice ended in the middle of a text.",
                provider=error.provider,
                stage=error.stage,
                retryable=True,
                request_id=self.response_id,
            )
        self.fail(error)

    def fail(self, error: ProviderError) -> None:
        if not self.over:
            self._error = error
            self._end()

    def _end(self) -> None:
        self._over.set()
        self._news.set()

    def _done(self, response: Mapping[str, Any], line: RealtimeLine) -> None:
        usage = response.get("usage")
        self.usage = usage if isinstance(usage, Mapping) else {}
        address = line.address
        error = response_error(response, provider=address.provider, stage=address.stage)
        if error is None and not self._received_bytes:
            error = line.fault(ProviderFault.TRUNCATED)
        if error is not None:
            self.fail(error)
        complete = response.get("status") == "completed" and bool(self._said)
        self.reworded = complete and differs(self.text, self._said)
        self._end()

    def _sound(self, audio: str, line: RealtimeLine) -> None:
        try:
            pcm = self._odd + base64.b64decode(audio, validate=True)
        except binascii.Error:
            self.fail(line.fault(ProviderFault.INVALID))
            return
        whole = len(pcm) // 2 * 2
        pcm, self._odd = pcm[:whole], pcm[whole:]
        self._received_bytes += len(pcm)
        self._waiting_bytes += len(pcm)
        marks, self._mark = (self._mark,) if self._mark else (), None
        self._waiting.append(SpokenAudio(pcm, marks))
        self._news.set()
        if self._waiting_bytes > WAITING_BYTES:
            self.fail(line.fault(ProviderFault.INVALID))

    def _transcript(self, delta: str) -> None:
        """Words come just before their sound: with further words, those before have been said."""
        self._place_mark()
        self._said += delta

    def _place_mark(self) -> None:
        end_char, at_ms = len(self._said.rstrip()), AGENT.ms_of(self._received_bytes)
        sounded = self._received_bytes > self._marked
        if end_char and sounded and self.text.startswith(self._said.rstrip()):
            self._marked = self._received_bytes
            self._mark = Mark(end_char, at_ms)


def differs(text: str, said: str) -> bool:
    """Whether more of the words differ than a voice mishears of itself."""
    wanted, came = _words(text), _words(said)
    matcher = SequenceMatcher(None, wanted, came, autojunk=False)
    same = sum(block.size for block in matcher.get_matching_blocks())
    return 1 - same / max(len(wanted), len(came), 1) > REWORDED and wanted != came


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())
