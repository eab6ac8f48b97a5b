"""Lint, types, import contracts, migrations and the page's own checks: what the tools say."""

import filecmp
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import needs

ROOT = Path(__file__).resolve().parents[2]
JS = ROOT / "tools" / "js"
_TOOLS = Path(sys.executable).parent


def say(*command, cwd=ROOT, **environment):
    """Run a tool; its exit status, and all that it wrote."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=needs.machine_environment(NO_BOOTSTRAP="1", NO_COLOR="1", **environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def agree(*command, **options):
    status, said = say(*command, **options)
    assert status == 0, f"{command[0]}:\n{said}"


def test_ruff_finds_nothing():
    agree(sys.executable, "-m", "ruff", "check", ".")


def test_ruff_would_format_nothing():
    agree(sys.executable, "-m", "ruff", "format", "--check", ".")


@pytest.mark.timeout(300)
def test_mypy_finds_nothing(tmp_path):
    agree(sys.executable, "-m", "mypy", VAR_DIR=str(tmp_path))


def test_imports_point_inward():
    agree(_TOOLS / "lint-imports", "--no-cache", PYTHONPATH=str(ROOT))


def test_the_tables_need_no_migration(tmp_path):
    agree(
        sys.executable, "manage.py", "makemigrations", "--check", "--dry-run", VAR_DIR=str(tmp_path)
    )


def test_django_finds_nothing(tmp_path):
    agree(sys.executable, "manage.py", "check", "--fail-level=WARNING", VAR_DIR=str(tmp_path))


@pytest.fixture(scope="session")
def typescript():
    """The checker of the page's types, at the version that the lock file names."""
    installed = JS / "node_modules" / ".lock-of-these"
    wanted = JS / "package-lock.json"
    if not installed.exists() or not filecmp.cmp(installed, wanted, shallow=False):
        status, said = say(shutil.which("npm") or "npm", "ci", "--no-audit", "--no-fund", cwd=JS)
        if status:
            reason = f"TypeScript is not here: npm ci --prefix tools/js ({said.splitlines()[-1:]})"
            (pytest.fail if needs.INSISTS else pytest.skip)(reason)
        shutil.copy(wanted, installed)
    return JS / "node_modules" / "typescript" / "bin" / "tsc"


@pytest.mark.node
@pytest.mark.timeout(300)
@pytest.mark.parametrize("project", ["pages", "worklets"])
def test_tsc_finds_nothing(typescript, project):
    agree(shutil.which("node"), typescript, "-p", JS / f"tsconfig.{project}.json")


@pytest.mark.node
@pytest.mark.timeout(300)
def test_the_units_of_the_page():
    agree(shutil.which("node"), "--test", *sorted((ROOT / "tests" / "js").glob("*.test.mjs")))
