"""Sites in the admin: their origins, limits, keys and switch, and what is copied into pages."""

import html
import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db.models.functions import Now

from calls.models import Agent, ApiKey, Conversation, Site
from calls.store.keys import key_check, key_create
from calls.store.sites import own_site_ensure
from tests.admin.conftest import logged_in, person

URL = "/admin/calls/site/"
FORM = {"name": "Shop", "slug": "shop", "active": "on", "all_agents": "on"}
LIMITS = {"max_calls": "20", "max_day_cost": "5.50", "max_minutes_per_day": ""}

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def desk() -> Agent:
    return Agent.objects.create(slug="desk", name="Desk & “Co” <b>")


@pytest.fixture
def shop() -> Site:
    return Site.objects.create(
        slug="shop", name="Shop", public=True, all_agents=True, origins=["https://shop.example"]
    )


def page(client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.mark.parametrize(
    "written",
    [
        "HTTPS://Shop.example:443/\n  http://shop.example:8080\r\nfile://\nhttps://shop.example",
        '["https://shop.example", "http://shop.example:8080", "file://"]',
        "https://shop.example, http://shop.example:8080 file://",
    ],
)
def test_origins_are_written_one_a_line_and_kept_in_one_way(boss, written):
    boss.post(f"{URL}add/", FORM | LIMITS | {"origins": written})
    site = Site.objects.get()
    assert site.origins == ["https://shop.example", "http://shop.example:8080", "file://"]
    assert (site.max_calls, site.max_day_cost) == (20, Decimal("5.5"))
    assert site.max_minutes_per_day is None
    shown = page(boss, f"{URL}{site.pk}/change/")
    assert "https://shop.example\nhttp://shop.example:8080\nfile://</textarea>" in shown


WRONG = [
    "shop.example",
    "https://shop.example/path",
    "https://*.example",
    "https://a;b",
    "[1",
    "ftp://a",
]


@pytest.mark.parametrize("written", WRONG)
def test_what_is_no_origin_is_said_clearly(boss, written):
    answer = boss.post(f"{URL}add/", FORM | {"origins": written})
    assert list(answer.context["adminform"].errors) == ["origins"]
    assert not Site.objects.exists()


def test_an_origin_belongs_to_one_site(boss, shop):
    other = FORM | {"slug": "other", "name": "Other"}
    answer = boss.post(f"{URL}add/", other | {"origins": "https://SHOP.example:443"})
    assert "“Shop”" in html.unescape(str(answer.context["adminform"].errors))
    boss.post(f"{URL}add/", other | {"origins": "file://"})
    assert Site.objects.filter(slug="other").exists()
    boss.post(f"{URL}{shop.pk}/change/", FORM | {"origins": "https://shop.example\nfile://"})
    shop.refresh_from_db()
    assert shop.origins == ["https://shop.example", "file://"]


def test_one_click_stops_a_site_and_lets_it_go_on(boss, shop):
    assert "Stop all calls now" in page(boss, f"{URL}{shop.pk}/change/")
    switch = f"{URL}{shop.pk}/switch/"
    assert boss.get(switch).status_code == 405
    said = boss.post(switch, follow=True).content.decode()
    assert "those that go on are ended" in said
    shop.refresh_from_db()
    assert shop.active is False
    assert "Take calls again" in page(boss, f"{URL}{shop.pk}/change/")
    boss.post(switch, {"on": "1"})
    shop.refresh_from_db()
    assert shop.active is True
    assert "takes no calls" in page(boss, f"{URL}{shop.pk}/history/")


def test_many_are_stopped_from_the_list(boss, shop):
    own_site_ensure()
    chosen = list(Site.objects.values_list("pk", flat=True))
    boss.post(URL, {"action": "stop", "_selected_action": chosen})
    assert not Site.objects.filter(active=True).exists()
    boss.post(URL, {"action": "let_go_on", "_selected_action": chosen})
    assert not Site.objects.filter(active=False).exists()


def test_only_who_may_change_a_site_stops_it(shop):
    looks = logged_in(person("view_site"))
    assert "Stop all calls" not in page(looks, f"{URL}{shop.pk}/change/")
    assert looks.post(f"{URL}{shop.pk}/switch/").status_code == 403
    assert logged_in(person("view_agent")).get(URL).status_code == 403
    shop.refresh_from_db()
    assert shop.active is True


def test_a_stop_needs_the_forms_token(boss, shop):
    boss.handler.enforce_csrf_checks = True
    assert boss.post(f"{URL}{shop.pk}/switch/").status_code == 403


def ended(call_id: str, *, ms: int, micros: int, site: str = "shop", **fields) -> None:
    Conversation.objects.create(
        call_id=call_id, site_slug=site, status="ended", end_reason="caller_hung_up",
        ended_at=Now(), duration_ms=ms, cost_micros=micros, **fields,
    )  # fmt: skip


def test_what_was_used_today_stands_beside_what_may_be(boss, shop):
    Site.objects.update(max_calls=4, max_minutes_per_day=10, max_day_cost=Decimal(2))
    ended("a", ms=90_000, micros=250_000)
    ended("b", ms=60_000, micros=750_000)
    ended("c", ms=60_000, micros=9_000_000, site="other")
    ended("d", ms=60_000, micros=9_000_000, started_at=Now() - timedelta(days=2))
    Conversation.objects.create(call_id="e", site_slug="shop")
    figures = boss.get(f"{URL}{shop.pk}/change/").context["figures"]
    shown = {figure.name: (figure.used, figure.most, figure.share) for figure in figures}
    assert shown == {
        "Calls today": ("3", "", None),
        "Live now": ("1", "4", 25),
        "Minutes today": ("2.5", "10", 25),
        "Money today": ("1.00 USD", "2.00 USD", 50),
    }
    assert re.findall(r'field-calls_today">([^<]+)<', page(boss, URL)) == ["3, 1 live"]


def test_its_keys_stand_on_its_page(boss, shop):
    key_create("Shop's server", site=shop, scopes=["tokens", "read"])
    key_create("Somebody else's")
    shown = html.unescape(page(boss, f"{URL}{shop.pk}/change/"))
    assert "Shop's server" in shown
    assert "tokens, read" in shown
    assert "Somebody else's" not in shown
    assert f"/admin/calls/apikey/add/?site={shop.pk}" in shown
    looks = page(logged_in(person("view_site")), f"{URL}{shop.pk}/change/")
    assert "Shop&#x27;s server" not in looks


def test_a_key_of_a_site_is_made_there_and_shown_once(boss, shop):
    form = page(boss, f"/admin/calls/apikey/add/?site={shop.pk}")
    assert f'<option value="{shop.pk}" selected>' in form
    assert form.count('type="checkbox" name="scopes"') == 7
    given = {
        "name": "S",
        "active": "on",
        "all_agents": "on",
        "site": shop.pk,
        "scopes": ["tokens", "read"],
    }
    saved = boss.post("/admin/calls/apikey/add/", given, follow=True).content.decode()
    (text,) = re.findall(r"sk-voice-[\w-]{20,}", html.unescape(saved))
    assert key_check(text) is None, "it is not good for calls"
    grant = key_check(text, scope="tokens")
    assert (grant.site, grant.scopes) == ("shop", ("tokens", "read"))
    shop.active = False
    shop.save()
    assert key_check(text, scope="tokens") is None
    assert key_check(text, scope="read") is not None
    assert boss.post("/admin/calls/apikey/add/", given | {"scopes": []}).status_code == 200
    assert ApiKey.objects.count() == 1


def test_this_servers_own_site_keeps_its_name(boss):
    own_site_ensure()
    site = Site.objects.get()
    boss.post(f"{URL}{site.pk}/change/", FORM | {"slug": "mine", "public": "on"})
    site.refresh_from_db()
    assert (site.slug, site.name) == ("own", "Shop")


# What is copied into pages


def copied(client, agent: Agent) -> list[str]:
    shown = page(client, f"/admin/calls/agent/{agent.pk}/change/")
    return [html.unescape(text) for text in re.findall(r'data-copy="([^"]*)"', shown)]


def test_an_agents_page_has_both_ways_for_each_site(boss, desk, shop):
    element, frame = copied(boss, desk)
    assert element == (
        '<script src="http://testserver/embed.js" async></script>\n'
        '<voice-call agent="desk"></voice-call>'
    )
    assert 'src="http://testserver/embed/shop/desk/"' in frame
    assert 'allow="microphone; autoplay; speaker-selection"' in frame
    assert 'title="Desk &amp; “Co” &lt;b&gt;"' in frame


def test_they_name_the_address_of_the_settings(boss, desk, shop, settings):
    settings.CALLS = settings.CALLS | {"PUBLIC_URL": "https://calls.example/"}
    element, frame = copied(boss, desk)
    assert 'src="https://calls.example/embed.js"' in element
    assert 'src="https://calls.example/embed/shop/desk/"' in frame


def test_a_site_that_is_not_public_has_its_server_asked(boss, desk, shop):
    Site.objects.update(public=False)
    (element,) = copied(boss, desk)
    assert 'token-url="/call-token"' in element


def test_a_site_is_named_where_its_origin_does_not_tell_it(boss, desk, shop):
    Site.objects.create(slug="twin", name="Twin", all_agents=True, origins=shop.origins)
    assert 'site="shop"' in copied(boss, desk)[0]


def test_sites_that_may_not_call_it_are_not_offered(boss, desk, shop):
    Site.objects.update(all_agents=False)
    own_site_ensure()
    assert copied(boss, desk) == []
    assert "No active site may call this agent" in page(
        boss, f"/admin/calls/agent/{desk.pk}/change/"
    )
    shop.agents.add(desk)
    assert len(copied(boss, desk)) == 2
    Site.objects.update(active=False)
    assert copied(boss, desk) == []


def test_a_new_agent_has_a_form_without_them(boss):
    assert "Put it into a page" not in page(boss, "/admin/calls/agent/add/")
