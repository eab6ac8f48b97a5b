"""The Dockerfile, step by step, without an engine; and its entry, as the image runs it."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from fnmatch import fnmatch
from functools import cache
from http.client import HTTPConnection
from pathlib import Path
from tempfile import mkdtemp

import pytest

from tests.needs import machine_environment
from tests.servers import ROOT

TEXT = (ROOT / "Dockerfile").read_text()
INSTRUCTIONS = [
    (found[1], " ".join(found[2].replace("\\\n", " ").split()))
    for found in re.finditer(r"^([A-Z]+) +((?:.*\\\n)*.*)$", TEXT, re.MULTILINE)
]
STAGES = [at for at, (word, _) in enumerate(INSTRUCTIONS) if word == "FROM"]
BUILD, RUNTIME = INSTRUCTIONS[STAGES[0] : STAGES[1]], INSTRUCTIONS[STAGES[1] :]
pytestmark = pytest.mark.timeout(240)

NOBODY = 65_534
_DROPPED = ["--clear-groups", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]


def of(stage, word):
    return [rest for name, rest in stage if name == word]


def copied():
    """Sources and destination of every COPY of the build."""
    for rest in of(BUILD, "COPY"):
        *sources, destination = rest.split()
        for source in sources:
            yield source, destination


def test_there_is_nothing_in_it_that_nobody_has_heard_of():
    known = {"ARG", "FROM", "ENV", "RUN", "WORKDIR", "COPY", "USER", "VOLUME", "EXPOSE"}
    known |= {"STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"}
    assert {word for word, _ in INSTRUCTIONS} <= known


def test_what_is_copied_is_there_and_reaches_the_build():
    allowed = [
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    ]
    for source, _ in copied():
        assert (ROOT / source).exists(), source
        assert any(fnmatch(source, pattern) for pattern in allowed), source
    assert sorted(source for source, _ in copied()) == sorted(allowed)


def test_what_runs_has_no_tools_no_root_and_no_shell_of_its_own():
    steps = " ".join(of(RUNTIME, "RUN"))
    assert not re.search(r"apt|gcc|build-essential|pip", steps)
    assert all("--from=build" in rest for rest in of(RUNTIME, "COPY"))
    assert of(RUNTIME, "USER") == ["10001:10001"]
    assert of(RUNTIME, "STOPSIGNAL") == ["SIGTERM"]
    for word in ("ENTRYPOINT", "CMD", "VOLUME"):
        assert all(isinstance(part, str) for part in json.loads(of(RUNTIME, word)[0]))
    assert '["python", "deploy/alive.py"]' in of(RUNTIME, "HEALTHCHECK")[0]


def test_every_package_is_pinned_and_none_is_compiled():
    (install,) = (step for step in of(BUILD, "RUN") if "install" in step)
    assert "--only-binary=:all:" in install
    pins = [
        line
        for line in (ROOT / "requirements.txt").read_text().splitlines()
        if line and not line.startswith(("#", "    --hash="))
    ]
    assert all("==" in pin for pin in pins)


@pytest.fixture(scope="module")
def image():
    """What the build's own steps make; the packages are those of this Python."""
    place = Path(mkdtemp(prefix="voiceapp-image-"))
    place.chmod(0o755)
    root = place / "srv" / "voiceapp"
    for source, destination in copied():
        target = root / destination / (Path(source).name if destination.endswith("/") else "")
        if (ROOT / source).is_dir():
            shutil.copytree(
                ROOT / source, root / destination, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / source, target)
    for step in of(BUILD, "RUN"):
        if "/opt/venv/bin/python" in step and "install" not in step:
            run_step(step, place, root)
    yield place
    shutil.rmtree(place, ignore_errors=True)


def run_step(step, place, root):
    step = step.replace("/opt/venv/bin/python", shlex.quote(sys.executable))
    step = step.replace("/opt/venv/lib", "").replace("=/srv", f"={place}/srv")
    step = step.replace("=/tmp/var", f"={place}/tmp/var")
    done = subprocess.run(
        ["sh", "-c", step],
        cwd=root,
        env=machine_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{step}\n{done.stdout}{done.stderr}"


def test_the_steps_make_what_runs(image):
    assert (image / "srv" / "static" / "staticfiles.json").is_file()
    assert list((image / "srv" / "voiceapp" / "voiceapp" / "__pycache__").glob("*.pyc"))
    assert os.access(image / "srv" / "voiceapp" / "deploy" / "start", os.X_OK)


class Container:
    """The entry, of a user without rights, where nothing but its volume and `tmp` can be written."""

    def __init__(self, image: Path, *words: str, name="voice.example") -> None:
        self.var, self.tmp = image / "volume", image / "tmpfs"
        for folder in (self.var, self.tmp):
            folder.mkdir(exist_ok=True)
            for path in (folder, *folder.iterdir()):
                os.chown(path, user(), -1)
        self.log = image / f"{words[0]}.log"
        python = Path(sys.executable).parent
        variables = {
            "PATH": f"{python}:{machine_environment()['PATH']}",
            "HOME": "/nonexistent",
            "TMPDIR": str(self.tmp),
            "VAR_DIR": str(self.var),
            "STATIC_ROOT": str(image / "srv" / "static"),
            "NO_BOOTSTRAP": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            "ENV_FILE": os.devnull,
            "ALLOWED_HOSTS": name,
            "SECRET_KEY": "k" * 64,
        }
        entry = str(image / "srv" / "voiceapp" / "deploy" / "start")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*confined(self.var, self.tmp), entry, *words],
                env=variables,
                cwd="/",
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def wait(self, seconds=60):
        return self.process.wait(seconds)

    def said(self):
        return self.log.read_text()

    def port(self, seconds=60):
        give_up_s = time.monotonic() + seconds
        while not (found := re.search(r"Serving on http://\S+:(\d+)", self.said())):
            assert time.monotonic() < give_up_s, self.said()
            assert self.process.poll() is None, self.said()
            time.sleep(0.05)
        return int(found[1])


