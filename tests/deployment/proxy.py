"""nginx from the system with the project's own configuration, in front of server processes."""

import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp

from tests.needs import machine_environment
from tests.servers import ROOT

START = ROOT / "deploy" / "nginx" / "start"
_NOBODY = {"user": "nobody", "group": "nogroup"} if os.geteuid() == 0 else {}
_READY_WITHIN_S = 10
_POLL_S = 0.02


def free_port() -> int:
    """A port that nobody has at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def certificate(folder: Path) -> tuple[Path, Path]:
    """A pair signed by itself, for `calls.example` and this machine."""
    made = subprocess.run(
        ["sh", str(ROOT / "deploy" / "self-signed"), str(folder), "calls.example"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    return folder / "fullchain.pem", folder / "privkey.pem"


class Proxy:
    """One nginx, of a user who may do nothing else. Its log holds what was asked of it.

    Args:
        upstreams: ports of the processes behind it, on this machine.
        variables: those of `deploy/nginx/start`, besides.
    """

    def __init__(self, upstreams: list[int], **variables: str) -> None:
        self.folder = folder = Path(mkdtemp(prefix="voiceapp-proxy-"))
        shutil.copytree(START.parent, folder / "nginx")
        self.http_port, self.port = free_port(), free_port()
        self.access_log = folder / "access.log"
        self.error_log = folder / "error.log"
        self.certificate, key = certificate(folder / "certificate")
        self.environment = {
            "UPSTREAMS": " ".join(f"127.0.0.1:{port}" for port in upstreams),
            "CERTIFICATE": str(self.certificate),
            "CERTIFICATE_KEY": str(key),
            "RUN_DIR": str(folder / "run"),
            "HTTP_LISTEN": f"127.0.0.1:{self.http_port}",
            "HTTPS_LISTEN": f"127.0.0.1:{self.port}",
            "PUBLIC_HTTPS_PORT": str(self.port),
            "ACCESS_LOG": str(self.access_log),
            **variables,
        }
        path = machine_environment()["PATH"]
        self.environment["PATH"] = f"/usr/sbin:/sbin:{path}"
        for path in (folder, *folder.rglob("*")):
            shutil.chown(path, **(_NOBODY or {"user": os.geteuid()}))
        self.process = self._start()
        self._wait()
        self.url = f"https://127.0.0.1:{self.port}"
        self.ws_url = f"wss://127.0.0.1:{self.port}"

    def tls(self) -> ssl.SSLContext:
        """What trusts its certificate and no other."""
        return ssl.create_default_context(cafile=str(self.certificate))

    def connection(self, source: str = "127.0.0.1") -> ssl.SSLSocket:
        """A raw connection with TLS, from that address of this machine."""
        plain = socket.create_connection(
            ("127.0.0.1", self.port), timeout=10, source_address=(source, 0)
        )
        return self.tls().wrap_socket(plain, server_hostname="127.0.0.1")

    def _start(self) -> subprocess.Popen[bytes]:
        with self.error_log.open("wb") as log:
            return subprocess.Popen(
                ["sh", str(self.folder / "nginx" / "start")],
                env=self.environment,
                stdout=log,
                stderr=log,
                **_NOBODY,
            )

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _wait(self) -> None:
        give_up_s = time.monotonic() + _READY_WITHIN_S
        while time.monotonic() < give_up_s and self.process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            time.sleep(_POLL_S)
        raise RuntimeError(f"nginx did not start:\n{self.error_log.read_text()}")
