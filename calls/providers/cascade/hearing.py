"""The ears of a session: utterances, one after the other."""

import asyncio
from functools import partial

from calls.domain.events import TranscriptFinal
from calls.ports.speech import SpeechToText
from calls.providers.cascade.outbox import Job, Outbox, Sender
from calls.providers.cascade.reports import Reports
from calls.providers.cascade.utterance import Ears, Utterance
from calls.sessions.tasks import Tasks


class Hearing:
    """Takes sound for the utterance that goes on; commits or forgets it.

    What committed utterances say comes out in their order. Times are milliseconds on the clock of
    `tasks`.
    """

    def __init__(
        self,
        stt: SpeechToText,
        tasks: Tasks,
        outbox: Outbox,
        reports: Reports,
        deadline_ms: int,
    ) -> None:
        self._stt = stt
        self._reports = reports
        self._tasks = tasks
        self._outbox = outbox
        self._deadline_ms = deadline_ms
        self._open: tuple[Utterance, Job] | None = None
        self._before = asyncio.Event()
        self._before.set()

    def feed(self, pcm: bytes, *, language: str, context: str) -> None:
        """Take sound; the first of an utterance opens it, in that language and context."""
        if self._open is None:
            utterance = Utterance(self._tasks.clock, self._deadline_ms, self._before)
            sender = Sender()
            ears = Ears(self._stt, language, context, partial(self._outbox.put, sender))
            work = partial(utterance.run, ears, self._tasks)
            task = self._tasks.start(self._reports.of(work))
            self._open = utterance, Job(task, sender)
        self._open[0].feed(pcm)

    def commit(self) -> None:
        """The utterance is complete. Without any sound nothing was understood."""
        if self._open is None:
            settled = asyncio.Event()
            _ = self._tasks.start(self._tell_nothing(self._before, settled))
            self._before = settled
            return
        utterance, _ = self._open
        utterance.commit()
        self._before, self._open = utterance.settled, None

    def discard(self) -> None:
        """Forget the utterance that goes on, and what it has already said."""
        if self._open is not None:
            self._open[1].revoke()
            self._open = None

    async def _tell_nothing(self, before: asyncio.Event, settled: asyncio.Event) -> None:
        await before.wait()
        await self._outbox.put(Sender(), TranscriptFinal(text="", provider=self._stt.name))
        settled.set()
