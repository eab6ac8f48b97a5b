"""Keys for clients of the real server."""

import subprocess
import sys

from tests.needs import as_deployed
from tests.servers import ROOT, RealServer


def api_key(server: RealServer) -> str:
    """A key for OpenAI Realtime clients of that server."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "api_key", "create", "Tests"],
        cwd=ROOT,
        env=as_deployed(VAR_DIR=str(server.var_dir), NO_BOOTSTRAP="1"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.strip()
