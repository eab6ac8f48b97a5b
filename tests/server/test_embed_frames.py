"""Whose pages may frame what: headers of every address, tokens in pages, and nothing by cookie."""

import re

import httpx
import pytest

from tests.server.callers import kept_server
from tests.server.sites import make_site

pytestmark = pytest.mark.timeout(90)

SHOP = "https://shop.example"
NOBODY = "'none'"


@pytest.fixture(scope="module")
def server(installation, tmp_path_factory):
    place = tmp_path_factory.mktemp("frames") / "var"
    with kept_server(installation, place) as started:
        make_site(place, "shop", SHOP, "http://shop.example:8080")
        make_site(place, "disk", "file://", "https://disk.example")
        make_site(place, "bank", "https://bank.example", public=False)
        make_site(place, "gone", "https://gone.example", active=False)
        make_site(place, "bare")
        yield started


@pytest.fixture
def http(server):
    with httpx.Client(base_url=server.url, trust_env=False, timeout=10) as client:
        yield client


def framers(answer) -> str:
    directives = [each.strip() for each in answer.headers["Content-Security-Policy"].split(";")]
    (found,) = [each for each in directives if each.startswith("frame-ancestors")]
    assert "default-src 'self'" in directives, "the rest of the policy stays"
    return found.removeprefix("frame-ancestors ")


OF_SHOP = f"http://shop.example:8080 {SHOP}"
FRAMES = [
    # address                                        status  who may frame it
    (f"/embed/demo/?origin={SHOP}",                  200, OF_SHOP),
    ("/embed/demo/?origin=HTTPS://SHOP.example:443", 200, OF_SHOP),
    ("/embed/demo/?site=shop",                       200, OF_SHOP),
    (f"/embed/demo/?site=shop&origin={SHOP}",        200, OF_SHOP),
    ("/embed/shop/demo/",                            200, OF_SHOP),
    (f"/embed/shop/demo/?origin={SHOP}",             200, OF_SHOP),
    ("/embed/demo/?origin=null",                     200, "file: https://disk.example"),
    ("/embed/demo/?origin=file://",                  200, "file: https://disk.example"),
    ("/embed/bank/demo/",                            200, "https://bank.example"),
    ("/embed/own/demo/",                             200, "'self'"),
    ("/embed/demo/?origin={own}",                    200, "'self'"),
    ("/embed/bare/demo/",                            200, NOBODY),
    ("/embed/demo/",                                 404, NOBODY),
    ("/embed/demo/?origin=",                         404, NOBODY),
    ("/embed/demo/?origin=https://evil.example",     403, NOBODY),
    ("/embed/demo/?origin=https://gone.example",     403, NOBODY),
    ("/embed/demo/?origin=http://shop.example",      403, NOBODY),
    ("/embed/demo/?origin=https://shop.example.evil.example", 403, NOBODY),
    ("/embed/demo/?origin=https://x%3Bscript-src%20*", 403, NOBODY),
    ("/embed/demo/?origin=%0d%0aX:%20y",             403, NOBODY),
    ("/embed/demo/?origin=http://[",                 403, NOBODY),
    ("/embed/shop/demo/?origin=https://bank.example", 403, NOBODY),
    ("/embed/demo/?site=gone",                       404, NOBODY),
    ("/embed/nobody/demo/",                          404, NOBODY),
    ("/embed/shop/nobody/",                          404, NOBODY),
    ("/embed/demo/?site=%00",                        404, NOBODY),
    ("/",                                            200, NOBODY),
    ("/call/demo/",                                  200, NOBODY),
    ("/admin/login/",                                200, NOBODY),
    ("/nowhere",                                     404, NOBODY),
]  # fmt: skip


@pytest.mark.parametrize(("address", "status", "sources"), FRAMES)
def test_who_may_frame_it(http, server, address, status, sources):
    answer = http.get(address.replace("{own}", server.url))
    assert (answer.status_code, framers(answer)) == (status, sources)
    denied = answer.headers.get("X-Frame-Options")
    assert denied == ("DENY" if sources == NOBODY else None)
    if address.startswith("/embed/"):
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert "set-cookie" not in answer.headers
        assert "Cookie" not in answer.headers.get("Vary", "")
    assert "microphone=(self)" in answer.headers["Permissions-Policy"]


