"""The mind and the mouth of a session: answers, as a rule one at a time."""

import asyncio
from functools import partial

from calls.providers.cascade.answer import Answer, Thinking
from calls.providers.cascade.outbox import Job, Outbox, Sender
from calls.providers.cascade.reports import Reports
from calls.providers.cascade.voice import Mouth
from calls.sessions.tasks import Tasks


class Answering:
    """Begins answers and stops them."""

    def __init__(self, tasks: Tasks, outbox: Outbox, reports: Reports) -> None:
        self._reports = reports
        self._tasks = tasks
        self._outbox = outbox
        self._jobs: dict[int, list[Job]] = {}
        self._last: Answer | None = None
        self._unheld = asyncio.Event()
        self._unheld.set()

    @property
    def last_words(self) -> str:
        """What the latest answer has said so far."""
        return self._last.said if self._last else ""

    def begin(self, response_id: int, thinking: Thinking, mouth: Mouth | None) -> None:
        """Give out what `thinking` has to say as that response; without a mouth as text alone."""
        self._forget_over()
        sender = Sender()
        emit = partial(self._outbox.put, sender)
        self._last = Answer(response_id, mouth, self._unheld, emit)
        work = partial(self._last.run, thinking, self._tasks)
        task = self._tasks.start(self._reports.of(work, response_id))
        self._jobs.setdefault(response_id, []).append(Job(task, sender))

    def cancel(self, response_id: int) -> None:
        """Stop it; no event of it comes out any more. Unknown ids are ignored."""
        for job in self._jobs.pop(response_id, ()):
            job.revoke()

    def hold(self, held: bool, /) -> None:
        """Whether further pieces have to wait."""
        if held:
            self._unheld.clear()
        else:
            self._unheld.set()

    def _forget_over(self) -> None:
        left = {key: [job for job in jobs if not job.over] for key, jobs in self._jobs.items()}
        self._jobs = {key: jobs for key, jobs in left.items() if jobs}
