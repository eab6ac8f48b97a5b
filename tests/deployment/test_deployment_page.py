"""`docs/deployment.md`: what its blocks name is there, and means what the page says."""

import re
import shlex
import subprocess

import pytest
import yaml
from django.core.management import get_commands, load_command_class

from tests.servers import ROOT
from voiceapp import environment

PAGE = (ROOT / "docs" / "deployment.md").read_text()
BLOCKS = re.findall(r"(?:<!-- ([\w.]+) -->\n)?```(\w+)\n(.*?)```", PAGE, re.DOTALL)
SHELL = "".join(text for _, kind, text in BLOCKS if kind == "sh")
SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
START = (ROOT / "deploy" / "nginx" / "start").read_text()


def block(name):
    (text,) = (text for marked, _, text in BLOCKS if marked == name)
    return text


def pairs(text):
    lines = (line for line in text.splitlines() if "=" in line)
    return dict(line.split("=", 1) for line in lines)


def test_there_is_something_to_check():
    assert {name for name, _, _ in BLOCKS if name} == {
        "compose", "voiceapp.env", "unit", "worker", "proxy", "backup", "restore", "upgrade",
    }  # fmt: skip


@pytest.mark.parametrize("text", [text for _, kind, text in BLOCKS if kind == "sh"])
def test_a_shell_understands_every_command(text):
    checked = subprocess.run(["sh", "-n"], input=text, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


COMPOSE = [
    shlex.split(line)[2:] for line in SHELL.splitlines() if line.startswith("docker compose")
]


@pytest.mark.parametrize("words", COMPOSE, ids=" ".join)
def test_compose_commands_name_services_that_there_are(words):
    takes_value = {"-C", "--entrypoint", "-c", "-s", "-U", "-d"}
    words = [w for before, w in zip(["", *words], words, strict=False) if before not in takes_value]
    command, *rest = [word for word in words if not word.startswith("-")]
    assert command in {"up", "exec", "run", "build", "ps"}
    named = rest[:1] if command in {"exec", "run"} else rest
    assert set(named) <= set(SERVICES)


def test_files_that_are_named_are_there_or_made():
    made = (ROOT / "deploy" / "prepare").read_text() + (ROOT / "deploy" / "self-signed").read_text()
    for name in set(re.findall(r"\bdeploy/[\w./-]*\w", PAGE)):
        assert (ROOT / name).exists() or name.rpartition("/")[2] in made, name


def test_management_commands_that_are_named_are_there():
    named = re.findall(r"manage\.py ([a-z_]+)([^\n`]*)", PAGE)
    assert {"serve", "worker", "prepare", "createsuperuser", "check"} <= {name for name, _ in named}
    for name, rest in named:
        command = load_command_class(get_commands()[name], name)
        options = command.create_parser("manage.py", name)._option_string_actions
        for option in re.findall(r"(?<=\s)--[a-z-]+", rest):
            assert option in options, (name, option)


def test_the_environment_makes_a_public_installation():
    given = pairs(block("voiceapp.env"))
    assert set(given) <= {*environment.NAMES, "NO_BOOTSTRAP"}
    found = environment.read(given)
    assert (found.local, found.trust_proxy) == (False, True)
    assert len(found.secret_key) >= 50


def test_a_server_gets_the_time_that_calls_need():
    unit = pairs(block("unit"))
    assert int(unit["TimeoutStopSec"]) * 1000 > 20_000 + 10_000
    assert unit["KillMode"] == "mixed"
    assert unit["User"] != "root"


def test_the_proxy_knows_its_variables():
    given = re.findall(r"\b([A-Z_]{4,})=", block("proxy"))
    assert {"UPSTREAMS", "CERTIFICATE", "CERTIFICATE_KEY"} <= set(given)
    for name in given:
        assert f"{name}:" in START, name


@pytest.mark.parametrize(
    ("says", "variable"),
    [
        (r"have (\d+) s in all", "HEADER_S"),
        (r"stops for (\d+) s is cut", "BODY_S"),
        (r"ends after (\d+) s\.", "IDLE_S"),
        (r"\| (\d+) connections an address", "CONNECTIONS_PER_ADDRESS"),
        (r"bodies of (\d+) MB", "BODY_MAX"),
    ],
)
def test_the_numbers_are_those_of_the_proxy(says, variable):
    (number,) = re.findall(says, PAGE)
    assert re.search(rf"{variable}:={number}m?}}", START)


def test_a_socket_lives_longer_than_between_two_signs_of_life():
    from voiceapp.server import DEFAULT_LIMITS

    (read_s,) = re.findall(r"READ_S:=(\d+)", START)
    assert int(read_s) > 2 * (DEFAULT_LIMITS.ping_interval_s + DEFAULT_LIMITS.ping_timeout_s)
