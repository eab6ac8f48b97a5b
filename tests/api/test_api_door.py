"""Who comes in, with what, and how those are told who do not."""

import json
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.test import Client

from calls.api import conversations
from calls.models import ApiKey, Webhook
from calls.models.keys import SCOPES
from calls.store.keys import key_check
from tests.api.conftest import Api, call_of

pytestmark = pytest.mark.django_db

ENDPOINTS = [
    ("POST", "/tokens", {"agent": "demo"}, "tokens"),
    ("POST", "/v1/tokens", {"agent": "demo"}, "tokens"),
    ("GET", "/v1/agents", None, ""),
    ("GET", "/v1/agents/demo", None, ""),
    ("GET", "/v1/conversations", None, "read"),
    ("GET", "/v1/conversations/call-1", None, "read"),
    ("GET", "/v1/conversations/call-1/export.json", None, "read"),
    ("GET", "/v1/conversations/call-1/export.txt", None, "read"),
    ("GET", "/v1/conversations/call-1/recording", None, "recordings"),
    ("DELETE", "/v1/conversations/call-1", None, "erase"),
    ("POST", "/v1/erasures", {"caller": "somebody"}, "erase"),
    ("GET", "/v1/erasures/1", None, "erase"),
    ("GET", "/v1/webhooks", None, "webhooks"),
    ("POST", "/v1/webhooks", {"url": "https://a.example/", "events": ["call.ended"]}, "webhooks"),
    ("GET", "/v1/webhooks/{hook}", None, "webhooks"),
    ("GET", "/v1/webhooks/{hook}/secret", None, "webhooks"),
    ("PATCH", "/v1/webhooks/{hook}", {"active": False}, "webhooks"),
    ("DELETE", "/v1/webhooks/{hook}", None, "webhooks"),
    ("GET", "/v1/usage", None, "read"),
]
OPEN_WITHOUT_A_KEY = {("GET", "/v1/recordings/{link}")}


def error_of(response) -> dict:
    body = response.json()
    assert set(body) == {"error"}, body
    assert set(body["error"]) == {"code", "message"}
    assert response["Cache-Control"] == "no-store"
    return body["error"]


@pytest.fixture
def hook(db) -> Webhook:
    return Webhook.objects.create(url="https://a.example/", events=["call.ended"])


@pytest.mark.parametrize(("method", "path", "body", "scope"), ENDPOINTS)
def test_each_endpoint_wants_its_scope(api, hook, method, path, body, scope):
    call_of(None, "call-1", sound=path.endswith("recording"), caller="somebody")
    path = path.format(hook=hook.pk)
    without = api(*(set(SCOPES) - {scope}))
    assert Api()(method, path, body).status_code == 401
    if scope:
        refused = without(method, path, body)
        assert refused.status_code == 403
        assert error_of(refused)["code"] == "scope_missing"
    accepted = api(scope or "calls")(method, path, body)
    expected = {200, 201, 202, 204} if "erasures/" not in path else {404}
    assert accepted.status_code in expected, accepted.content


def test_the_table_of_endpoints_is_whole():
    document = Client().get("/api/openapi.json").json()
    documented = {
        (method.upper(), path.removeprefix("/api"))
        for path, methods in document["paths"].items()
        for method in methods
    }
    named = {
        "call-1": "{call_id}",
        "{hook}": "{webhook_id}",
        "demo": "{slug}",
        "/1": "/{erasure_id}",
    }
    tested = set()
    for method, path, _, _ in ENDPOINTS:
        for value, name in named.items():
            path = path.replace(value, name)
        tested.add((method, path))
    assert tested | OPEN_WITHOUT_A_KEY == documented


def test_a_session_is_no_key():
    client = Client()
    client.force_login(User.objects.create_superuser("boss"))
    for method, path, body, _ in ENDPOINTS:
        response = client.generic(
            method, f"/api{path.format(hook=1)}", json.dumps(body), content_type="application/json"
        )
        assert response.status_code == 401, path
        assert response["WWW-Authenticate"] == "Bearer"
        assert error_of(response)["code"] == "unauthorized"


def test_no_token_against_forgery_is_asked_for(api):
    strict = Client(enforce_csrf_checks=True)
    response = strict.post(
        "/api/tokens",
        json.dumps({"agent": "demo"}),
        content_type="application/json",
        headers={"Authorization": f"Bearer {api('tokens').key}"},
    )
    assert response.status_code == 404, "there is no such agent: a key was all it took"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer sk-voice-",
        "Bearer sk-voice-" + "x" * 43,
        "Bearer sk-voice-" + "x" * 60_000,
        "Bearer \u00ff\u00fe",
        "Basic c2s6c2s=",
        "sk-voice-" + "x" * 43,
    ],
)
def test_what_is_no_key(header):
    response = Client().get("/api/v1/agents", headers={"Authorization": header})
    assert response.status_code == 401
    error_of(response)


def test_the_command_makes_keys_with_scopes_and_a_site(shop):
    made = StringIO()
    words = ("Reader", "--site", "shop", "--scope", "read", "--scope", "erase")
    call_command("api_key", "create", *words, stdout=made)
    grant = key_check(made.getvalue().strip(), scope=None)
    assert (grant.site, grant.scopes) == ("shop", ("read", "erase"))
    assert Api(made.getvalue().strip()).get("/v1/conversations").status_code == 200
    with pytest.raises(CommandError):
        call_command("api_key", "create", "Reader", "--site", "nowhere")


