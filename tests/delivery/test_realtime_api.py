"""Secrets over HTTP: who gets one, for what, and how everything else is answered."""

import json
from datetime import UTC, datetime

import pytest
from django.db import OperationalError
from django.test import AsyncClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calls import realtime_api
from calls.models import Agent, ApiKey, RealtimeSecret
from calls.store import keys
from calls.store.database import in_database

CLIENT_SECRETS = "/v1/realtime/client_secrets"
SESSIONS = "/v1/realtime/sessions"
TRANSCRIPTION = "/v1/realtime/transcription_sessions"
PAGE = "/api/realtime/session"
ALLOWED = "https://shop.example"
OWN = "http://testserver"

pytestmark = [pytest.mark.asyncio, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def allowed(settings):
    settings.CALLS = settings.CALLS | {"ALLOWED_ORIGINS": [ALLOWED], "ALLOW_MISSING_ORIGIN": False}
    realtime_api._pages.cache_clear()
    for slug in ("demo", "desk", "night"):
        Agent.objects.get_or_create(slug=slug, defaults={"name": slug.title()})


@pytest.fixture
def key() -> str:
    return keys.key_create("Shop", ["demo", "desk"])[1]


CLIENT = AsyncClient(enforce_csrf_checks=True)


@pytest.fixture(autouse=True, scope="module")
def middleware():
    """Made outside the event loop, as a server does."""
    CLIENT.handler.load_middleware(is_async=True)


class Answer:
    def __init__(self, response) -> None:
        self.status = response.status_code
        self.headers = response.headers
        self.body = json.loads(response.content) if response.content else None

    @property
    def code(self) -> str:
        """Of an error, whose shape is looked at."""
        assert set(self.body) == {"error"}
        error = self.body["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert error["type"] == ("server_error" if self.status >= 500 else "invalid_request_error")
        assert error["message"]
        return error["code"]


async def ask(path, body=None, *, key="", method="POST", **headers) -> Answer:
    """Send `body`, as JSON unless it is bytes."""
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if key:
        named["authorization"] = f"Bearer {key}"
    response = await CLIENT.generic(
        method, path, raw, content_type="application/json", headers=named
    )
    return Answer(response)


async def granted(value: str) -> keys.Grant | None:
    return await in_database(keys.secret_check, value)


# Secrets for a key


@pytest.mark.parametrize("slash", ["", "/"])
async def test_a_key_buys_a_secret(key, slash):
    session = {"type": "realtime", "model": "gpt-realtime", "instructions": "Sell."}
    got = await ask(CLIENT_SECRETS + slash, {"session": session}, key=key)
    assert (got.status, set(got.body)) == (200, {"value", "expires_at", "session"})
    assert got.body["value"].startswith("ek_")
    assert abs(got.body["expires_at"] - datetime.now(UTC).timestamp() - 600) < 10
    shown = got.body["session"]
    assert shown["id"].startswith("sess_")
    assert (shown["object"], shown["type"]) == ("realtime.session", "realtime")
    assert (shown["model"], shown["instructions"]) == ("gpt-realtime", "Sell.")
    assert got.headers["Cache-Control"] == "no-store"
    grant = await granted(got.body["value"])
    assert (grant.agents, grant.label, grant.configures) == (("demo",), "Shop", True)
    assert grant.session["instructions"] == "Sell."


@pytest.mark.parametrize(("model", "agent"), [("desk", "desk"), ("gpt-realtime", "demo")])
async def test_the_model_is_an_agent_or_stands_for_the_default(key, model, agent):
    body = {"session": {"type": "realtime", "model": model}}
    got = await ask(CLIENT_SECRETS, body, key=key)
    assert got.body["session"]["model"] == model
    assert (await granted(got.body["value"])).agents == (agent,)


@pytest.mark.parametrize("seconds", [10, 7_200])
async def test_a_secret_is_good_for_as_long_as_was_asked(key, seconds):
    body = {"expires_after": {"anchor": "created_at", "seconds": seconds}}
    got = await ask(CLIENT_SECRETS, body, key=key)
    assert abs(got.body["expires_at"] - datetime.now(UTC).timestamp() - seconds) < 10


async def test_the_beta_session_has_its_secret_inside(key):
    body = {"model": "gpt-4o-realtime-preview", "voice": "alloy", "modalities": ["text", "audio"]}
    got = await ask(SESSIONS, body, key=key)
    assert got.status == 200
    secret = got.body["client_secret"]
    assert set(secret) == {"value", "expires_at"}
    assert isinstance(secret["expires_at"], int)
    assert (got.body["object"], got.body["model"]) == ("realtime.session", body["model"])
    assert "audio" not in got.body, "beta sessions are flat"
    assert (await granted(secret["value"])).agents == ("demo",)


async def test_the_beta_secret_has_its_seconds_inside(key):
    body = {"client_secret": {"expires_after": {"seconds": 60}}}
    got = await ask(SESSIONS, body, key=key)
    until = got.body["client_secret"]["expires_at"]
    assert abs(until - datetime.now(UTC).timestamp() - 60) < 10


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "param"),
    [
        (CLIENT_SECRETS, {"session": []}, 400, "invalid_type", "session"),
        (CLIENT_SECRETS, {"session": {"type": "transcription"}}, 400,
         "transcription_not_supported", "session.type"),
        (CLIENT_SECRETS, {"expires_after": 5}, 400, "invalid_type", "expires_after"),
        (CLIENT_SECRETS, {"expires_after": {"anchor": "now"}}, 400, "invalid_value",
         "expires_after.anchor"),
        *((CLIENT_SECRETS, {"expires_after": {"seconds": seconds}}, 400, "invalid_value",
           "expires_after.seconds") for seconds in (9, 7_201, -1, "60", 60.0, True, None, 10**30)),
        (SESSIONS, {"client_secret": {"expires_after": {"seconds": 1}}}, 400, "invalid_value",
         "client_secret.expires_after.seconds"),
        (CLIENT_SECRETS, {"session": {"model": 5}}, 400, "invalid_value", "session.model"),
        (CLIENT_SECRETS, {"session": {"model": "x" * 300}}, 400, "invalid_value", "session.model"),
        (CLIENT_SECRETS, {"session": {"model": "night"}}, 404, "model_not_found", "session.model"),
        (SESSIONS, {"model": "night"}, 404, "model_not_found", "session.model"),
        (CLIENT_SECRETS, {"session": {"instructions": 5}}, 400, "invalid_value",
         "session.instructions"),
        (CLIENT_SECRETS, {"session": {"audio": {"output": {"speed": 9}}}}, 400, "invalid_value",
         "session.audio.output.speed"),
        (SESSIONS, {"modalities": ["audio"]}, 400, "invalid_value", "session.modalities"),
        (TRANSCRIPTION, {}, 400, "transcription_not_supported", "session.type"),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_named(key, path, body, status, code, param):
    got = await ask(path, body, key=key)
    assert (got.status, got.code, got.body["error"]["param"]) == (status, code, param)


HOSTILE = [
    b"{",
    b"[]",
    b"null",
    b'"text"',
    b"\xff\xfe",
    b'{"session": NaN}',
    b'{"a": 1e400}',
    b'{"a":' * 10_000,
    b"[" * 60_000,
    b'{"a": "\\u0000"}',
    b'{"a": "\\ud800"}',
    b'{"a": ' + b"9" * 5_000 + b"}",
]


@pytest.mark.parametrize("path", [CLIENT_SECRETS, SESSIONS, PAGE])
@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
async def test_what_is_no_json_object_is_answered_as_such(key, path, body):
    got = await ask(path, body, key=key)
    assert (got.status, got.code) == (400, "invalid_json")


@pytest.mark.parametrize("path", [CLIENT_SECRETS, SESSIONS, PAGE])
async def test_a_body_has_an_end(key, path):
    got = await ask(path, {"instructions": "x" * 70_000}, key=key)
    assert (got.status, got.code) == (413, "request_too_large")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    [
        "session",
        "model",
        "type",
        "expires_after",
        "seconds",
        "anchor",
        "voice",
        "instructions",
        "tools",
        "audio",
        "input",
        "format",
        "turn_detection",
        "modalities",
        "client_secret",
        "temperature",
        "output_modalities",
        "input_audio_format",
        "tool_choice",
        "tracing",
    ]
)
near_sessions = st.recursive(
    json_values, lambda inner: st.dictionaries(FIELDS, inner, max_size=6), max_leaves=12
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    path=st.sampled_from([CLIENT_SECRETS, SESSIONS, TRANSCRIPTION, PAGE]),
    body=st.binary(max_size=200) | near_sessions.map(lambda value: json.dumps(value).encode()),
)
async def test_whatever_is_sent_gets_a_documented_answer(key, path, body):
    got = await ask(path, body, key=key)
    if got.status != 200:
        assert got.code
    assert got.status in (200, 400, 404), got.body


@pytest.mark.parametrize("field", [{"instructions": "Sell."}, {"tools": []}])
async def test_a_key_that_may_not_configure_makes_no_secret_that_does(field):
    _, fixed = await in_database(keys.key_create, "Fixed", configures=False)
    got = await ask(CLIENT_SECRETS, {"session": field}, key=fixed)
    (name,) = field
    assert (got.status, got.code) == (403, "not_allowed")
    assert got.body["error"]["param"] == f"session.{name}"
    got = await ask(
        CLIENT_SECRETS, {"session": {"audio": {"output": {"voice": "sage"}}}}, key=fixed
    )
    assert not (await granted(got.body["value"])).configures


# Who may


@pytest.mark.parametrize("path", [CLIENT_SECRETS, SESSIONS, TRANSCRIPTION])
@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", "Bearer sk-voice-guess", "Basic abc", "Bearer ek_guess", "é"],
)
async def test_without_a_key_there_is_no_secret(key, path, header):
    headers = {} if header is None else {"authorization": header}
    got = await ask(path, {}, **headers)
    assert (got.status, got.code) == (401, "invalid_api_key")
    assert await RealtimeSecret.objects.acount() == 0


