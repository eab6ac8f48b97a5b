"""What the environment says, and how it says that it cannot be understood."""

import stat
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.exceptions import ImproperlyConfigured

from voiceapp import environment
from voiceapp.keys import kept_secret


def test_nothing_said_is_a_local_installation():
    found = environment.read({})
    assert (found.local, found.debug, found.ssl_redirect) == (True, False, False)
    assert found.allowed_hosts == environment.LOOPBACK_HOSTS
    assert found.database == {}


def test_a_public_host_ends_the_leniency():
    found = environment.read({"ALLOWED_HOSTS": "voice.example", "SECRET_KEY": "k"})
    assert (found.local, found.ssl_redirect, found.allow_missing_origin) == (False, True, False)


def test_a_public_host_needs_a_secret_key():
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY"):
        environment.read({"ALLOWED_HOSTS": "voice.example"})


def test_everything_that_is_wrong_is_said_at_once():
    wrong = {"DEBUG": "perhaps", "LOCAL": "2", "SECRET_KEY_FILE": "/nowhere/at/all"}
    with pytest.raises(ImproperlyConfigured) as said:
        environment.read(wrong)
    lines = str(said.value).splitlines()[1:]
    assert sorted(line.partition(":")[0] for line in lines) == ["DEBUG", "LOCAL", "SECRET_KEY"]


def test_a_variable_may_be_the_name_of_a_file(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("from a file\n")
    assert environment.read({"SECRET_KEY_FILE": str(secret)}).secret_key.strip() == "from a file"


def test_a_database_url_is_taken_apart():
    found = environment.read({"DATABASE_URL": "postgresql://u:p%40@db:5433/calls"}).database
    assert (found["USER"], found["PASSWORD"], found["PORT"]) == ("u", "p@", 5433)


def test_what_calls_need_is_passed_on_and_nothing_else():
    said = {"LLM_BASE_URL": "http://127.0.0.1:1/v1", "MAX_CALLS": "7"}
    assert environment.read(said).calls == {"LLM_BASE_URL": "http://127.0.0.1:1/v1", "MAX_CALLS": 7}


@pytest.mark.parametrize("number", ["0", "-1", "many", "1.5"])
def test_a_number_is_a_number(number):
    with pytest.raises(ImproperlyConfigured, match="MAX_CALLS: say a whole number"):
        environment.read({"MAX_CALLS": number})


def test_nothing_secret_is_shown():
    secrets = {"SECRET_KEY": "geheim", "LLM_API_KEY": "geheim", "REDIS_URL": "redis://:geheim@x"}
    shown = repr(environment.read(secrets | {"DATABASE_URL": "postgres://u:geheim@h/d"}))
    assert "geheim" not in shown


def test_the_kept_secret_stays_and_is_its_owners_alone(tmp_path):
    path = tmp_path / "var" / "secret_key"
    secret = kept_secret(path)
    assert len(secret) >= 50
    assert kept_secret(path) == secret
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_processes_that_start_together_share_one_secret(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        secrets = set(pool.map(kept_secret, [tmp_path / "secret_key"] * 32))
    assert len(secrets) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["secret_key"]
