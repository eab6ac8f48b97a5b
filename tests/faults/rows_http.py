"""Faults of what is asked for by HTTP."""

from collections.abc import Iterator
from typing import Any

from tests.doubles.providers.base import Fault
from tests.doubles.providers.elevenlabs_tts import error_body
from tests.doubles.providers.openai_answers import Quirk
from tests.doubles.providers.openai_http import problem
from tests.faults.providers import (
    BATCH,
    CHAT,
    RESPONSES,
    SPEECH,
    TRANSCRIPTION,
    VOICE_HTTP,
    Provider,
)
from tests.faults.table import Notice, Row, Wait

NOWHERE = "http://127.0.0.1:9"
"""Nobody listens there."""

SERVER_ERROR = {"error": {"message": "Oh.", "type": "server_error", "code": None, "param": None}}
OVERLOADED = {"type": "error", "code": "server_overloaded", "message": "Oh.", "param": None}


def _told(provider: Provider, status: int, code: str, **headers: str) -> Fault:
    """A failure in the vendor's own shape."""
    if provider.vendor == "openai":
        return problem(status, code, **headers)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Fault(status=status, body=error_body(code, status), headers=named)


def _lost(double: Any) -> None:
    double.origin = NOWHERE


def refusals(provider: Provider) -> Iterator[Row]:
    """What every server answers in place of a result."""
    openai = provider.vendor == "openai"

    def row(fault: str, *strikes: Fault, **expected: Any) -> Row:
        return Row(provider=provider, fault=fault, strikes=strikes, **expected)

    def fatal(fault: str, strike: Fault, outcome: str) -> Row:
        record = (f"{outcome} id", "next ok")
        return row(fault, strike, notice=Notice.NEXT, record=record, after="next")

    wrong, unknown = (
        ("invalid_value", "model_not_found") if openai else ("invalid_request", "voice_not_found")
    )
    refused = _told(provider, 400, wrong)
    yield row("400", refused, notice=Notice.NEXT, record=("refused id", "next ok"))
    yield fatal("401", _told(provider, 401, "invalid_api_key"), "auth")
    yield fatal("404", _told(provider, 404, unknown), "not_found")
    if openai:
        quota = _told(provider, 429, "insufficient_quota", x_should_retry="false")
        yield fatal("429 `insufficient_quota`", quota, "quota")
    else:
        yield fatal("401 `quota_exceeded`", _told(provider, 401, "quota_exceeded"), "quota")
    yield from _busy(provider)
    yield from _failing(provider)


def _last(provider: Provider, *record: str) -> dict[str, Any]:
    """What is left when nobody is next in line: for voices there is always a last resort."""
    if provider.stage.value == "tts":
        return {"alone": True, "notice": Notice.NEXT, "record": (*record, "last ok")}
    return {"alone": True, "notice": Notice.APOLOGY, "record": record}


def _busy(provider: Provider) -> Iterator[Row]:
    code = "rate_limit_exceeded" if provider.vendor == "openai" else "too_many_concurrent_requests"

    def row(fault: str, *strikes: Fault, **expected: Any) -> Row:
        return Row(provider=provider, fault=fault, strikes=strikes, **expected)

    soon = _told(provider, 429, code, retry_after="0.3")
    late = _told(provider, 429, code, retry_after="130")
    within, beyond = "429, `retry-after` within the budget", "429, `retry-after` beyond the budget"
    yield row(within, soon, notice=Notice.NEXT, record=("busy id", "next ok"))
    yield row(beyond, late, **_last(provider, "busy id"))
    if provider.stage.value != "tts":
        waited = ("busy id", "ok id")
        yield row(within, soon, alone=True, wait=Wait.TOTAL, record=waited)
    again = _told(provider, 429, code)
    yield row("429 without `retry-after`", again, record=("busy id", "ok id"))


def _failing(provider: Provider) -> Iterator[Row]:
    down = _told(provider, 500, "internal_server_error")
    html = Fault(status=502, body="<html>Bad gateway</html>")
    cut, mute = Fault(drop_before_headers=True), Fault(stall_headers=True)

    def row(fault: str, *strikes: Fault, **expected: Any) -> Row:
        return Row(provider=provider, fault=fault, strikes=strikes, **expected)

    yield row("500 once", down, record=("unavailable id", "ok id"))
    yield row(
        "500 every time",
        down,
        lasts=True,
        notice=Notice.NEXT,
        record=("unavailable id", "unavailable id", "next ok"),
    )
    yield row("500 every time", down, lasts=True, **_last(provider, *["unavailable id"] * 2))
    yield row("502 in HTML", html, record=("unavailable", "ok id"))
    yield row("connection cut before the answer, once", cut, record=("unavailable", "ok id"))
    yield row(
        "connection cut before the answer, every time",
        cut,
        lasts=True,
        notice=Notice.NEXT,
        record=("unavailable", "unavailable", "next ok"),
    )
    yield row(
        "no answer",
        mute,
        notice=Notice.NEXT,
        wait=Wait.FIRST,
        record=("timeout", "next ok"),
    )
    yield row(
        "connection refused",
        prepare=_lost,
        notice=Notice.NEXT,
        record=("unavailable", "unavailable", "next ok"),
        after="next",
    )


