"""Guessing the passwords of the admin."""

from datetime import timedelta

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.db.models import F
from django.test import Client

from voiceapp import environment

PASSWORD = "right and long enough"
LOGIN = "/admin/login/"
ATTACKER, COLLEAGUE, PROXY = "203.0.113.5", "198.51.100.7", "10.0.0.2"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def boss(settings):
    """Their passwords are checked a hundred times here: in a way that takes no time."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return User.objects.create_superuser("boss", password=PASSWORD)


def login(password, *, address=ATTACKER, name="boss", forwarded=None):
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    return Client().post(
        LOGIN, {"username": name, "password": password}, REMOTE_ADDR=address, headers=headers
    )


def locked_out(**who):
    for number in range(5):
        assert login(f"wrong {number}", **who).status_code == (429 if number == 4 else 200)


def test_after_five_wrong_ones_the_right_one_is_refused_too():
    locked_out()
    refused = login(PASSWORD)
    assert refused.status_code == 429
    assert "Too many attempts" in refused.content.decode()
    assert "sessionid" not in refused.cookies


def test_the_page_of_a_locked_login_needs_nothing_inline():
    locked_out()
    page = login(PASSWORD)
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    assert "style=" not in page.content.decode()
    assert "<style" not in page.content.decode()


def test_after_an_hour_it_opens_again():
    locked_out()
    for passed, status in ((timedelta(minutes=58), 429), (timedelta(minutes=3), 302)):
        AccessAttempt.objects.update(attempt_time=F("attempt_time") - passed)
        assert login(PASSWORD).status_code == status


def test_trying_on_does_not_make_it_longer():
    locked_out()
    AccessAttempt.objects.update(attempt_time=F("attempt_time") - timedelta(minutes=58))
    login("wrong again")
    AccessAttempt.objects.update(attempt_time=F("attempt_time") - timedelta(minutes=3))
    assert login(PASSWORD).status_code == 302


def test_others_come_in_meanwhile():
    locked_out()
    assert login(PASSWORD, address=COLLEAGUE).status_code == 302


def test_a_made_up_header_is_no_way_around():
    for number in range(5):
        login("wrong", forwarded=f"192.0.2.{number}")
    assert login(PASSWORD, forwarded="192.0.2.77").status_code == 429


def test_behind_a_trusted_proxy_each_address_counts_for_itself(settings):
    settings.CALLS = settings.CALLS | {"TRUSTED_PROXIES": ["10.0.0.0/8"]}
    locked_out(address=PROXY, forwarded=ATTACKER)
    assert login(PASSWORD, address=PROXY, forwarded=f"6.6.6.6, {ATTACKER}").status_code == 429
    assert login(PASSWORD, address=PROXY, forwarded=COLLEAGUE).status_code == 302


def test_addresses_of_one_ipv6_network_count_together():
    for number in range(5):
        login("wrong", address=f"2001:db8:0:1::{number}")
    assert login(PASSWORD, address="2001:db8:0:1::77").status_code == 429
    assert login(PASSWORD, address="2001:db8:0:2::1").status_code == 302


def test_success_forgets_the_failures_before_it():
    for _ in range(2):
        for _ in range(4):
            assert login("wrong").status_code == 200
        assert login(PASSWORD).status_code == 302


def test_no_password_is_kept():
    login("geheim", name="boss")
    (kept,) = AccessAttempt.objects.all()
    assert "geheim" not in str(vars(kept))


def test_nothing_is_logged_of_who_tried(caplog):
    with caplog.at_level("DEBUG"):
        locked_out()
    assert ATTACKER not in caplog.text


@pytest.mark.parametrize(
    ("said", "path"), [("", "admin/"), ("back-office", "back-office/"), ("/a/b_c/", "a/b_c/")]
)
def test_the_admin_lies_where_the_environment_says(said, path):
    assert environment.read({"ADMIN_PATH": said}).admin_path == path


@pytest.mark.parametrize("said", ["/", "a b", "../x", "a//b", "a?b", "ä"])
def test_a_path_that_is_none_is_refused(said):
    with pytest.raises(ImproperlyConfigured, match="ADMIN_PATH: say a path"):
        environment.read({"ADMIN_PATH": said})
