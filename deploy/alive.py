"""Whether a container does its work, as its exit status. Standard library only, and quick.

`alive.py` asks the server of this container; `alive.py FILE` looks whether the worker has touched
the file within the last half minute; `alive.py --engines` loads what the embedded engines need.
"""

import os
import sys
import time
import urllib.request
from pathlib import Path

LIVEZ = "http://127.0.0.1:8000/livez"
PATIENCE_S = 3
TOUCHED_WITHIN_S = 30


def server_answers() -> bool:
    """By one of its own names, for it answers to no other."""
    named = os.environ.get("ALLOWED_HOSTS", "").partition(",")[0].strip()
    headers = {"Host": named.lstrip(".*") or "localhost"}
    asked = urllib.request.Request(LIVEZ, headers=headers)
    try:
        with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:  # noqa: S310 - a constant
            return bool(answer.status == 200)
    except OSError:
        return False


def touched(file: Path) -> bool:
    """Whether somebody has touched it lately."""
    try:
        return time.time() - file.stat().st_mtime < TOUCHED_WITHIN_S
    except OSError:
        return False


def engines_complete() -> bool:
    """Whether network, dictionary and voices can be loaded."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    import espeakng_loader
    import pocketsphinx
    from onnxruntime import InferenceSession

    from calls.providers.silero import model

    InferenceSession(str(model.MODEL), providers=["CPUExecutionProvider"])
    data = Path(espeakng_loader.get_data_path()), Path(pocketsphinx.get_model_path())
    return Path(espeakng_loader.get_library_path()).is_file() and all(
        any(folder.rglob("*")) for folder in data
    )


def main(words: list[str]) -> int:
    """The exit status."""
    if words == ["--engines"]:
        return 0 if engines_complete() else 1
    return 0 if (touched(Path(words[0])) if words else server_answers()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
