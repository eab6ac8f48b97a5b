"""A key is made in the admin, shown once, limited and switched off there."""

import html
import re

import pytest

from calls.models import Agent, ApiKey
from calls.store.keys import key_check, key_create
from tests.admin.conftest import logged_in, person

URL = "/admin/calls/apikey/"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def desk() -> Agent:
    return Agent.objects.create(slug="desk", name="Desk")


def shown_keys(page: str) -> list[str]:
    return re.findall(r"sk-voice-[\w-]{20,}", html.unescape(page))


def test_a_new_key_is_shown_once_and_works(boss):
    form = {
        "name": "Shop",
        "active": "on",
        "all_agents": "on",
        "configures": "on",
        "scopes": "calls",
    }
    saved = boss.post(f"{URL}add/", form, follow=True)
    (text,) = shown_keys(saved.content.decode())
    assert key_check(text).label == "Shop"
    row = ApiKey.objects.get()
    for page in (URL, f"{URL}{row.pk}/change/", f"{URL}{row.pk}/history/"):
        again = boss.get(page).content.decode()
        assert row.name in again
        assert shown_keys(again) == []
        assert row.hash not in again


def test_a_change_makes_no_new_key(boss, desk):
    row, text = key_create("Shop")
    form = {"name": "Shop 2", "active": "on", "agents": [desk.pk], "scopes": "calls"}
    saved = boss.post(f"{URL}{row.pk}/change/", form, follow=True)
    assert shown_keys(saved.content.decode()) == []
    grant = key_check(text)
    assert (grant.label, grant.agents, grant.configures) == ("Shop 2", ("desk",), False)


def test_a_key_is_switched_off(boss):
    row, text = key_create("Shop")
    boss.post(f"{URL}{row.pk}/change/", {"name": "Shop", "all_agents": "on", "scopes": "calls"})
    assert key_check(text) is None


@pytest.mark.parametrize(
    ("every", "named", "field"), [(True, True, "all_agents"), (False, False, "agents")]
)
def test_which_agents_is_said_clearly(boss, desk, every, named, field):
    form = {"name": "Shop", "active": "on", "scopes": "calls"}
    form |= {"all_agents": "on"} if every else {}
    form |= {"agents": [desk.pk]} if named else {}
    response = boss.post(f"{URL}add/", form)
    assert list(response.context["adminform"].errors) == [field]
    assert not ApiKey.objects.exists()


def test_the_list_says_how_far_a_key_reaches(boss, desk, django_assert_max_num_queries):
    key_create("All")
    key_create("One", ["desk"])
    key_create("None", ["desk"])[0].agents.clear()
    with django_assert_max_num_queries(8):
        page = boss.get(URL).content.decode()
    assert re.findall(r'field-reach">([^<]+)<', page) == ["every one", "none is left", "desk"]


def test_somebody_without_the_right_sees_no_keys():
    client = logged_in(person("view_conversation"))
    assert client.get(URL).status_code == 403
