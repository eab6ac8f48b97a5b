"""Makes the environments of the largest clients before a test needs them.

    python -m tests.interop.prepare

Whoever needs one meanwhile waits for it, and makes it if this has failed.
"""

from pathlib import Path

from tests.interop.venvs import python_with

LARGE = ("pipecat", "livekit")


def main() -> None:
    for client in LARGE:
        python_with(Path(__file__).parent / client)


if __name__ == "__main__":
    main()