async def test_a_secret_buys_no_secret(key):
    secret = (await ask(CLIENT_SECRETS, {}, key=key)).body["value"]
    assert (await ask(CLIENT_SECRETS, {}, key=secret)).status == 401


async def test_a_key_that_is_off_buys_nothing(key):
    await ApiKey.objects.aupdate(active=False)
    assert (await ask(CLIENT_SECRETS, {}, key=key)).status == 401


async def test_cookies_give_no_right(key, django_user_model):
    boss = await django_user_model.objects.acreate(username="boss", is_superuser=True)
    await CLIENT.aforce_login(boss)
    assert (await ask(CLIENT_SECRETS, {})).status == 401
    await CLIENT.alogout()


# Pages


@pytest.mark.parametrize("origin", [OWN, ALLOWED])
@pytest.mark.parametrize("body", [None, {"voice": "alloy", "instructions": "Sell.", "tools": 5}])
async def test_a_page_of_an_allowed_origin_needs_no_key(origin, body):
    got = await ask(PAGE, body, origin=origin)
    assert (got.status, set(got.body)) == (200, {"client_secret", "session_id", "model"})
    assert got.body["model"] == "demo"
    until = datetime.fromisoformat(got.body["client_secret"]["expires_at"])
    assert abs((until - datetime.now(UTC)).total_seconds() - 600) < 10
    grant = await granted(got.body["client_secret"]["value"])
    assert (grant.agents, grant.configures, grant.label) == (("demo",), False, "page")
    assert not {"instructions", "tools"} & grant.session.keys(), "they are not for it to say"


