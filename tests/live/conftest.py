"""Keys of real services; whoever asks for these tests wants them, so a missing one is a failure."""

from pathlib import Path

import pytest

from tests import needs
from tests.server.programs import manage

KEYS = ("OPENAI_API_KEY", "ELEVENLABS_API_KEY")


@pytest.fixture(scope="session")
def keys() -> dict[str, str]:
    """The variables of a server that uses the real services."""
    found = needs.live_variables()
    if missing := [name for name in KEYS if name not in found]:
        pytest.fail(f"set {' and '.join(missing)}, or leave out -m live", pytrace=False)
    return found


@pytest.fixture
def doctor(keys, tmp_path: Path):
    """Run `doctor` with the keys; none of them may be in what it says."""

    def run(*words: str):
        done = manage("doctor", *words, var_dir=tmp_path, **keys)
        assert not any(keys[name] in done.stdout + done.stderr for name in KEYS)
        return done

    return run
