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
            "Python %d.%d is too old: this project needs Python %d.%d or newer."
            % (sys.version_info[:2] + OLDEST_PYTHON)
        )
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "voiceapp.settings")
    from voiceapp import bootstrap

    bootstrap.run(sys.argv)


if __name__ == "__main__":
    main()