def attributes(answer) -> dict[str, str | None]:
    (element,) = re.findall(r"<voice-call ([^>]*)>", answer.text)
    return {name: value for name, _, value in re.findall(r'([\w-]+)(="([^"]*)")?', element)}


def test_a_public_page_carries_a_token_and_gets_fresh_ones(http):
    page = http.get(f"/embed/demo/?origin={SHOP}")
    said = attributes(page)
    assert (said["agent"], said["site"], said["host-origin"]) == ("demo", "shop", SHOP)
    assert said["ws-path"] == "/ws/call/demo/"
    assert "embedded" in said
    assert "token-wanted" not in said
    assert said["token-expires-in"] == "90"
    fresh = http.get(said["token-path"], headers={"Accept": "application/json"})
    assert fresh.headers["Cache-Control"] == "no-store"
    assert fresh.json()["expires_in"] == 90
    assert fresh.json()["token"].startswith("vct_")
    assert fresh.json()["token"] != said["token"]
    assert said["token"] not in str(page.url) + said["token-path"]


def test_a_private_page_waits_for_one(http):
    said = attributes(http.get("/embed/demo/?origin=https://bank.example"))
    assert "token" not in said
    assert "token-wanted" in said
    assert said["host-origin"] == "https://bank.example"


FETCHES = [
    # address             Sec-Fetch-Site   status
    ("/embed/shop/demo/", None,           200),
    ("/embed/shop/demo/", "same-origin",  200),
    ("/embed/shop/demo/", "same-site",    403),
    ("/embed/shop/demo/", "cross-site",   403),
    ("/embed/bank/demo/", "same-origin",  403),
    ("/embed/gone/demo/", "same-origin",  404),
    ("/embed/demo/?origin=https://evil.example", "same-origin", 403),
    ("/call/demo/",       "same-origin",  200),
    ("/call/demo/",       "cross-site",   403),
]  # fmt: skip


@pytest.mark.parametrize(("address", "site", "status"), FETCHES)
def test_who_gets_a_fresh_token(http, address, site, status):
    sent = {"Accept": "application/json"} | ({"Sec-Fetch-Site": site} if site else {})
    answer = http.get(address, headers=sent)
    assert answer.status_code == status
    assert ("token" in answer.json()) is (status == 200)
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert "set-cookie" not in answer.headers


def test_what_was_asked_for_is_shown_and_not_run(http):
    answer = http.get("/embed/demo/", params={"origin": '"><script>alert(1)</script>'})
    assert answer.status_code == 403
    assert "&lt;script&gt;alert(1)" in answer.text
    assert "<script>alert" not in answer.text
    told = http.get("/embed/demo/?origin=https://evil.example").text
    assert "https://evil.example" in told
    assert "add it to the origins" in told


def test_the_script_is_for_pages_of_others(http):
    answer = http.get("/embed.js")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "set-cookie" not in answer.headers
    assert "voice-call" in answer.text
    again = http.get("/embed.js", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.fixture
def logged_in(http, installation):
    """Somebody with a session, as a page of another site would use it."""
    http.get("/admin/login/")
    form = {"username": "admin", "password": installation.admin_password}
    form["csrfmiddlewaretoken"] = http.cookies["csrftoken"]
    assert http.post("/admin/login/", data=form).status_code == 302
    return http


POSTS = [
    ("/embed/shop/demo/", 403),
    ("/call/demo/", 403),
    ("/embed.js", 403),
    ("/admin/calls/site/1/switch/", 403),
    ("/admin/calls/apikey/add/", 403),
    ("/admin/login/", 403),
    ("/api/tokens", 401),
]


def test_a_session_alone_changes_nothing(logged_in):
    assert {path: logged_in.post(path, json={}).status_code for path, _ in POSTS} == dict(POSTS)


def test_who_is_logged_in_calls_as_themselves_but_not_in_a_frame(logged_in):
    """The frame's page does not look who it is: only the one of this server does."""
    tokens = [
        logged_in.get(path, headers={"Accept": "application/json"}).json()["token"]
        for path in ("/call/demo/", "/embed/shop/demo/")
    ]
    own, framed = (len(token) for token in tokens)
    assert own != framed
