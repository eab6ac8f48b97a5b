"""Faults of a session whose one model hears and speaks: there is nobody next in line but a voice."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.doubles.providers.base import Fault
from tests.doubles.providers.openai_http import problem
from tests.doubles.providers.openai_realtime import (
    Fails,
    Hear,
    Stops,
    session_expired,
)
from tests.faults.bench import APOLOGY, SLACK_MS, Call
from tests.faults.rows_sockets import UNKNOWN, _event, losses

TITLE = "OpenAI Realtime, one model that hears and speaks"
SAID = ("Yes. ", "Ok.")
RETRY_MS = 500

WELL = ("stt ok", "voice ok id")
HEARD = 3
"""So many messages of the stand-in come before it has heard anything."""
THOUGHT = 10
"""And so many before the first word of an answer."""


@dataclass(frozen=True, kw_only=True)
class SessionRow:
    """As `table.Row`, of a session.

    Attributes:
        words: that are shown.
        voices: that are heard: "first" is the model's, "last" the last resort's.
        error: shown to the caller; `turn_error` is on the record.
        record: requests of turn 1 in order: stage, outcome, "id", "estimated".
        held_until: what the double holds back comes when this is so; None: nothing is held back.
    """

    fault: str
    notice: str
    strikes: tuple[Fault, ...] = ()
    prepare: Callable[[Any], None] = lambda _double: None
    words: str = "".join(SAID)
    voices: tuple[str, ...] = ("first",)
    error: str = ""
    turn_error: str = ""
    retries: bool = False
    record: tuple[str, ...] = WELL
    held_until: Callable[[Call, Any], object] | None = None

    @property
    def wait_ms(self) -> int:
        return SLACK_MS + RETRY_MS * self.retries

    def cells(self) -> tuple[str, ...]:
        record = ", ".join(self.record) + (
            f"; turn: `{self.turn_error}`" if self.turn_error else ""
        )
        wait = "the pause before a new connection" if self.retries else "none"
        return self.fault, self.notice, wait, record, "the first choice"

    def __str__(self) -> str:
        return f"{TITLE}: {self.fault} -> {self.notice}"


def _apology(voice: str, code: str, **expected: Any) -> dict[str, Any]:
    by = "the last resort" if voice == "last" else "the model"
    base = {"notice": f"the apology, by {by}", "words": APOLOGY, "voices": (voice,)}
    return base | {"error": code} | expected


def _losses(at: int) -> list[tuple[str, Fault]]:
    """A proper close, a cut, and nonsense: other codes of a close make no difference here."""
    proper, *_, cut, garbage = losses(at)
    return [proper, cut, garbage]


def session_rows() -> Iterator[SessionRow]:
    down, cut = problem(500, "server_error"), Fault(drop_before_headers=True)
    once: dict[str, Any] = {"notice": "nothing", "retries": True}
    for fault, strike, told in (
        ("500", down, "voice unavailable id"),
        ("503", problem(503), "voice busy id"),
        ("connection cut", cut, "voice unavailable"),
    ):
        record = (told, *WELL)
        yield SessionRow(fault=f"handshake: {fault} once", strikes=(strike,), record=record, **once)
    for fault, strike in _losses(HEARD):
        yield SessionRow(fault=f"{fault} before the transcript", strikes=(strike,), **once)
    for fault, strike in _losses(THOUGHT):
        yield SessionRow(
            fault=f"{fault} before a word of the answer",
            strikes=(strike,),
            record=("stt ok", "voice unavailable id estimated"),
            **_apology("last", "internal", turn_error="llm_failed"),
        )
    yield SessionRow(
        fault="the session's hour is over, before a word of the answer",
        strikes=(Fault(after=THOUGHT, event=session_expired(), ws_close=(1001, "")),),
        record=("stt ok", "voice unavailable id estimated"),
        **_apology("last", "internal", turn_error="llm_failed"),
    )
    yield from _answers()
    nothing: dict[str, Any] = {"notice": "nothing"}
    error = Fault(after=THOUGHT, event=_event("server_error"))
    yield SessionRow(fault="`error` event of no request", strikes=(error,), **nothing)
    yield SessionRow(fault="unknown event", strikes=(Fault(after=6, event=UNKNOWN),), **nothing)


def _answers() -> Iterator[SessionRow]:
    def answers(*given: Any) -> Callable[[Any], None]:
        return lambda double: double.answers.extendleft(reversed(given))

    def hears(heard: Hear) -> Callable[[Any], None]:
        return lambda double: double.hears.appendleft(heard)

    for code, kind in (("server_error", "unavailable"), ("insufficient_quota", "quota")):
        yield SessionRow(
            fault=f"the answer failed: `{code}`",
            prepare=answers(Fails(code, held=True)),
            held_until=_answer_wanted,
            record=("stt ok", f"voice {kind} id", "tts ok id"),
            **_apology("first", "internal", turn_error="llm_failed"),
        )
    yield SessionRow(
        fault="the answer is cut off before a word",
        prepare=answers(Stops(held=True)),
        held_until=_answer_wanted,
        record=("stt ok", "voice truncated id", "tts ok id"),
        **_apology("first", "internal", turn_error="llm_failed"),
    )
    yield SessionRow(
        fault="the answer failed before the transcript came",
        notice="nothing",
        prepare=_fails_early,
        held_until=lambda _call, double: _failed(double),
        record=("voice unavailable id", *WELL),
    )
    yield SessionRow(
        fault="the transcript failed",
        prepare=hears(Hear("", fails="server_error")),
        record=("stt unavailable", "voice cancelled id", "tts ok id"),
        **_apology("first", "stt_failed", turn_error="stt_failed"),
    )


def _fails_early(double: Any) -> None:
    double.hears.appendleft(Hear("the first", after=double.go_on))
    double.answers.appendleft(Fails())


def _answer_wanted(call: Call, _double: Any) -> object:
    return call.runner.state.response


def _failed(double: Any) -> bool:
    """Whether its end is on the wire."""
    sent = (event for session in double.sessions for event in session.sent)
    return any(event["type"] == "response.done" for event in sent)
