"""The table of settings in docs/install.md, made from the code. Run as a program, it prints it."""

import re
import sys
from dataclasses import fields
from inspect import getdoc

from calls.conf import CallsSettings

_COMPUTED = {"speech_workers": "one for each core, 4 at most"}


def settings_table() -> str:
    """A row for every key, in the order of the alphabet."""
    meanings = _meanings()
    rows = [
        f"| `{key.name.upper()}` | `{_default(key)}` | {meanings[key.name]} |"
        for key in sorted(fields(CallsSettings), key=lambda key: key.name)
    ]
    return "\n".join(("| key | default | meaning |", "|---|---|---|", *rows))


def _meanings() -> dict[str, str]:
    """Attribute names and their descriptions, as the docstring has them."""
    listed = (getdoc(CallsSettings) or "").partition("Attributes:\n")[2]
    entries = re.findall(r"^    (\w+): ((?:.+\n?(?:        .+\n?)*))", listed, re.MULTILINE)
    return {name: " ".join(text.split()).replace("|", "\\|") for name, text in entries}


def _default(key) -> object:
    default = key.metadata["default"]
    if key.name in _COMPUTED:
        return _COMPUTED[key.name]
    return repr(default() if callable(default) else default)


if __name__ == "__main__":
    sys.stdout.write(settings_table() + "\n")