@cache
def unprivileged() -> list[str]:
    """Words before a command that make it nobody's.

    Root without its powers, where this Python lies in root's own folder.
    """
    if os.geteuid() != 0:
        return []
    for user in (NOBODY, 0):
        words = ["setpriv", f"--reuid={user}", f"--regid={user}", *_DROPPED]
        tried = [*words, "sh", "-c", 'exec "$0" -c ""', sys.executable]  # by itself, from there
        if subprocess.run(tried, capture_output=True, check=False).returncode == 0:
            return words
    raise AssertionError("setpriv does not work here")


def user() -> int:
    return int(unprivileged()[1].partition("=")[2]) if unprivileged() else os.geteuid()


def confined(*writable: Path) -> list[str]:
    """The same, where nothing but these folders can be written to, if this machine lets us."""
    words = unprivileged()
    alone = ["unshare", "--mount"]
    if not words or subprocess.run([*alone, "true"], check=False).returncode != 0:
        return words
    places = " ".join(shlex.quote(str(place)) for place in writable)
    script = f'for at in {places}; do mount --bind "$at" "$at"; done; mount -o remount,bind,ro /'
    return [*alone, "sh", "-c", f'{script}; exec "$@"', "sh", *words]


@pytest.fixture(scope="module")
def server(image, installation):
    (image / "volume").mkdir()
    shutil.copy(installation.template / "db.sqlite3", image / "volume")
    prepare = Container(image, "prepare")
    assert prepare.wait() == 0, prepare.said()
    started = Container(image, "serve", "--host", "127.0.0.1", "--port", "0")
    yield started
    started.process.kill()
    started.wait()


def test_it_serves_without_rights_on_a_root_that_cannot_be_written(server, image):
    assert asked(f"http://127.0.0.1:{server.port()}/livez", ALLOWED_HOSTS="voice.example,x") == 0
    assert asked(f"http://127.0.0.1:{server.port()}/livez", ALLOWED_HOSTS="other.example") == 1
    connection = HTTPConnection("127.0.0.1", server.port(), timeout=10)
    connection.request("GET", "/livez", headers={"Host": "voice.example"})
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())) == (200, {"alive": True})
    connection.request("GET", "/call/demo/", headers={"Host": "voice.example"})
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 301  # to HTTPS
    connection.close()
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    if os.geteuid() == 0:
        assert f"Uid:\t{user()}" in status
        assert re.search(r"CapBnd:\s0+$", status, re.MULTILINE)
        assert re.search(r"NoNewPrivs:\s1", status)
    server.process.send_signal(signal.SIGTERM)
    assert server.wait(40) == 0
    assert "Traceback" not in server.said()
    assert (server.var / "db.sqlite3").is_file()


def test_nothing_else_could_have_been_written(server, image):
    words = confined(server.var, server.tmp)
    if words[:1] != ["unshare"]:
        pytest.skip("no root of its own can be made here: needs unshare")
    for place, written in ((server.var, True), (server.tmp, True), (image, False)):
        tried = [*words, "touch", str(place / "touched")]
        assert (subprocess.run(tried, capture_output=True, check=False).returncode == 0) == written


def test_a_volume_that_cannot_be_written_is_said_in_one_line(image):
    start = str(image / "srv" / "voiceapp" / "deploy" / "start")
    said = subprocess.run(
        [start, "serve"],
        env={"PATH": os.defpath, "VAR_DIR": "/proc/1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 1
    assert len(said.stderr.splitlines()) == 1
    assert "/proc/1" in said.stderr


ALIVE = ROOT / "deploy" / "alive.py"


def alive(*words):
    return subprocess.run([sys.executable, str(ALIVE), *words], check=False).returncode


def test_a_worker_lives_as_long_as_it_touches_its_file(tmp_path):
    file = tmp_path / "alive"
    assert alive(str(file)) == 1
    file.touch()
    assert alive(str(file)) == 0
    long_ago_s = time.time() - 60
    os.utime(file, (long_ago_s, long_ago_s))
    assert alive(str(file)) == 1


def test_a_server_that_is_not_there_is_not_well():
    assert asked("http://127.0.0.1:1/livez") == 1


def asked(livez, **environment):
    """What the check says of a server at another address than a container's own."""
    script = (
        f"import runpy, sys; alive = runpy.run_path({str(ALIVE)!r});"
        f"alive['main'].__globals__['LIVEZ'] = {livez!r}; sys.exit(alive['main']([]))"
    )
    words = [sys.executable, "-c", script]
    return subprocess.run(words, env=machine_environment(**environment), check=False).returncode
