"""Whether the database answers, for a supervisor that asks again and again and must not wait."""

from collections.abc import Callable
from threading import Event, Lock, Thread

from django.db import Error, connection


class Probe:
    """Asks in a thread of its own; one question at a time, however many want to know.

    Args:
        ask: raises `django.db.Error` when there is no answer; may hang.
    """

    def __init__(self, ask: Callable[[], None]) -> None:
        self._ask = ask
        self._lock = Lock()
        self._question: _Question | None = None

    def answers(self, within_s: float) -> bool:
        """Whether an answer came in time. A question that still hangs is not asked again."""
        with self._lock:
            if self._question is None or self._question.over.is_set():
                self._question = _Question(self._ask)
            question = self._question
        return question.over.wait(within_s) and question.answered


class _Question:
    def __init__(self, ask: Callable[[], None]) -> None:
        self.over = Event()
        self.answered = False
        Thread(target=self._run, args=(ask,), name="calls-probe", daemon=True).start()

    def _run(self, ask: Callable[[], None]) -> None:
        try:
            ask()
            self.answered = True
        except Error:
            pass
        finally:
            self.over.set()


def _select() -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    finally:
        connection.close()


_probe = Probe(_select)


def database_answers(within_s: float) -> bool:
    """Whether the database answers in time; never waits longer."""
    return _probe.answers(within_s)
