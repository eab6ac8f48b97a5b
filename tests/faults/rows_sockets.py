"""Faults of what is spoken to over a WebSocket."""

import asyncio
from collections.abc import Iterator
from typing import Any

from tests.doubles.providers.base import Fault
from tests.doubles.providers.elevenlabs_stt import Hear as ScribeHears
from tests.doubles.providers.elevenlabs_tts import error_body
from tests.doubles.providers.openai_http import problem
from tests.doubles.providers.openai_realtime import Fails, Hear, Stalls, Stops, session_expired
from tests.faults.providers import ALOUD, LIVE, SCRIBE, VOICE, Provider
from tests.faults.table import Notice, Row, Wait

NEXT: dict[str, Any] = {"notice": Notice.NEXT}
STOPS: dict[str, Any] = {"notice": Notice.STOPS}
GARBAGE = "{broken"
UNKNOWN = {"type": "brand.new", "message_type": "brand_new", "event_id": "event_new"}


def _event(code: str, kind: str = "server_error") -> dict[str, Any]:
    """An error of a realtime session."""
    error = {"type": kind, "code": code, "message": "Oh.", "param": None, "event_id": None}
    return {"type": "error", "event_id": "event_oh", "error": error}


def handshakes(provider: Provider, *, ahead: bool, named: bool) -> Iterator[Row]:
    """What can happen before a socket is open.

    Args:
        ahead: it opens while the call begins.
        named: a session has an id.
    """
    openai = provider.vendor == "openai"

    def told(status: int, code: str, **headers: str) -> Fault:
        if openai:
            return problem(status, code, **headers)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return Fault(status=status, body=error_body(code, status), headers=named)

    def row(fault: str, strike: Fault, *record: str, **expected: Any) -> Row:
        return Row(
            provider=provider,
            fault=f"handshake: {fault}",
            strikes=(strike,),
            **{"record": record, **expected},
        )

    every: dict[str, Any] = {"lasts": True, **NEXT}
    down = told(500, "internal_server_error")
    quota = told(429, "insufficient_quota") if openai else told(401, "quota_exceeded")
    busy = "server_overloaded" if openai else "system_busy"
    rate = "rate_limit_exceeded" if openai else "too_many_concurrent_requests"
    later = told(429, rate, retry_after="130")
    well: dict[str, Any] = {"early": ahead, "record": ("ok id" if named else "ok",)}
    twice = ("unavailable id", "unavailable id", "next ok")
    yield row("401", told(401, "invalid_api_key"), "auth id", "next ok", **every, after="next")
    yield row("no credit", quota, "quota id", "next ok", **every, after="next")
    yield row("429, `retry-after` beyond the budget", later, "busy id", "next ok", **every)
    yield row("500 once", down, **well)
    yield row("500 every time", down, *twice, **every)
    yield row("503 every time", told(503, busy), "busy id", "busy id", "next ok", **every)
    cut = Fault(drop_before_headers=True)
    yield row("connection cut once", cut, **well)
    yield row("connection cut every time", cut, "unavailable", "unavailable", "next ok", **every)
    mute = Fault(stall_headers=True)
    yield row("no answer", mute, "timeout", "next ok", **every, wait=Wait.FIRST, after="next")


def losses(at: int) -> Iterator[tuple[str, Fault]]:
    """How an open socket goes, after so many messages of the other side."""
    yield "proper close (1000)", Fault(after=at, ws_close=(1000, ""))
    yield "close (1001)", Fault(after=at, ws_close=(1001, "going away"))
    yield "close (1011)", Fault(after=at, ws_close=(1011, "internal error"))
    yield "close (4000)", Fault(after=at, ws_close=(4000, "no"))
    yield "connection cut", Fault(after=at, drop=True)
    yield "no JSON", Fault(after=at, ws_garbage=GARBAGE)


