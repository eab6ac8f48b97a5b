"""The compose file: against its published schema, and what it promises of every container."""

import hashlib
import json
import re
import shutil
import stat
import subprocess
from ipaddress import ip_address, ip_network
from pathlib import Path

import jsonschema
import pytest
import yaml

from tests.servers import ROOT
from voiceapp import environment
from voiceapp.serving import _ENDED_WITHIN_MS

VENDOR = Path(__file__).with_name("vendor")
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
_VARIABLE = re.compile(r"\$\{(\w+)(?::[-?]([^}]*))?\}")


def test_the_schema_is_the_published_one():
    for name, source in json.loads((VENDOR / "sources.json").read_text()).items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == source["sha256"]


def test_the_file_follows_the_specification():
    schema = json.loads((VENDOR / "compose-spec.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    errors = list(jsonschema.Draft7Validator(schema).iter_errors(COMPOSE))
    assert errors == []


def test_the_schema_finds_mistakes():
    schema = json.loads((VENDOR / "compose-spec.json").read_text())
    wrong = {"services": {"web": {"image": "x", "helthcheck": {}}}}
    assert not jsonschema.Draft7Validator(schema).is_valid(wrong)


@pytest.mark.parametrize("name", SERVICES)
class TestEveryContainer:
    def test_may_do_nothing_that_it_need_not(self, name):
        service = SERVICES[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert int(service["user"].partition(":")[0]) > 0
        assert "privileged" not in service
        assert not any("docker.sock" in str(volume) for volume in service.get("volumes", []))

    def test_has_limits(self, name):
        limits = SERVICES[name]["deploy"]["resources"]["limits"]
        assert set(limits) == {"cpus", "memory", "pids"}
        assert set(SERVICES[name]["logging"]["options"]) == {"max-size", "max-file"}

    def test_says_whether_it_works(self, name):
        check = SERVICES[name]["healthcheck"]
        assert check == {"disable": True} if name == "migrate" else check["test"][0] == "CMD"

    def test_has_a_version(self, name):
        image = _VARIABLE.sub(lambda found: found[2], SERVICES[name]["image"])
        tag = image.rpartition(":")[2]
        assert tag == "local" if "build" in SERVICES[name] else re.match(r"\d", tag)

    def test_is_given_time_to_end(self, name):
        if SERVICES[name].get("build"):
            longest_ms = environment_of(name)["DRAIN_MS"] + _ENDED_WITHIN_MS + 5_000
            assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) * 1000 > longest_ms


def environment_of(name):
    """What the example says to the app, as numbers where they are."""
    return {key: int(value) if value.isdecimal() else value for key, value in example().items()}


def example():
    lines = (ROOT / "deploy" / "example.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_a_database_is_not_reached_from_the_proxy():
    networks = {name: set(service["networks"]) for name, service in SERVICES.items()}
    assert networks["proxy"] == {"edge"}
    for inner in ("postgres", "valkey", "migrate"):
        assert networks[inner] == {"data"}
    assert COMPOSE["networks"]["data"]["internal"] is True
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["proxy"]


def test_nothing_serves_before_the_tables_are_there():
    for name in ("web1", "web2", "worker"):
        condition = SERVICES[name]["depends_on"]["migrate"]["condition"]
        assert condition == "service_completed_successfully"
    assert SERVICES["proxy"]["depends_on"].keys() == {"web1", "web2"}


def test_what_is_kept_lies_in_volumes():
    assert SERVICES["postgres"]["volumes"] == ["postgres:/var/lib/postgresql/data"]
    for name in ("web1", "web2", "worker"):
        assert SERVICES[name]["volumes"] == ["voiceapp:/var/lib/voiceapp"]
    assert set(COMPOSE["volumes"]) == {"postgres", "voiceapp"}


def test_every_variable_is_in_the_example_or_has_a_default():
    text = (ROOT / "docker-compose.yml").read_text()
    for name, default in _VARIABLE.findall(text):
        assert name in example() or name.endswith("_IMAGE"), name
        if name in example() and name != "ALLOWED_HOSTS":
            assert default == example()[name], name


def test_the_processes_trust_the_proxy_and_nothing_else():
    values = example()
    network = ip_network(values["EDGE_NETWORK"])
    addresses = [values[f"{name}_ADDRESS"] for name in ("PROXY", "WEB1", "WEB2")]
    assert all(ip_address(address) in network for address in addresses)
    assert len(set(addresses)) == 3
    trusted = resolved(SERVICES["web1"]["environment"]["TRUSTED_PROXIES"], values)
    assert trusted == f"{values['PROXY_ADDRESS']}/32"


def resolved(text, values):
    return _VARIABLE.sub(lambda found: values.get(found[1], found[2]), text)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """What the one command makes of a fresh clone."""
    clone = tmp_path_factory.mktemp("a clone")
    shutil.copytree(ROOT / "deploy", clone / "deploy", ignore=shutil.ignore_patterns("secrets"))
    shutil.copy(ROOT / "docker-compose.yml", clone)
    assert run_prepare(clone).returncode == 0
    return clone


def run_prepare(clone, *words):
    return subprocess.run(
        ["sh", str(clone / "deploy" / "prepare"), *(words or ("voice.example",))],
        capture_output=True,
        text=True,
        check=False,
    )


def test_one_command_makes_every_file_that_is_named(prepared):
    for secret in COMPOSE["secrets"].values():
        file = prepared / secret["file"]
        assert file.is_file()
        assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert stat.S_IMODE((prepared / "deploy" / "secrets").stat().st_mode) == 0o700
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert not source.startswith(".") or (prepared / source).is_dir(), source


def test_a_second_time_changes_nothing(prepared):
    before = {file: file.read_bytes() for file in prepared.rglob("*") if file.is_file()}
    assert run_prepare(prepared, "other.example").returncode == 0
    assert {file: file.read_bytes() for file in prepared.rglob("*") if file.is_file()} == before


def test_without_a_name_it_says_what_is_missing(prepared):
    refused = subprocess.run(
        ["sh", str(prepared / "deploy" / "prepare")], capture_output=True, text=True, check=False
    )
    assert refused.returncode != 0
    assert "calls.example" in refused.stderr


def test_what_a_server_is_told_makes_a_public_installation(prepared):
    found = environment.read(told("web1", prepared))
    assert (found.local, found.debug, found.trust_proxy) == (False, False, True)
    assert found.allowed_hosts == ("voice.example",)
    assert len(found.secret_key) == 64
    assert (found.database["HOST"], found.database["NAME"]) == ("postgres", "voiceapp")
    assert found.calls["BACKGROUND"] == "worker"
    assert found.calls["PUBLIC_URL"] == "https://voice.example"
    assert "OPENAI_API_KEY" not in found.calls


def told(name, clone):
    """The environment of a service, its secrets' files as they lie on this machine."""
    lines = (clone / ".env").read_text().splitlines()
    values = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    own = {key: resolved(text, values) for key, text in SERVICES[name]["environment"].items()}
    secrets = f"{clone}/deploy/secrets/"
    return values | {key: text.replace("/run/secrets/", secrets) for key, text in own.items()}


def test_no_secret_lies_where_it_could_be_committed(prepared):
    text = (prepared / ".env").read_text() + (prepared / "docker-compose.yml").read_text()
    for file in (prepared / "deploy" / "secrets").iterdir():
        content = file.read_text().strip()
        assert not content or content not in text
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {"/.env", "/deploy/secrets/"} <= set(ignored)
