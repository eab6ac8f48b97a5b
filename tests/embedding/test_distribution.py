"""The wheel: the app with all its files and nothing else, and a list of what it needs."""

import ast
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]


def _imported(folder: Path) -> set[str]:
    """Top-level modules that the sources name, inside functions as well."""
    names = set()
    for source in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.partition(".")[0])
    return names - sys.stdlib_module_names - {"calls"}


def test_everything_that_the_app_imports_is_asked_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    lines = [*project["dependencies"], *extras["local"], *extras["worker"]]
    wanted = {canonicalize_name(Requirement(line).name) for line in lines}
    providers = packages_distributions()
    missing = {
        name
        for name in _imported(ROOT / "calls")
        if not wanted & {canonicalize_name(found) for found in providers.get(name, [])}
    }
    assert missing == set()


def test_everything_that_is_asked_for_is_what_the_suite_runs_with():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = {}
    files = [ROOT / "requirements.txt", ROOT / "requirements-local.txt"]
    for line in "\n".join(file.read_text() for file in files).splitlines():
        if "==" in line:
            pin = Requirement(line.removesuffix("\\"))  # its hashes follow
            if pin.marker is None or pin.marker.evaluate():
                pins[canonicalize_name(pin.name)] = next(iter(pin.specifier)).version
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    for line in (*project["dependencies"], *extras):
        wanted = Requirement(line)
        assert wanted.specifier.contains(pins[canonicalize_name(wanted.name)]), line


def test_all_files_of_the_app_are_installed(project):
    def files(folder: Path) -> set[str]:
        found = {str(f.relative_to(folder)) for f in folder.rglob("*") if f.is_file()}
        return {name for name in found if "__pycache__" not in name}

    installed = files(project.installed / "calls")
    assert files(ROOT / "calls") <= installed
    for folder in ("static", "templates"):
        assert {f"{folder}/{name}" for name in files(ROOT / folder)} <= installed
    tops = {entry.name for entry in project.installed.iterdir()}
    assert {name for name in tops if not name.endswith(".dist-info")} == {"calls"}


def test_the_project_finds_the_app_there_and_not_in_the_tree(project):
    where = project.manage(
        "shell",
        "-c",
        "import calls, importlib.util as u; print(calls.__file__, u.find_spec('voiceapp'))",
    )
    assert f"{project.installed}/calls/__init__.py None" in where


def test_the_project_is_sound(project):
    assert "no issues" in project.manage("check")
    assert "No changes" in project.manage("makemigrations", "--check", "--dry-run")


def test_static_files_and_templates_are_found(project):
    assert str(project.installed) in project.manage("findstatic", "calls/js/define.js")
    found = project.manage(
        "shell",
        "-c",
        "from django.template.loader import get_template as g;"
        "print(g('calls/call.html').origin.name, g('admin/calls/conversation/review.html').origin.name)",
    )
    assert found.count(str(project.installed)) == 2