def live() -> Iterator[Row]:
    """Of the stand-in's messages the sixth is the last before the transcript."""

    def row(fault: str, *record: str, **expected: Any) -> Row:
        return Row(provider=LIVE, fault=fault, record=record, **expected)

    def hears(*heard: Hear) -> Any:
        return {"prepare": lambda double: double.hears.extendleft(reversed(heard))}

    yield from handshakes(LIVE, ahead=True, named=True)
    for fault, strike in losses(6):
        yield row(f"{fault} before the transcript, once", "ok id", strikes=(strike,))
    cut = Fault(after=6, drop=True)
    lost = ("unavailable id", "unavailable id", "next ok")
    yield row(
        "connection cut before the transcript, every time",
        *lost,
        strikes=(cut,),
        lasts=True,
        **NEXT,
    )
    error = Fault(after=6, event=_event("server_error"))
    yield row("`error` event before the transcript, once", "ok id", strikes=(error,))
    empty = Fault(after=6, event=_event("insufficient_quota", "insufficient_quota"))
    yield row(
        "`error` event: no credit", "quota id", "next ok", strikes=(empty,), after="next", **NEXT
    )
    over = Fault(after=6, event=session_expired())
    yield row("`error` event: the session's hour is over", "ok id", strikes=(over,))
    yield row("unknown event", "ok id", strikes=(Fault(after=6, event=UNKNOWN),))
    mute = Fault(after=6, stall=True)
    yield row(
        "nothing after the commit",
        "timeout id",
        "next ok",
        strikes=(mute,),
        wait=Wait.FIRST,
        **NEXT,
    )
    failed = hears(Hear("", partials=("the ",), fails="server_error"))
    yield row("the transcript failed", "unavailable id", "ok id", **failed)
    late = hears(Hear("the first", partials=("the ",), after=asyncio.Event()))
    yield row("partial text and no final one", "ok id", **late, notice=Notice.PART, wait=Wait.FIRST)
    yield row("nothing understood", "ok id", **hears(Hear("")), notice=Notice.NOT_UNDERSTOOD)


def aloud() -> Iterator[Row]:
    """Of the stand-in's messages the third is the beginning of the answer, the 14th mid-sound."""

    def row(fault: str, *record: str, **expected: Any) -> Row:
        return Row(provider=ALOUD, fault=fault, record=record, **expected)

    def reads(answer: Any, times: int = 1) -> Any:
        return {"prepare": lambda double: double.readings.extend([answer] * times)}

    yield from handshakes(ALOUD, ahead=True, named=True)
    for fault, strike in losses(3):
        outcome = "invalid id" if "JSON" in fault else "unavailable id"
        yield row(f"{fault} before a sound, once", outcome, "ok id", strikes=(strike,))
    for fault, strike in losses(14):
        outcome = "invalid id" if "JSON" in fault else "truncated id"
        yield row(f"{fault} in mid-sound", outcome, strikes=(strike,), **STOPS)
    error = Fault(after=3, event=_event("server_error"))
    yield row("`error` event before a sound", "unavailable id", "ok id", strikes=(error,))
    yield row("unknown event", "ok id", strikes=(Fault(after=3, event=UNKNOWN),))
    mute, stall = Fault(after=3, stall=True), Fault(after=14, stall=True)
    waits: dict[str, Any] = {"wait": Wait.FIRST, **NEXT}
    yield row("nothing before a sound", "timeout id", "next ok", strikes=(mute,), **waits)
    yield row("nothing more in mid-sound", "timeout id", strikes=(stall,), wait=Wait.STALL, **STOPS)
    yield row("the answer failed once", "unavailable id", "ok id", **reads(Fails()))
    gone = ("unavailable id", "unavailable id", "next ok")
    yield row("the answer failed every time", *gone, **reads(Fails(), 2), **NEXT)
    quota = reads(Fails("insufficient_quota"))
    yield row("the answer failed: no credit", "quota id", "next ok", **quota, **NEXT, after="next")
    yield row("the answer is cut off before a sound", "truncated id", "ok id", **reads(Stops()))
    refused = reads(Stops("content_filter"))
    yield row("the answer was filtered", "refused id", "next ok", **refused, **NEXT)
    yield row("the answer never begins", "timeout id", "next ok", **reads(Stalls()), **waits)


