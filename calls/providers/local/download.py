"""One file from the web, resumed where it was cut, and only kept if its checksum is right."""

import errno
import hashlib
import http.client
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from calls.providers.local.catalogue import RemoteFile
from calls.providers.local.errors import LocalModelError

STALL_S = 30.0
READ_BYTES = 256 * 1024
PARTIAL = ".part"
_ETAG = ".etag"
"""What the server called the file that `.part` is the beginning of."""

MOST_OVER = 2
"""A file so many times as long as expected is something else, and may not fill the disk."""

_CONTENT_RANGE = re.compile(r"bytes (\d+)-")

Progress = Callable[[int], None]
"""Told how many bytes of the file are there."""


def download(
    file: RemoteFile, target: Path, progress: Progress, *, stall_s: float = STALL_S
) -> str:
    """Bring `file` to `target`, going on with what an earlier try left in `target.part`.

    Args:
        stall_s: how long the server may say nothing.

    Returns:
        The sha256 of what came.

    Raises:
        LocalModelError: it cannot be had just now, is not there, is something else, or the disk is
            full. What came so far is kept for the next try unless it is wrong.
    """
    partial = target.with_name(target.name + PARTIAL)
    try:
        _bring(file, partial, progress, stall_s)
        sha256 = file_sha256(partial)
        if file.sha256 not in (None, sha256):
            partial.unlink()
            raise LocalModelError(f"{file.name} has the wrong checksum; what came was removed.")
        partial.replace(target)
        _etag_path(partial).unlink(missing_ok=True)
    except OSError as error:
        raise LocalModelError(_explained(file, error)) from error
    except http.client.HTTPException as error:
        raise LocalModelError(_cut(file)) from error
    return sha256


def file_sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _bring(file: RemoteFile, partial: Path, progress: Progress, stall_s: float) -> None:
    have_bytes = partial.stat().st_size if partial.exists() else 0
    try:
        _receive(file, partial, have_bytes, progress, stall_s)
    except HTTPError as error:
        error.close()
        if not (have_bytes and error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE):
            raise
        # It is complete, or was another file: the checksum says which, unless none is known.
        if file.sha256 != file_sha256(partial):
            _receive(file, partial, 0, progress, stall_s)


def _receive(
    file: RemoteFile, partial: Path, have_bytes: int, progress: Progress, stall_s: float
) -> None:
    headers = _headers(file, partial, have_bytes)
    request = Request(file.url, headers=headers)  # noqa: S310 - the catalogue takes http alone
    with urlopen(request, timeout=stall_s) as answer:  # noqa: S310 - as above
        begin = _begin(answer, have_bytes)
        length = answer.headers.get("Content-Length")
        end_bytes = None if length is None else begin + int(length)
        _etag_path(partial).write_text(answer.headers.get("ETag", ""), "utf-8")
        with partial.open("ab" if begin else "wb") as sink:
            got_bytes = _copy(answer, sink, begin, _most_bytes(file), progress)
            sink.flush()
            os.fsync(sink.fileno())
    if end_bytes is not None and got_bytes < end_bytes:
        raise LocalModelError(_cut(file))


def _headers(file: RemoteFile, partial: Path, have_bytes: int) -> dict[str, str]:
    """Ask for the rest only if it is known, or found out in the end, that it is the same file."""
    headers = {"User-Agent": "voice-calls", "Accept-Encoding": "identity"}
    path = _etag_path(partial)
    etag = path.read_text("utf-8") if path.exists() else ""
    if etag.startswith("W/"):
        etag = ""
    if have_bytes and (etag or file.sha256):
        headers["Range"] = f"bytes={have_bytes}-"
        headers |= {"If-Range": etag} if etag else {}
    return headers


def _etag_path(partial: Path) -> Path:
    return partial.with_name(partial.name + _ETAG)


def _begin(answer: http.client.HTTPResponse, have_bytes: int) -> int:
    """Where in the file the answer begins: a server without ranges starts over."""
    if answer.status != http.HTTPStatus.PARTIAL_CONTENT:
        return 0
    found = _CONTENT_RANGE.match(answer.headers.get("Content-Range", ""))
    if found is None or int(found[1]) != have_bytes:
        raise http.client.HTTPException("another range than asked for")
    return have_bytes


def _most_bytes(file: RemoteFile) -> int:
    return MOST_OVER * max(file.size_bytes, READ_BYTES)


def _copy(
    source: http.client.HTTPResponse,
    sink: BinaryIO,
    got_bytes: int,
    most_bytes: int,
    progress: Progress,
) -> int:
    """Copy to the end, and say how long the file is by then."""
    while data := source.read1(READ_BYTES):
        sink.write(data)
        got_bytes += len(data)
        if got_bytes > most_bytes:
            sink.truncate(0)
            raise LocalModelError("The server sends far more than the catalogue says; stopped.")
        progress(got_bytes)
    return got_bytes


def _cut(file: RemoteFile) -> str:
    return f"The download of {file.name} was cut; run the same command again to go on with it."


def _explained(file: RemoteFile, error: OSError) -> str:
    """One line for what the system says."""
    if isinstance(error, HTTPError):
        return f"The server answered {error.code} for {file.url}."
    reason = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, TimeoutError):
        return f"The server says nothing; {file.name} can be gone on with by the same command."
    if getattr(reason, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"The disk is full; free some space and run the same command again ({file.name})."
    if isinstance(error, URLError):
        return f"{file.url} cannot be reached: {reason}."
    if isinstance(error, ConnectionError):
        return _cut(file)
    return f"{file.name} cannot be kept: {error}."
