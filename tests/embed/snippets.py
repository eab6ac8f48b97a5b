"""What docs/embedding.md tells people to write, as the tests use it."""

import re
from functools import cache
from urllib.parse import quote

from tests.servers import ROOT

PAGE = ROOT / "docs" / "embedding.md"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@cache
def blocks() -> tuple[tuple[str, str], ...]:
    """Language and text of every block, in order."""
    return tuple(_BLOCK.findall(PAGE.read_text()))


def snippet(language: str, holding: str, *, calls: str = "", origin: str = "") -> str:
    """The one block in that language that holds this, with the addresses of a test."""
    [text] = [text for kind, text in blocks() if kind == language and holding in text]
    named = quote("https://www.example.com", safe="")
    return (
        text.replace("https://calls.example", calls)
        .replace(named, quote(origin, safe=""))
        .replace('"support"', '"demo"')
        .replace("/support/", "/demo/")
    )