def streams_of_text(provider: Provider, begun: int) -> Iterator[Row]:
    """Of language models. `begun`: so many events, and the first sentence has come."""

    def breaks(fault: str, strike: Fault, outcome: str, wait: Wait = Wait.NONE) -> Row:
        return Row(
            provider=provider,
            fault=f"{fault} in mid-answer",
            strikes=(strike,),
            notice=Notice.BROKEN_OFF,
            wait=wait,
            record=(f"{outcome} id estimated",),
        )

    def early(fault: str, strike: Fault, outcome: str) -> Row:
        record = (f"{outcome} id", "ok id")
        return Row(
            provider=provider, fault=f"{fault} before a word", strikes=(strike,), record=record
        )

    garbage = 'data: {"id": "broken\n\n'
    yield breaks("connection cut", Fault(after=begun, drop=True), "unavailable")
    yield breaks("proper but early end", Fault(after=begun, clean_eof=True), "truncated")
    yield breaks("stall", Fault(after=begun, stall=True), "timeout", Wait.STALL)
    yield breaks("error object", Fault(after=begun, event=SERVER_ERROR), "unavailable")
    yield breaks("broken JSON", Fault(after=begun, garbage=garbage), "invalid")
    yield early("connection cut", Fault(after=1, drop=True), "unavailable")
    yield early("proper but early end", Fault(after=1, clean_eof=True), "truncated")
    yield early("error object", Fault(after=1, event=SERVER_ERROR), "unavailable")
    yield early("broken JSON", Fault(after=1, garbage=garbage), "invalid")
    yield Row(
        provider=provider,
        fault="stall before a word",
        strikes=(Fault(after=1, stall=True),),
        notice=Notice.NEXT,
        wait=Wait.FIRST,
        record=("timeout id", "next ok"),
    )


def pings(provider: Provider) -> Iterator[Row]:
    """What servers send to keep a connection alive."""
    yield Row(
        provider=provider,
        fault="`: comment` before a word",
        prepare=lambda double: double.quirks.add(Quirk.COMMENT),
        record=("ok id",),
    )
    yield Row(
        provider=provider,
        fault="`event: ping` without data before a word, every time",
        prepare=lambda double: double.quirks.add(Quirk.PING),
        notice=Notice.NEXT,
        record=("invalid id", "invalid id", "next ok"),
        after="next",
    )


def sounds(provider: Provider, begun: int) -> Iterator[Row]:
    """Bodies of sound. `begun`: so many pieces, and some of it is heard."""

    def row(fault: str, strike: Fault, *record: str, **expected: Any) -> Row:
        return Row(provider=provider, fault=fault, strikes=(strike,), record=record, **expected)

    stops: dict[str, Any] = {"notice": Notice.STOPS}
    yield row(
        "connection cut in mid-sound", Fault(after=begun, drop=True), "unavailable id", **stops
    )
    yield row(
        "proper but early end in mid-sound",
        Fault(after=begun, clean_eof=True),
        "truncated id",
        **stops,
    )
    yield row(
        "stall in mid-sound", Fault(after=begun, stall=True), "timeout id", wait=Wait.STALL, **stops
    )
    yield row("connection cut before a sound", Fault(after=0, drop=True), "unavailable id", "ok id")
    yield row("proper end without a sound", Fault(after=0, clean_eof=True), "truncated id", "ok id")
    yield row(
        "stall before a sound",
        Fault(after=0, stall=True),
        "timeout id",
        "next ok",
        notice=Notice.NEXT,
        wait=Wait.FIRST,
    )


def transcripts(provider: Provider) -> Iterator[Row]:
    """Streamed transcripts of whole turns."""

    def row(fault: str, strike: Fault, *record: str, **expected: Any) -> Row:
        return Row(provider=provider, fault=fault, strikes=(strike,), record=record, **expected)

    for fault, strike, outcome in (
        ("connection cut in mid-text", Fault(after=1, drop=True), "unavailable id"),
        ("proper but early end in mid-text", Fault(after=1, clean_eof=True), "truncated id"),
        ("error object in mid-text", Fault(after=1, event=SERVER_ERROR), "unavailable id"),
        ("broken JSON in mid-text", Fault(after=1, garbage="data: {broken\n\n"), "invalid id"),
    ):
        yield row(fault, strike, outcome, "ok id")
    yield row(
        "stall in mid-text",
        Fault(after=1, stall=True),
        "timeout id",
        "next ok",
        notice=Notice.NEXT,
        wait=Wait.FIRST,
    )


def rows() -> Iterator[Row]:
    yield from (*refusals(CHAT), *streams_of_text(CHAT, 2), *pings(CHAT))
    yield from (*refusals(RESPONSES), *streams_of_text(RESPONSES, 5))
    yield Row(
        provider=RESPONSES,
        fault="`error` event in mid-answer",
        strikes=(Fault(after=5, event=OVERLOADED),),
        notice=Notice.BROKEN_OFF,
        record=("busy id estimated",),
    )
    yield from (*refusals(TRANSCRIPTION), *transcripts(TRANSCRIPTION))
    yield from (*refusals(SPEECH), *sounds(SPEECH, 1))
    yield from (*refusals(VOICE_HTTP), *sounds(VOICE_HTTP, 2))
    yield from refusals(BATCH)
