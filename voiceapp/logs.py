"""Logs: one entry a line, for people or for programs, with the call that it is about.

No entry holds what was said, a token, a key, an address or a query string: the code that logs sees
to that. What clients may choose (a path, a name) can neither end a line nor colour a terminal.
"""

import json
import logging
import re
import traceback
from collections.abc import Iterator, Mapping, MutableMapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import structlog
from structlog.stdlib import ExtraAdder, ProcessorFormatter
from typing_extensions import override

Entry = MutableMapping[str, Any]
Failure = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_NO_FIELDS = frozenset({"_record", "message", "asctime"})
TRACE_MARGIN = "    | "
"""Before each line of a traceback, so that none of them can pass for an entry."""


def escaped(text: str) -> str:
    """The text on one line, without anything that a terminal obeys."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _stamp(_logger: Any, _name: str, entry: Entry) -> Entry:
    """When, how bad, and who says so."""
    record: logging.LogRecord = entry["_record"]
    entry["time"] = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    entry["level"] = record.levelname.lower()
    entry["logger"] = record.name
    return entry


def _trace(_logger: Any, _name: str, entry: Entry) -> Entry:
    """The traceback of what failed; in a call without the words of exceptions."""
    failure = entry.pop("exc_info", None)
    if failure and failure[0]:
        entry["exception"] = _told(failure, in_call="call_id" in entry)
    return entry


def _told(failure: Failure, *, in_call: bool) -> str:
    if in_call and failure[1] is not None:
        return "\n".join(_without_words(failure[1]))
    return "".join(traceback.format_exception(*failure)).rstrip("\n")


def _without_words(error: BaseException, depth: int = 5) -> Iterator[str]:
    """Where it happened and of what kind it is; what it says may have been said by a caller."""
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    parts = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    if depth:
        for other in (*parts, *([before] if before is not None else [])):
            yield from _without_words(other, depth - 1)
    yield "Traceback (most recent call last):"
    for lines in traceback.format_tb(error.__traceback__):
        yield from lines.rstrip("\n").split("\n")
    yield type(error).__qualname__


def _in_order(_logger: Any, _name: str, entry: Entry) -> Entry:
    """The fields that every entry has come first."""
    first = {name: entry.pop(name) for name in ("time", "level", "logger", "event")}
    call_id = {"call_id": entry.pop("call_id")} if "call_id" in entry else {}
    return {**first, **call_id, **entry}


def _json(entry: Mapping[str, Any], **_options: Any) -> str:
    """ASCII alone; what is no JSON is told by its type, for its words might be a caller's."""
    text = json.dumps(entry, default=lambda value: f"<{type(value).__name__}>")
    return text.replace("\x7f", "\\u007f")


class JsonFormatter(ProcessorFormatter):
    """One JSON object a line: time, level, logger, event, call_id, and what else the entry has."""

    def __init__(self) -> None:
        super().__init__(
            foreign_pre_chain=[structlog.contextvars.merge_contextvars, ExtraAdder(), _stamp],
            processors=[
                _trace,
                ProcessorFormatter.remove_processors_meta,
                _in_order,
                structlog.processors.JSONRenderer(serializer=_json),
            ],
        )


class LineFormatter(logging.Formatter):
    """One line for a person: time, level, logger, message, and the fields of the entry."""

    def __init__(self) -> None:
        super().__init__()
        self._extra = ExtraAdder()

    @override
    def format(self, record: logging.LogRecord) -> str:
        fields = self._fields(record)
        told = (f"{name}={_plain(value)}" for name, value in fields.items())
        head = f"{self.formatTime(record)} {record.levelname:<7} {record.name}"
        line = " ".join([f"{head}: {escaped(record.getMessage())}", *told])
        if record.exc_info and record.exc_info[0]:
            line += "\n" + _margin(_told(record.exc_info, in_call="call_id" in fields))
        if record.stack_info:
            line += "\n" + _margin(record.stack_info)
        return line

    def _fields(self, record: logging.LogRecord) -> dict[str, Any]:
        own = dict(self._extra(logging.getLogger(), "", {"_record": record}))
        found = structlog.contextvars.get_contextvars() | own
        return {name: value for name, value in found.items() if name not in _NO_FIELDS}


def _plain(value: object) -> str:
    """A field's value; texts with spaces in quotes, so that no text can pass for another field."""
    if not isinstance(value, str):
        return escaped(str(value))
    return value if re.fullmatch(r"[\w.:/+-]+", value, re.ASCII) else escaped(json.dumps(value))


def _margin(trace: str) -> str:
    return "\n".join(TRACE_MARGIN + escaped(line) for line in trace.split("\n"))


class NoClients(logging.Filter):
    """Drops what uvicorn says of single connections: addresses, and paths with their queries."""

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        return '"WebSocket %s"' not in str(record.msg)


def logging_settings(log_format: str, level: str) -> dict[str, Any]:
    """Django's `LOGGING`.

    Args:
        log_format: `line` or `json`.
        level: of the app and the project; libraries are heard from WARNING on.
    """
    formatter = (
        "voiceapp.logs.JsonFormatter" if log_format == "json" else "voiceapp.logs.LineFormatter"
    )
    quiet = {"handlers": ["nowhere"], "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"chosen": {"()": formatter}},
        "filters": {"no_clients": {"()": "voiceapp.logs.NoClients"}},
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": "chosen"},
            "nowhere": {"class": "logging.NullHandler"},
        },
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {
            "calls": {"level": level},
            "voiceapp": {"level": level},
            "voiceapp.access": {"level": "INFO" if level == "DEBUG" else "WARNING"},
            "django": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
            # Scanners try any page and any name there is; the latter cost a traceback each.
            "django.request": {"level": "ERROR"},
            "django.security.DisallowedHost": quiet,
            # Names and addresses of people are in its lines; the admin shows what is locked.
            "axes": quiet,
            "uvicorn": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
            "uvicorn.error": {"filters": ["no_clients"]},
            "uvicorn.access": quiet,
        },
    }
