"""The first command on a fresh machine: what it makes, and what it leaves when it cannot."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from voiceapp import bootstrap

OLD_VERSIONS = ("2.7", "3.6", "3.7", "3.8", "3.9", "3.10")


def old_python(version):
    folders = [*Path.home().glob(f".pyenv/versions/{version}.*/bin"), *os.get_exec_path()]
    for folder in folders:
        found = shutil.which(f"python{version}", path=str(folder))
        if found and "shims" not in found:
            return Path(found)
    pytest.skip(f"Python {version} is not here: pyenv install {version}")
    raise AssertionError


@pytest.mark.parametrize("version", OLD_VERSIONS)
@pytest.mark.parametrize("command", ["up", "test", "migrate"])
def test_an_old_python_is_told_so_in_its_own_language(project, version, command):
    said = project.run(command, python=old_python(version))
    assert said.status == 1
    assert f"Python {version} is too old" in said.complaint
    assert "3.11 or newer" in said.complaint
    assert not project.venv.exists()


def test_an_old_python_points_to_a_newer_one(project, tmp_path):
    newer = tmp_path / "bin" / "python3.12"
    newer.parent.mkdir()
    newer.touch(mode=0o755)
    said = project.run("up", python=old_python("3.8"), PATH=str(newer.parent))
    assert said.complaint.endswith("Try: python3.12 manage.py up")


def test_up_goes_from_nothing_to_running(ready_project):
    project, said = ready_project
    assert said.status == 0, said.err
    assert "django runs up --port 0" in said.out
    assert re.search(r"Virtual environment +done +\d+\.\d s", said.out)
    assert re.search(r"Packages +done +\d+\.\d s", said.out)
    assert sorted(path.name for path in project.root.iterdir()) == sorted(
        [".venv", "manage.py", "requirements-dev.txt", "requirements.txt", "voiceapp"]
    )


def test_the_second_time_it_only_runs(ready_project):
    project, _ = ready_project
    began_s = time.monotonic()
    said = project.run("up")
    assert said.out == "django runs up\n"
    assert time.monotonic() - began_s < 5  # a tenth of it, when nothing else is going on


def test_the_python_of_the_environment_needs_no_other(ready_project):
    project, _ = ready_project
    assert project.run("up", python=project.venv / "bin" / "python").out == "django runs up\n"


def test_a_moved_clone_still_runs(ready_project, tmp_path):
    project, _ = ready_project
    moved = tmp_path / "moved"
    shutil.copytree(project.root, moved, symlinks=True)
    said = subprocess.run(
        [sys.executable, "manage.py", "up"], cwd=moved, capture_output=True, text=True, check=True
    )
    assert said.stdout.endswith("django runs up\n")


def test_the_rest_runs_in_any_python_and_installs_nothing(project):
    said = project.run("migrate")
    assert said.status == 1
    assert "manage.py up" in said.complaint
    assert "pip install -r requirements.txt" in said.complaint
    assert not project.venv.exists()


def test_the_rest_names_the_python_that_has_django(ready_project):
    project, _ = ready_project
    said = project.run("createsuperuser", "--email", "x")
    assert said.complaint.endswith("Use: .venv/bin/python manage.py createsuperuser --email x")


def test_a_variable_turns_it_off(project):
    said = project.run("up", NO_BOOTSTRAP="1")
    assert "Django is not installed" in said.complaint
    assert not project.venv.exists()


def test_changed_requirements_are_installed_and_test_brings_its_own(ready_project):
    project, _ = ready_project
    project.require("# what runs now", "django==99.0")
    said = project.run("test", "-k", "some name", DATABASE_URL="postgresql://precious")
    assert said.out.splitlines()[-1] == "pytest runs -k some name "
    assert "Packages" in said.out
    assert "Virtual" not in said.out
    assert project.run("test").out == "pytest runs \n"


def test_what_a_killed_setup_left_is_made_anew(project):
    (project.venv / "bin").mkdir(parents=True)
    (project.venv / ".unfinished").touch()
    (project.venv / "bin" / "python").symlink_to("/bin/false")
    said = project.run("up")
    assert said.out.endswith("django runs up\n"), said.err


def test_an_environment_that_is_not_ours_is_left_alone(project):
    project.venv.mkdir()
    (project.venv / "precious").touch()
    said = project.run("up")
    assert "remove it" in said.complaint
    assert (project.venv / "precious").exists()


def test_two_at_once_make_one(project):
    with project.start("up") as first, project.start("up") as second:
        outs = [process.communicate(timeout=50)[0] for process in (first, second)]
    assert all(out.endswith("django runs up\n") for out in outs), outs
    assert sum("Packages" in out for out in outs) == 1


def test_a_busy_port_is_said_before_the_long_work(project):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = project.run("up", f"--port={port}")
    assert said.status == 1
    assert f"port {port}" in said.complaint
    assert f"--port {port + 1}" in said.complaint
    assert not project.venv.exists()


def python_without(module, folder):
    """An environment in which Python's library lacks a module, as Debian's does without venv."""
    version = f"python3.{sys.version_info.minor}"
    library = Path(sys.base_prefix) / "lib" / version
    shim = folder / "shim" / "lib" / version
    shim.mkdir(parents=True)
    for entry in library.iterdir():
        if entry.name not in (module, "site-packages"):
            (shim / entry.name).symlink_to(entry)
    return {"PYTHONHOME": str(folder / "shim")}


@pytest.mark.parametrize("module", ["ensurepip", "venv"])
def test_a_missing_venv_package_is_named(project, tmp_path, module):
    said = project.run("up", **python_without(module, tmp_path))
    assert said.status == 1
    assert "apt install python3-venv" in said.complaint
    assert not project.venv.exists()


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def by_network(port):
    return {"PIP_NO_INDEX": "", "PIP_FIND_LINKS": "", "PIP_INDEX_URL": f"http://127.0.0.1:{port}/"}


def test_no_network_is_said_and_nothing_stays(project):
    said = project.run("up", **by_network(closed_port()))
    assert said.status == 1
    assert "no connection to the package index" in said.complaint
    assert not project.venv.exists()


def test_a_package_that_does_not_exist_for_this_python_is_named(project):
    project.require("django==98.0")
    said = project.run("up")
    assert "There is no django==98.0 for Python 3." in said.complaint
    assert not project.venv.exists()


@pytest.fixture
def own_wheels(project, tmp_path):
    """The project, with packages that a test may change."""
    project.wheels = shutil.copytree(project.wheels, tmp_path / "own-wheels")
    return project


def test_a_package_is_installed_by_its_hash(own_wheels):
    own_wheels.require_by_hash("django")
    said = own_wheels.run("up")
    assert said.out.endswith("django runs up\n"), said.err


def test_a_package_whose_content_differs_from_its_hash_is_refused(own_wheels):
    wheel = own_wheels.require_by_hash("django")
    with zipfile.ZipFile(wheel, "a") as swapped:
        swapped.writestr("django/__init__.py", "print('swapped')\n")
    said = own_wheels.run("up")
    assert said.status == 1
    assert "Refused django==99.0:" in said.complaint
    assert "does not match its hashes" in said.complaint
    assert "swapped" not in said.out
    assert not own_wheels.venv.exists()


def test_a_hash_does_not_hide_a_pin(tmp_path):
    file = tmp_path / "requirements.txt"
    hashes = "".join(f" \\\n    --hash=sha256:{digit * 64}" for digit in "01")
    version = metadata.version("pytest")
    for pin, satisfied in ((version, True), ("1.0", False)):
        file.write_text(f'# tests\npytest=={pin}; python_version >= "3.11"{hashes}\n')
        assert bootstrap._satisfied(file) is satisfied


def test_no_network_later_keeps_what_there_was(ready_project, tmp_path):
    project, _ = ready_project
    before = (project.root / "requirements.txt").read_text()
    project.require("# newer", "django==99.0", "nosuch==1.0")
    try:
        assert "no connection" in project.run("up", **by_network(closed_port())).complaint
        assert (project.venv / "bin" / "python").exists()
    finally:
        (project.root / "requirements.txt").write_text(before)
    assert project.run("up").out.endswith("django runs up\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_setup_leaves_nothing(project, number):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(40)
        process = project.start("up", **by_network(silent.getsockname()[1]))
        silent.accept()[0].close()  # pip is at work
        connection, _ = silent.accept()
        os.killpg(process.pid, number)
        _, err = process.communicate(timeout=20)
        connection.close()
    assert process.returncode == 1
    assert err.strip() == "Stopped. Nothing was left half-installed."
    assert not project.venv.exists()
    assert gone(process.pid), "pip as well"


def gone(group, patience_s=10):
    """Whether no process of the group is left, soon: the last of them is reaped by the system."""
    give_up_s = time.monotonic() + patience_s
    while time.monotonic() < give_up_s:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


MOUNT = ["unshare", "--mount", "--map-root-user"]


def tiny_disk(script):
    """Run a shell script in which folders can be mounted small; none of it outlives the script."""
    return subprocess.run(
        [*MOUNT, "sh", "-c", script], capture_output=True, text=True, timeout=50, check=False
    )


@pytest.fixture
def mounts():
    if not shutil.which("unshare") or tiny_disk("mount -t tmpfs none /mnt").returncode:
        pytest.skip("a small disk cannot be mounted here: needs unshare and user namespaces")


@pytest.mark.usefixtures("mounts")
def test_a_small_disk_is_said_before_anything_is_made(project, tmp_path):
    place = tmp_path / "small"
    place.mkdir()
    said = tiny_disk(
        f"mount -t tmpfs -o size=8m none '{place}' && cp -r '{project.root}/.' '{place}' && "
        f"cd '{place}' && '{sys.base_prefix}/bin/python3' manage.py up; status=$?; ls -A >&2; "
        "exit $status"
    )
    complaint, *left = said.stderr.splitlines()
    assert said.returncode == 1
    assert "Not enough disk space" in complaint
    assert ".venv" not in left


@pytest.mark.usefixtures("mounts")
def test_a_disk_that_fills_up_meanwhile_is_said_and_nothing_stays(project, tmp_path):
    place = tmp_path / "temporary"
    place.mkdir()
    said = tiny_disk(
        f"mount -t tmpfs -o size=64k none '{place}' && cd '{project.root}' && "
        f"TMPDIR='{place}' '{sys.base_prefix}/bin/python3' manage.py up"
    )
    assert said.returncode == 1
    assert "The disk is full" in said.stderr
    assert len(said.stderr.splitlines()) == 1
    assert not project.venv.exists()


MARKERS = [
    ("", True),
    ('python_version >= "3.11"', True),
    ('python_version < "3.11"', False),
    ('python_version >= "3.9"', True),
    ('sys_platform == "win32"', sys.platform == "win32"),
]


@pytest.mark.parametrize(("marker", "applies"), MARKERS)
def test_an_environment_marker(marker, applies):
    assert bootstrap._applies(marker) is applies


def test_the_pins_of_the_project_are_what_the_suite_runs_with():
    root = Path(bootstrap.ROOT)
    for name in ("requirements.txt", "requirements-dev.txt"):
        assert bootstrap._satisfied(root / name), name