async def test_a_page_with_a_key_configures(key):
    body = {"model": "desk", "instructions": "Sell.", "persona": "Eve", "featureFlags": {}}
    got = await ask(PAGE, body, key=key, origin="https://evil.example")
    assert (got.status, got.body["model"]) == (200, "desk")
    grant = await granted(got.body["client_secret"]["value"])
    assert (grant.agents, grant.configures, grant.label) == (("desk",), True, "Shop")
    assert grant.session["instructions"] == "Sell."


@pytest.mark.parametrize(
    ("headers", "changes", "status", "code"),
    [
        ({"origin": "https://evil.example"}, {}, 403, "origin_not_allowed"),
        ({"origin": "null"}, {}, 403, "origin_not_allowed"),
        ({"origin": "http://testserver:81"}, {}, 403, "origin_not_allowed"),
        ({}, {}, 403, "origin_not_allowed"),
        ({}, {"ALLOW_MISSING_ORIGIN": True}, 200, None),
        ({"origin": OWN}, {"REALTIME_OPEN": False}, 401, "invalid_api_key"),
        ({"origin": OWN, "authorization": "Bearer sk-voice-guess"}, {}, 401, "invalid_api_key"),
    ],
)
async def test_other_pages_need_a_key(settings, headers, changes, status, code):
    settings.CALLS = settings.CALLS | changes
    got = await ask(PAGE, None, **headers)
    assert got.status == status
    assert code is None or got.code == code


