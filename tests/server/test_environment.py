"""What the environment says, and how it says that it cannot be understood."""

import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pprint import pformat

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import RequestFactory, override_settings
from django.views.debug import technical_500_response

from calls.conf import CallsSettings, calls_settings
from tests.needs import as_deployed
from tests.servers import ROOT
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


KEYS = ("OPENAI_API_KEY", "ELEVENLABS_API_KEY", "LLM_API_KEY", "STT_API_KEY", "TTS_API_KEY")


@pytest.mark.parametrize("name", KEYS)
def test_a_key_may_lie_in_a_file(tmp_path, name):
    file = tmp_path / "key"
    file.write_text("geheim\n")
    assert environment.read({f"{name}_FILE": str(file)}).calls[name] == "geheim"


def test_a_key_is_itself_wherever_it_is_used_and_masked_wherever_it_is_shown():
    key = environment.read({"OPENAI_API_KEY": "geheim"}).calls["OPENAI_API_KEY"]
    assert f"Bearer {key}" == "Bearer geheim"
    assert key.encode() == b"geheim"
    for shown in (repr(key), repr({"OPENAI_API_KEY": key}), pformat([key]), f"{key!r}"):
        assert "geheim" not in shown


def test_django_shows_no_key():
    shown = {
        words[0]: manage(*words, **dict.fromkeys(KEYS, "geheim"))
        for words in (("diffsettings",), ("diffsettings", "--all", "--output=unified"), ("check",))
    }
    assert all("geheim" not in text for text in shown.values())
    assert "'OPENAI_API_KEY': '********'" in shown["diffsettings"]


def test_the_page_of_an_error_shows_no_key():
    """With DEBUG on, Django shows the settings, and all that the functions on the way knew."""
    secret = "ge" + "heim"  # the page shows these lines as well
    found = environment.read(dict.fromkeys(KEYS, secret)).calls
    with override_settings(CALLS=dict(found)), pytest.raises(ValueError, match="right") as raised:
        _fails(found["OPENAI_API_KEY"], calls_settings())
    with override_settings(CALLS=dict(found), DEBUG=True):
        error = (raised.type, raised.value, raised.tb.tb_next)
        page = technical_500_response(RequestFactory().get("/"), *error).content.decode()
    for part in ("OPENAI_API_KEY", "openai_base_url", "********"):
        assert part in page
    assert secret not in page


def _fails(bearer: str, read: CallsSettings) -> None:
    raise ValueError(f"{bearer!r} is not right.")


def manage(*words: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), *words],
        env=as_deployed(NO_BOOTSTRAP="1", **environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout + done.stderr


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