def test_a_key_that_is_off_or_over_opens_nothing(api):
    client = api("read")
    assert client.get("/v1/conversations").status_code == 200
    ApiKey.objects.update(expires_at="2026-01-01T00:00Z")
    assert client.get("/v1/conversations").status_code == 401
    ApiKey.objects.update(expires_at=None, active=False)
    assert client.get("/v1/conversations").status_code == 401


DEEP = '{"agent": "demo", "metadata": ' + '{"a":' * 40 + "1" + "}" * 41


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param("", 422, id="nothing"),
        pytest.param("{", 400, id="cut off"),
        pytest.param("[]", 400, id="a list"),
        pytest.param("null", 400, id="null"),
        pytest.param("[" * 50_000, 400, id="deep beyond parsing"),
        pytest.param(DEEP, 400, id="deep"),
        pytest.param('{"agent": NaN}', 400, id="not a number"),
        pytest.param('{"agent": "demo", "max_cost": 1e999}', 400, id="infinite"),
        pytest.param('{"agent": "demo", "max_cost": "NaN"}', 422, id="not a number, as text"),
        pytest.param('{"agent": "demo", "max_cost": -1}', 422, id="negative"),
        pytest.param('{"agent": "demo", "max_call_seconds": 1e30}', 422, id="huge"),
        pytest.param('{"agent": "\\u0000"}', 400, id="NUL"),
        pytest.param('{"agent": "demo", "caller": "\\ud800"}', 400, id="half a character"),
        pytest.param('{"agent": "demo", "metadata": {"\\ud800": 1}}', 400, id="half, in a key"),
        pytest.param(b'{"agent": "\xff"}', 400, id="not UTF-8"),
        pytest.param('{"agent": "demo", "more": 1}', 422, id="an unknown field"),
        pytest.param('{"agent": "demo", "metadata": {"a": "%s"}}' % ("x" * 3_000), 422, id="long"),
        pytest.param('{"agent": "demo", "origin": "evil"}', 422, id="no origin"),
        pytest.param('{"agent": "demo", "caller": "%s"}' % ("x" * 70_000), 413, id="too large"),
    ],
)
def test_hostile_bodies(api, body, status):
    call_of(None, "call-1")
    response = api("tokens").post("/tokens", body)
    assert response.status_code == status, response.content
    error_of(response)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v1", 404),
        ("GET", "/v1/nothing", 404),
        ("GET", "/docs", 404),
        ("GET", "/v1/agents/no-such", 404),
        ("GET", "/v1/agents/not%20a%20slug", 422),
        ("GET", "/v1/agents/%00", 404),
        ("GET", "/v1/conversations/%00", 404),
        ("GET", "/v1/conversations/" + "x" * 65, 422),
        ("GET", "/v1/conversations?q=%00", 422),
        ("GET", "/v1/conversations?q=%ff%fe", 200),
        ("GET", "/v1/conversations?q=%22", 200),
        ("GET", "/v1/conversations?limit=0", 422),
        ("GET", "/v1/conversations?limit=many", 422),
        ("GET", "/v1/conversations?status=gone", 422),
        ("GET", "/v1/conversations?started_after=yesterday", 422),
        ("GET", "/v1/conversations?started_after=1790000000", 422),
        ("GET", "/v1/conversations?started_after=2026-11-20T00:00:00", 422),
        ("GET", "/v1/conversations?started_after=0001-01-01T00:00:00%2B14:00", 422),
        ("GET", "/v1/conversations?cursor=x", 422),
        ("GET", "/v1/conversations?cursor=W10", 422),
        ("GET", "/v1/conversations?cursor=WyIyMDI2LTExLTIwIiwiYSJd", 422),
        ("GET", "/v1/conversations?cursor=%F0%9F%98%80", 422),
        ("GET", "/v1/erasures/99999999999999999999", 404),
        ("GET", "/v1/erasures/-1", 404),
        ("GET", "/v1/webhooks/99999999999999999999", 404),
        ("GET", "/v1/webhooks/one", 422),
        ("PUT", "/v1/agents", 405),
        ("DELETE", "/tokens", 405),
        ("HEAD", "/v1/agents", 405),
        ("OPTIONS", "/tokens", 405),
    ],
)
def test_errors_have_one_shape(api, method, path, status):
    response = api()(method, path)
    assert response.status_code == status, response.content
    if status >= 400 and method != "HEAD":
        error_of(response)
    if status == 405:
        assert response["Allow"]


def test_errors_do_not_repeat_what_was_sent(api):
    response = api("tokens").post("/tokens", {"agent": "canary-4711 !", "canary-4712": 1})
    assert response.status_code == 422
    assert "canary-4711" not in response.content.decode()


def test_a_database_that_is_away_is_said_so(api, monkeypatch):
    def away(*_args, **_kwargs):
        raise OperationalError("said by somebody")

    monkeypatch.setattr(conversations, "conversations_page", away)
    response = api("read").get("/v1/conversations")
    assert response.status_code == 503
    assert response["Retry-After"] == "5"
    assert error_of(response)["code"] == "unavailable"


def test_a_failure_of_ours_tells_nobody_anything(api, monkeypatch, caplog):
    words = " ".join(("said", "by", "somebody"))

    def fails(*_args, **_kwargs):
        raise RuntimeError(words)

    monkeypatch.setattr(conversations, "conversations_page", fails)
    response = api("read").get("/v1/conversations")
    assert response.status_code == 500
    assert error_of(response) == {"code": "internal", "message": "Something went wrong here."}
    assert "RuntimeError" in caplog.text
    assert words not in caplog.text


def test_the_page_of_the_realtime_protocol_stays_where_it_was():
    response = Client().post("/api/realtime/session", "{}", content_type="application/json")
    assert response.json()["error"]["code"] != "not_found"
