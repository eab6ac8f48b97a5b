"""Multipart forms, read in memory: nothing is left to close when a client hangs up in the middle.

By hand: aiohttp's reader of parts warns of itself when a boundary falls between two pieces.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email.message import Message
from email.parser import HeaderParser

from aiohttp import web


@dataclass(kw_only=True)
class Upload:
    """A file of a form."""

    name: str
    content_type: str
    data: bytes = field(repr=False)


async def form_fields(request: web.Request) -> AsyncIterator[tuple[str, str | Upload]]:
    """Names and values, in the order of the form (RFC 7578); nothing of a body of another kind."""
    whole = Message()
    whole["Content-Type"] = request.headers.get("Content-Type", "")
    boundary = whole.get_boundary()
    if whole.get_content_maintype() != "multipart" or not boundary:
        return
    body = b"\r\n" + await request.read()
    _, *parts, end = body.split(b"\r\n--" + boundary.encode())
    assert end.startswith(b"--"), "the form is not cut off"
    for part in parts:
        lines, _, data = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        head = HeaderParser().parsestr(lines.decode())
        name = str(head.get_param("name", "", "content-disposition"))
        file = head.get_filename()
        if file is None:
            yield name, data.decode()
        else:
            yield name, Upload(name=file, content_type=head.get_content_type(), data=data)
