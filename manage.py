#!/usr/bin/env python3
"""The commands of this project.

`up` and `test` prepare their own virtual environment; every other word is plain Django.
This file has to be readable by every Python that somebody may start it with.
"""

import os
import sys

OLDEST_PYTHON = (3, 11)


def main():  # type: () -> None
    """Run the command that the arguments name."""
    if sys.version_info < OLDEST_PYTHON:
        sys.exit(
            "Python %d.%d is too old: this project needs Python %d.%d or newer.%s"
            % (sys.version_info[:2] + OLDEST_PYTHON + (newer_python(),))
        )
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "voiceapp.settings")
    from voiceapp import bootstrap

    bootstrap.run(sys.argv)


def newer_python():  # type: () -> str
    """The command to use instead, when the machine has a Python that is new enough."""
    folders = os.environ.get("PATH", "").split(os.pathsep)
    for minor in (13, 12, 11):
        name = "python3.%d" % minor
        if any(os.access(os.path.join(folder, name), os.X_OK) for folder in folders):
            return " Try: %s %s" % (name, " ".join(sys.argv))
    return ""


if __name__ == "__main__":
    main()