async def test_pages_without_keys_share_a_limit(monkeypatch):
    monkeypatch.setattr(realtime_api, "SECRETS_AT_ONCE", 3)
    monkeypatch.setattr(realtime_api, "SECRETS_PER_S", 0.001)
    statuses = [(await ask(PAGE, None, origin=OWN)).status for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    got = await ask(PAGE, None, origin=OWN)
    assert (got.code, got.headers["Retry-After"]) == ("rate_limit_exceeded", "5")


@pytest.mark.parametrize("path", [CLIENT_SECRETS, SESSIONS, PAGE])
async def test_a_browser_may_show_the_answer_to_allowed_pages_only(key, path):
    got = await ask(path, {}, key=key, origin=ALLOWED)
    assert got.headers["Access-Control-Allow-Origin"] == ALLOWED
    assert got.headers["Vary"] == "Origin"
    refused = await ask(path, {}, key="wrong", origin=ALLOWED)
    assert refused.headers["Access-Control-Allow-Origin"] == ALLOWED, "the page may know why"
    other = await ask(path, {}, key=key, origin="https://evil.example")
    assert "Access-Control-Allow-Origin" not in other.headers


@pytest.mark.parametrize("path", [CLIENT_SECRETS, SESSIONS, PAGE])
async def test_a_browser_asks_before_it_sends_a_key(path):
    wanted = "authorization, content-type, x-stainless-lang, <script>"
    asked = {"access_control_request_headers": wanted, "access_control_request_method": "POST"}
    got = await ask(path, method="OPTIONS", origin=ALLOWED, **asked)
    assert got.status == 204
    assert got.headers["Access-Control-Allow-Origin"] == ALLOWED
    assert got.headers["Access-Control-Allow-Methods"] == "POST"
    allowed = got.headers["Access-Control-Allow-Headers"]
    assert allowed == "authorization, content-type, x-stainless-lang"
    assert "Access-Control-Allow-Credentials" not in got.headers
    other = await ask(path, method="OPTIONS", origin="https://evil.example", **asked)
    assert not [name for name in other.headers if name.startswith("Access-Control")]


# Everything else


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD"])
@pytest.mark.parametrize("path", [CLIENT_SECRETS, SESSIONS, TRANSCRIPTION, PAGE])
async def test_only_posts_are_taken(key, path, method):
    got = await ask(path, method=method, key=key)
    assert got.status == 405
    assert got.headers["Allow"] == "POST, OPTIONS"


@pytest.mark.parametrize("path", ["/v1/realtime", "/v1/realtime/", "/v1/realtime?model=x"])
async def test_the_socket_is_no_page(path):
    got = await ask(path, method="GET")
    assert (got.status, got.code) == (426, "websocket_required")
    assert got.headers["Upgrade"] == "websocket"


@pytest.mark.parametrize("path", ["/v1/realtime/calls", "/v1/realtime/x/y"])
async def test_what_is_not_here_is_said_in_json(path):
    got = await ask(path, {})
    assert (got.status, got.code) == (404, "not_found")


@pytest.mark.parametrize("path", [CLIENT_SECRETS, SESSIONS, PAGE])
async def test_a_protocol_that_is_off_has_no_addresses(settings, key, path):
    settings.CALLS = settings.CALLS | {"PROTOCOLS": ["browser"]}
    got = await ask(path, {}, key=key)
    assert (got.status, got.code) == (404, "not_found")


async def test_a_database_that_is_away_is_no_wrong_key(key, monkeypatch):
    def away(_text):
        raise OperationalError("no such host")

    monkeypatch.setattr(realtime_api, "key_check", away)
    got = await ask(CLIENT_SECRETS, {}, key=key)
    assert (got.status, got.code, got.headers["Retry-After"]) == (503, "unavailable", "5")


async def test_neither_key_nor_secret_nor_instructions_are_logged(key, caplog):
    caplog.set_level("DEBUG")
    body = {"session": {"type": "realtime", "instructions": "geheim"}}
    value = (await ask(CLIENT_SECRETS, body, key=key)).body["value"]
    await ask(CLIENT_SECRETS, body, key="sk-voice-wrong-geheim")
    ours = [record for record in caplog.records if record.name.startswith("calls")]
    assert ours
    logged = " ".join(f"{record.__dict__}" for record in ours)
    assert not [text for text in (key, value, "geheim") if text in logged]
