"""A fresh Django project outside the tree, with the app installed as anybody would."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.agents.bench import code_blocks
from tests.needs import UNHURRIED, machine_environment

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Project:
    """A project's folder and the folder that the app was installed into."""

    folder: Path
    installed: Path

    @property
    def environment(self) -> dict[str, str]:
        """Nothing of the tree is to be found, but what is installed in the environment is."""
        places = f"{self.installed}{os.pathsep}{self.folder}"
        return machine_environment(PYTHONPATH=places, PYTHONUNBUFFERED="1")

    def manage(self, *words: str) -> str:
        """What `manage.py` says; it must not fail."""
        return self._run(sys.executable, "manage.py", *words)

    def _run(self, *words: str) -> str:
        ran = subprocess.run(
            words, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=60
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project of docs/install.md, with the agents of the other examples."""
    place = tmp_path_factory.mktemp("outside")
    project = Project(place / "mysite", place / "installed")
    _install(project.installed)
    project.folder.mkdir()
    project._run(sys.executable, "-m", "django", "startproject", "mysite", ".")
    _follow_the_page(project.folder / "mysite")
    _add_agents(project.folder)
    project.manage("migrate", "--verbosity", "0")
    return project


def _install(target: Path) -> None:
    """Build and install; everything that it needs is there already, so nothing is fetched."""
    words = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--target", str(target)]
    ran = subprocess.run(
        [*UNHURRIED, sys.executable, "-m", "pip", "install", *words, str(ROOT)],
        env=machine_environment(PIP_DISABLE_PIP_VERSION_CHECK="1"),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def _follow_the_page(package: Path) -> None:
    blocks = code_blocks(ROOT / "docs" / "install.md")
    with (package / "settings.py").open("a") as settings:
        settings.write(blocks["settings.py"])
    for name in ("urls.py", "asgi.py"):
        (package / name).write_text(blocks[name])


def _add_agents(folder: Path) -> None:
    """The workshop of docs/python-api.md, and the example app that books appointments."""
    workshop = folder / "workshop"
    workshop.mkdir()
    (workshop / "__init__.py").touch()
    examples = code_blocks(ROOT / "docs" / "python-api.md")
    (workshop / "agents.py").write_text(examples["worked example"])
    booking = folder / "booking_agent"
    booking.symlink_to(ROOT / "examples" / "booking_agent")
    with (folder / "mysite" / "settings.py").open("a") as settings:
        settings.write(
            '\nINSTALLED_APPS += ["booking_agent"]\n'
            'CALLS = {"AGENTS": {"workshop": "workshop.agents.Workshop",\n'
            '                    "booking": "booking_agent.agents.BookingAgent"}}\n'
        )
