"""Sites, agents and a key in a server's folder, before it starts or while it runs."""

import json
import subprocess
import sys
from pathlib import Path

from tests.needs import as_deployed
from tests.servers import ROOT


def make_rows(place: Path, shop: list[str], clinic: list[str]) -> str:
    """The public site `shop`, the private one `clinic`; gives a key of the latter.

    Args:
        place: the server's `VAR_DIR`.
        shop: origins.
        clinic: origins.
    """
    made = subprocess.run(
        [sys.executable, "-m", "tests.embed.prepare", json.dumps([shop, clinic])],
        cwd=ROOT,
        env=as_deployed(
            VAR_DIR=str(place), NO_BOOTSTRAP="1", DJANGO_SETTINGS_MODULE="voiceapp.settings"
        ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    return made.stdout
