"""What `manage.py check` says about mistakes that only hurt in public: each alone, with its remedy."""

import subprocess
import sys

import pytest
from django.test import override_settings

from calls import checks
from calls.models import Site, Webhook
from tests.needs import as_deployed
from tests.servers import ROOT

PRODUCTION = {
    "ALLOWED_HOSTS": "voice.example",
    "SECRET_KEY": "q" * 25 + "0123456789abcdefghijklmnopqrstuvwxyz",
    "BACKGROUND": "worker",
    "REDIS_URL": "redis://valkey:6379/0",
    "DATABASE_URL": "postgresql://voiceapp:secret@postgres:5432/voiceapp",
    "TRUST_PROXY": "true",
    "TRUSTED_PROXIES": "172.30.77.10/32",
    "PUBLIC_URL": "https://voice.example",
}


def check(tmp_path, **changes):
    said = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=ROOT,
        env=as_deployed(NO_BOOTSTRAP="1", VAR_DIR=str(tmp_path), **(PRODUCTION | changes)),
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    return said.returncode, said.stdout + said.stderr


def test_the_production_profile_has_nothing_to_complain_of(tmp_path):
    assert check(tmp_path) == (0, "System check identified no issues (0 silenced).\n")


def test_a_mistake_fails_the_check(tmp_path):
    status, said = check(tmp_path, REDIS_URL="", DEBUG="true", TRUSTED_PROXIES="0.0.0.0/0")
    assert status == 1
    for name in (checks.LAYER_IN_MEMORY, checks.DEBUG_IN_PUBLIC, checks.TRUSTS_EVERYBODY):
        assert name in said


SOUND = {
    "DEBUG": False,
    "ALLOWED_HOSTS": ["voice.example"],
    "CHANNEL_LAYERS": {"default": {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer"}},
    "CALLS": {"BACKGROUND": "worker", "TRUSTED_PROXIES": ["10.0.0.0/8"]},
}
IN_MEMORY = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}


def found(**changes):
    with override_settings(**(SOUND | changes)):
        messages = checks.deployment_check(None)
    assert all(message.hint for message in messages)
    return [message.id for message in messages]


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"CHANNEL_LAYERS": IN_MEMORY}, checks.LAYER_IN_MEMORY),
        ({"CHANNEL_LAYERS": {}}, checks.LAYER_IN_MEMORY),
        ({"DEBUG": True}, checks.DEBUG_IN_PUBLIC),
        ({"ALLOWED_HOSTS": ["*"]}, checks.ANY_HOST),
        ({"CALLS": {"TRUSTED_PROXIES": ["0.0.0.0/0"]}}, checks.TRUSTS_EVERYBODY),
        ({"CALLS": {"TRUSTED_PROXIES": ["10.0.0.1/32", "::/0"]}}, checks.TRUSTS_EVERYBODY),
    ],
)
def test_each_mistake_is_named_and_nothing_else(changes, name):
    assert found(**changes) == [name]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"CHANNEL_LAYERS": IN_MEMORY, "CALLS": {"BACKGROUND": "process"}},
        {"DEBUG": True, "ALLOWED_HOSTS": []},
        {"DEBUG": True, "ALLOWED_HOSTS": ["localhost", "127.0.0.1", "[::1]"]},
    ],
)
def test_what_is_no_mistake_is_not_named(changes):
    assert found(**changes) == []


def test_settings_that_cannot_be_read_are_another_checks_matter():
    assert found(CALLS={"NO_SUCH_KEY": 1}) == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("webhooks", "url", "names"),
    [(1, "", [checks.NO_PUBLIC_URL]), (1, "https://voice.example", []), (0, "", [])],
)
def test_webhooks_need_to_know_where_they_come_from(settings, webhooks, url, names):
    settings.CALLS = settings.CALLS | {"PUBLIC_URL": url}
    site = Site.objects.create(slug="shop", name="Shop")
    for _ in range(webhooks):
        Webhook.objects.create(site=site, url="https://receiver.example/", events=[])
    assert checks.webhooks_check(None) == []
    messages = checks.webhooks_check(None, databases=["default"])
    assert [message.id for message in messages] == names
    assert all(message.hint for message in messages)
