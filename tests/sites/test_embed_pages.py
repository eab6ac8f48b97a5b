"""The call in pages: with and without django-csp, as oneself, and by a template tag."""

import re

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.template import Context, Template
from django.test import Client, RequestFactory

from calls import origins
from calls.models import Agent, Site
from calls.models.sites import FILE_ORIGIN
from calls.store.sites import own_site_ensure
from calls.store.tokens import token_take

pytestmark = pytest.mark.django_db

SHOP = "https://shop.example"
JSON = {"accept": "application/json"}


@pytest.fixture(autouse=True)
def desk() -> Agent:
    return Agent.objects.create(
        slug="desk", name='De"sk <b>', consent_text="We record & keep.", consent_mode="required"
    )


@pytest.fixture
def shop() -> Site:
    return Site.objects.create(
        slug="shop", name="Shop", public=True, all_agents=True, origins=[SHOP]
    )


@pytest.fixture
def ann() -> User:
    return User.objects.create_user("ann")


def test_one_name_for_pages_from_a_disk():
    assert origins.FILE_ORIGIN == FILE_ORIGIN


@pytest.fixture
def without_csp(settings):
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if not name.startswith("csp.")]


@pytest.mark.usefixtures("without_csp")
def test_a_project_without_django_csp_names_the_framers_itself(shop):
    page = Client().get(f"/embed/desk/?origin={SHOP}")
    assert page.headers["Content-Security-Policy"] == f"frame-ancestors {SHOP}"
    assert "X-Frame-Options" not in page.headers
    refused = Client().get("/embed/desk/?origin=https://evil.example")
    assert refused.headers["Content-Security-Policy"] == "frame-ancestors 'none'"
    assert refused.headers["X-Frame-Options"] == "DENY"
    assert Client().get("/call/desk/").headers["X-Frame-Options"] == "DENY"


def token_in(text: str) -> str:
    return re.search(r' token="([^"]+)"', text)[1]


def test_the_page_in_a_frame_knows_the_page_around_it(shop):
    page = Client().get(f"/embed/desk/?origin={SHOP}").content.decode()
    claims = token_take(token_in(page), agent="desk", origin="")
    assert (claims.site, claims.origin, claims.user_id) == ("shop", SHOP, None)


def test_without_an_origin_one_that_is_alone_is_meant(shop):
    assert f'host-origin="{SHOP}"' in Client().get("/embed/shop/desk/").content.decode()
    Site.objects.update(origins=[SHOP, "https://www.shop.example"])
    assert 'host-origin=""' in Client().get("/embed/shop/desk/").content.decode()


def test_of_several_sites_the_one_that_has_the_agent_is_meant(shop, desk):
    Site.objects.update(all_agents=False)
    second = Site.objects.create(slug="second", name="Second", public=True, origins=[SHOP])
    assert Client().get(f"/embed/desk/?origin={SHOP}").status_code == 404
    second.agents.add(desk)
    assert 'site="second"' in Client().get(f"/embed/desk/?origin={SHOP}").content.decode()


def test_a_frame_does_not_ask_who_is_logged_in(shop, ann):
    client = Client()
    client.force_login(ann)
    answer = client.get(f"/embed/desk/?origin={SHOP}", headers=JSON)
    assert token_take(answer.json()["token"], agent="desk", origin="").user_id is None
    assert answer.cookies == {}


def test_on_our_own_page_one_calls_as_oneself(ann):
    client = Client()
    page = client.get("/call/desk/").content.decode()
    claims = token_take(token_in(page), agent="desk", origin="")
    assert (claims.site, claims.user_id) == ("own", None)
    client.force_login(ann)
    for text in (
        token_in(client.get("/call/desk/").content.decode()),
        client.get("/call/desk/", headers=JSON).json()["token"],
    ):
        assert token_take(text, agent="desk", origin="").user_id == ann.pk


def test_where_strangers_may_not_call_from_our_page_they_get_no_token(ann):
    own_site_ensure()
    Site.objects.update(public=False)
    client = Client()
    assert ' token="' not in client.get("/call/desk/").content.decode()
    assert client.get("/call/desk/", headers=JSON).status_code == 403
    client.force_login(ann)
    assert client.get("/call/desk/", headers=JSON).status_code == 200


def test_the_element_says_what_the_agent_is(shop):
    for path in ("/call/desk/", f"/embed/desk/?origin={SHOP}"):
        page = Client().get(path).content.decode()
        assert 'agent-name="De&quot;sk &lt;b&gt;"' in page
        assert 'consent="We record &amp; keep."' in page
        assert 'consent-mode="required"' in page


def rendered(user=None, tag='{% voice_call "desk" %}') -> str:
    request = RequestFactory().get("/somewhere/")
    request.user = user or AnonymousUser()
    return Template("{% load calls %}" + tag).render(Context({"request": request}))


def test_a_page_of_the_project_shows_the_call_by_a_tag(ann):
    shown = rendered(ann)
    assert token_take(token_in(shown), agent="desk", origin="").user_id == ann.pk
    assert 'token-path="/call/desk/"' in shown
    assert "calls/js/define.js" in shown
    assert "calls/calls.css" in shown
    assert token_take(token_in(rendered()), agent="desk", origin="").user_id is None


def test_the_tag_works_where_there_is_no_request():
    shown = Template('{% load calls %}{% voice_call "desk" %}').render(Context())
    assert '<voice-call agent="desk"' in shown
    assert " token=" not in shown


def test_an_agent_that_is_not_there_leaves_nothing(settings):
    assert rendered(tag='{% voice_call "nobody" %}').strip() == ""
    Agent.objects.update(active=False)
    assert rendered().strip() == ""


def test_without_a_name_the_default_agent_is_meant(settings):
    settings.CALLS = settings.CALLS | {"DEFAULT_AGENT": "desk"}
    assert '<voice-call agent="desk"' in rendered(tag="{% voice_call %}")
