"""A copy of the project's front door, with requirements that need no network."""

import hashlib
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copy, copytree, ignore_patterns

import pytest

from tests.needs import machine_environment

ROOT = Path(__file__).resolve().parents[2]
PYTHON = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
FAKES = {
    ("django", "django/core/management/__init__.py"): (
        "def execute_from_command_line(argv): print('django runs', *argv[1:])\n"
    ),
    ("django", "django/core/exceptions.py"): "class ImproperlyConfigured(Exception): pass\n",
    ("pytest", "pytest/__init__.py"): (
        "import os\n"
        "def main(words):\n    print('pytest runs', *words, os.environ.get('DATABASE_URL', ''))\n"
    ),
    ("pytest", "environ/__init__.py"): "FileAwareEnv = None\n",
    ("pytest", "environ/fileaware_mapping.py"): "FileAwareMapping = None\n",
    ("pytest", "typing_extensions.py"): "def override(method):\n    return method\n",
}


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    status: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line that it complained with; that it is one is part of the promise."""
        assert len(self.err.splitlines()) == 1, self.err
        return self.err.strip()


@dataclass
class Project:
    """A folder that somebody has just cloned."""

    root: Path
    wheels: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def venv(self) -> Path:
        return self.root / ".venv"

    def start(self, *words: str, python: Path = PYTHON, **environment: str) -> subprocess.Popen:
        """Begin `manage.py` with these words, in a process group of its own."""
        local = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.wheels)}
        settled = {"PIP_CONFIG_FILE": os.devnull, "PIP_DEFAULT_TIMEOUT": "5"}
        known = {
            name: value
            for name, value in machine_environment().items()
            if not name.startswith(("PIP_", "PYTHON", "VIRTUAL_ENV", "NO_BOOTSTRAP"))
        }
        return subprocess.Popen(
            [str(python), "manage.py", *words],
            cwd=self.root,
            env=known | settled | local | self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: str, python: Path = PYTHON, **environment: str) -> Said:
        """The same, to its end."""
        with self.start(*words, python=python, **environment) as process:
            out, err = process.communicate(timeout=50)
        return Said(process.returncode, out, err)

    def require(self, *pins: str, file: str = "requirements.txt") -> None:
        (self.root / file).write_text("".join(f"{pin}\n" for pin in pins))

    def require_by_hash(self, name: str) -> Path:
        """Pin a package to the wheel that there is now, in the project's own form; the wheel."""
        wheel = self.wheels / f"{name}-99.0-py3-none-any.whl"
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        marker = 'python_version >= "3.11"'
        hashes = (f"    --hash=sha256:{value}" for value in sorted((digest, "0" * 64)))
        self.require(" \\\n".join((f"{name}==99.0; {marker}", *hashes)))
        return wheel


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packages by the names of Django and pytest that only say that they ran."""
    folder = tmp_path_factory.mktemp("wheels")
    for name in {name for name, _ in FAKES}:
        about = f"{name}-99.0.dist-info"
        with zipfile.ZipFile(folder / f"{name}-99.0-py3-none-any.whl", "w") as wheel:
            for (owner, module), code in FAKES.items():
                if owner == name:
                    wheel.writestr(module, code)
            wheel.writestr(
                f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 99.0\n"
            )
            wheel.writestr(
                f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            wheel.writestr(f"{about}/RECORD", "")
    return folder


def clone(folder: Path, wheels: Path) -> Project:
    root = folder / "a clone with spaces"
    root.mkdir()
    copy(ROOT / "manage.py", root)
    copytree(ROOT / "voiceapp", root / "voiceapp", ignore=ignore_patterns("__pycache__"))
    project = Project(root, wheels)
    project.require("# what runs", "django==99.0")
    project.require("-r requirements.txt", "pytest==99.0", file="requirements-dev.txt")
    return project


@pytest.fixture
def project(tmp_path: Path, wheels: Path) -> Project:
    return clone(tmp_path, wheels)


@pytest.fixture(scope="module")
def ready_project(tmp_path_factory: pytest.TempPathFactory, wheels: Path) -> tuple[Project, Said]:
    """A clone in which `up` has run once, and what it said then."""
    project = clone(tmp_path_factory.mktemp("ready"), wheels)
    return project, project.run("up", "--port", "0")