def voice() -> Iterator[Row]:
    """Contexts on one socket; the sound of a sentence comes in seven messages."""

    def row(fault: str, *record: str, **expected: Any) -> Row:
        return Row(provider=VOICE, fault=fault, record=record, **expected)

    yield from handshakes(VOICE, ahead=True, named=False)
    for fault, strike in losses(0):
        outcome = "invalid" if "JSON" in fault else "unavailable"
        yield row(f"{fault} before a sound, once", outcome, "ok", strikes=(strike,))
    for fault, strike in losses(3):
        outcome = "invalid" if "JSON" in fault else "truncated"
        yield row(f"{fault} in mid-sound", outcome, strikes=(strike,), **STOPS)
    many = Fault(after=0, ws_close=(1008, "max_active_conversations"))
    yield row("close (1008) `max_active_conversations`", "busy", "ok", strikes=(many,))
    broken = Fault(after=0, ws_close=(1008, "invalid_request"))
    yield row("close (1008) for a broken rule", "refused", "next ok", strikes=(broken,), **NEXT)
    empty = {"error": "quota_exceeded", "message": "Oh.", "code": 1008}
    yield row(
        "message of an error: no credit",
        "quota",
        "next ok",
        strikes=(Fault(after=0, event=empty),),
        after="next",
        **NEXT,
    )
    yield row("unknown message", "ok", strikes=(Fault(after=0, event=UNKNOWN),))
    mute, stall = Fault(after=0, stall=True), Fault(after=3, stall=True)
    yield row(
        "nothing before a sound", "timeout", "next ok", strikes=(mute,), wait=Wait.FIRST, **NEXT
    )
    yield row("nothing more in mid-sound", "timeout", strikes=(stall,), wait=Wait.STALL, **STOPS)

    def deaf(double: Any) -> None:
        double.rules.deaf = True

    yield row(
        "nothing is read, on any socket",
        "timeout",
        "next ok",
        prepare=deaf,
        wait=Wait.FIRST,
        after="next",
        **NEXT,
    )


def scribe() -> Iterator[Row]:
    """Of the stand-in's messages the third is the last before the transcript."""

    def row(fault: str, *record: str, **expected: Any) -> Row:
        return Row(provider=SCRIBE, fault=fault, record=record, **expected)

    def hears(heard: ScribeHears, times: int = 1) -> Any:
        return {"prepare": lambda double: double.hears.extend([heard] * times)}

    yield from handshakes(SCRIBE, ahead=True, named=True)
    for fault, strike in losses(3):
        if "JSON" in fault:
            yield row(f"{fault} before the transcript", "invalid id", "ok id", strikes=(strike,))
        else:
            yield row(f"{fault} before the transcript, once", "ok id", strikes=(strike,))
    cut = Fault(after=3, drop=True)
    lost = ("unavailable id", "unavailable id", "next ok")
    yield row(
        "connection cut before the transcript, every time",
        *lost,
        strikes=(cut,),
        lasts=True,
        **NEXT,
    )
    for kind, outcome, after in (
        ("auth_error", "auth", "next"),
        ("unaccepted_terms", "auth", "next"),
        ("quota_exceeded", "quota", "next"),
        ("invalid_request", "refused", "first"),
        ("input_error", "refused", "first"),
        ("chunk_size_exceeded", "refused", "first"),
    ):
        wrong = hears(ScribeHears("", error=kind))
        yield row(f"message `{kind}`", f"{outcome} id", "next ok", **wrong, **NEXT, after=after)
    for kind, outcome in (
        ("rate_limited", "busy"),
        ("queue_overflow", "busy"),
        ("resource_exhausted", "busy"),
        ("transcriber_error", "unavailable"),
        ("error", "unavailable"),
    ):
        wrong = hears(ScribeHears("", error=kind))
        yield row(f"message `{kind}`", f"{outcome} id", "ok id", **wrong)
    over = hears(ScribeHears("", error="session_time_limit_exceeded"))
    yield row("message `session_time_limit_exceeded`", "ok id", **over)
    nothing = hears(ScribeHears("", error="insufficient_audio_activity"))
    misses: dict[str, Any] = {"notice": Notice.NOT_UNDERSTOOD}
    yield row("message `insufficient_audio_activity`", "ok id", **nothing, **misses)
    warning = {"message_type": "warning", "warning": "Oh."}
    yield row("message `warning`", "ok id", **hears(ScribeHears("the first", before=[warning])))
    yield row("unknown message", "ok id", strikes=(Fault(after=3, event=UNKNOWN),))
    late = hears(ScribeHears("the first", partials=("the",), silent=True))
    yield row("partial text and no final one", "ok id", **late, notice=Notice.PART, wait=Wait.FIRST)
    mute = Fault(after=1, stall=True)
    yield row(
        "nothing after the commit",
        "timeout id",
        "next ok",
        strikes=(mute,),
        slow=True,
        wait=Wait.FIRST,
        **NEXT,
    )


def rows() -> Iterator[Row]:
    yield from (*live(), *aloud(), *voice(), *scribe())
