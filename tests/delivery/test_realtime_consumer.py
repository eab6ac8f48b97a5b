"""Who gets in by OpenAI's Realtime protocol, how, and with what session."""

import json
from dataclasses import replace

import pytest
import pytest_asyncio
from django.db import OperationalError
from django.db.models.functions import Now

from calls.consumers import realtime
from calls.models import Agent, ApiKey, RealtimeSecret, Site
from calls.store import keys
from calls.store.database import in_database
from calls.wire.realtime import codec
from tests.delivery.composition import Composition, Socket

PATH = "/v1/realtime"
ORIGIN = b"https://elsewhere.example"

pytestmark = [pytest.mark.asyncio, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def agents():
    for slug in ("demo", "desk"):
        Agent.objects.get_or_create(slug=slug, defaults={"name": slug.title()})


@pytest_asyncio.fixture
async def composition(monkeypatch):
    made = Composition()
    made.install(monkeypatch)
    yield made
    await made.close()


@pytest.fixture
def key() -> str:
    return keys.key_create("Shop")[1]


class Client(Socket):
    """A Realtime client's socket."""

    def __init__(self, query: str = "", subprotocols: list[str] | None = None, **headers: str):
        super().__init__(f"{PATH}?{query}")
        named = {"host": "localhost", "user-agent": "tests"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        self.scope["headers"] = [(n.encode(), v.encode("latin1")) for n, v in named.items()]
        self.scope["subprotocols"] = subprotocols or []
        self.taken: str | None = None

    async def open(self) -> None:
        connected, self.taken = await self.connect(5)
        assert connected

    async def begin(self) -> dict:
        await self.open()
        return (await self.until("session.created"))["session"]

    async def refused(self) -> tuple[str, int]:
        """Code of the error, and of the close."""
        await self.open()
        code = await self.closed()
        assert [message["type"] for message in self.messages] == ["error"], self.messages
        await self.gone()
        return self.messages[0]["error"]["code"], code


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def offering(token: str, *more: str) -> list[str]:
    return ["realtime", f"openai-insecure-api-key.{token}", *more]


async def secret_for(key: str, session=None, agent: str = "demo") -> str:
    grant = await in_database(keys.key_check, key)
    return (await in_database(keys.secret_mint, grant, session, agent, 600)).value


# In


async def test_a_program_shows_its_key_in_a_header(composition, key):
    client = Client("model=gpt-realtime", **bearer(key))
    session = await client.begin()
    assert client.taken is None
    assert (session["type"], session["model"]) == ("realtime", "gpt-realtime")
    (hello,) = composition.hellos
    assert (hello.agent, hello.token) == ("demo", "")
    assert hello.metadata == {"model": "gpt-realtime", "api_key": "Shop"}
    (about,) = composition.clients
    assert about == {"user_agent": "tests", "protocol": "openai-realtime"}
    await client.gone()


@pytest.mark.parametrize("with_secret", [False, True])
@pytest.mark.parametrize("slug", ["", "shop"])
async def test_a_keys_calls_are_its_sites_and_trusted(composition, slug, with_secret):
    site = await Site.objects.acreate(slug=slug, name="Shop") if slug else None
    key = (await in_database(keys.key_create, "Shop", site=site))[1]
    token = await secret_for(key) if with_secret else key
    client = Client(**bearer(token))
    client.scope["client"] = ["203.0.113.9", 1]
    await client.begin()
    (visit,) = composition.visits
    assert (visit.site, visit.trusted, visit.token_id) == (slug or "own", True, "")
    assert len(visit.address) == 32
    await client.gone()


async def test_a_secret_without_a_key_is_not_trusted(composition):
    anonymous = keys.Grant(configures=False, label="page")
    secret = (await in_database(keys.secret_mint, anonymous, None, "demo", 600)).value
    client = Client(**bearer(secret))
    await client.begin()
    assert composition.visits[0].trusted is False
    await client.gone()


WORTH_NOTHING = {
    "of a site that is off": {"site": {"active": False}},
    "not good for calls": {"scopes": ["tokens", "read"]},
    "good for nothing": {"scopes": []},
}


@pytest.mark.parametrize("row", WORTH_NOTHING.values(), ids=WORTH_NOTHING)
async def test_keys_that_open_no_calls(composition, row):
    site = await Site.objects.acreate(slug="shop", name="Shop", **row.get("site", {}))
    given = {"scopes": row["scopes"]} if "scopes" in row else {"site": site}
    key = (await in_database(lambda: keys.key_create("Shop", **given)))[1]
    assert (await Client(**bearer(key)).connect(5))[0] is False
    offered = Client(subprotocols=offering(key))
    assert (await offered.refused())[0] == "invalid_api_key"
    assert composition.calls == []


@pytest.mark.parametrize("with_secret", [False, True])
async def test_a_browser_shows_it_among_the_subprotocols(composition, key, with_secret):
    token = await secret_for(key) if with_secret else key
    client = Client(subprotocols=offering(token), origin=ORIGIN.decode())
    await client.begin()
    assert client.taken == "realtime"
    await client.gone()


@pytest.mark.parametrize(
    ("headers", "subprotocols"),
    [({"openai-beta": "realtime=v1"}, []), ({}, ["openai-beta.realtime-v1"])],
)
async def test_the_dialect_is_what_the_handshake_says(composition, key, headers, subprotocols):
    if subprotocols:
        client = Client(subprotocols=offering(key, *subprotocols))
    else:
        client = Client(**headers, **bearer(key))
    session = await client.begin()
    assert "modalities" in session
    assert "audio" not in session
    await client.gone()


async def test_a_client_without_either_shows_its_secret_in_a_message(composition, key):
    token = await secret_for(key)
    client = Client("model=demo", origin=ORIGIN.decode())
    await client.open()
    settings = {"modalities": ["text", "audio"], "voice": "alloy", "instructions": "Sell."}
    await client.say({"type": "session.update", "session": settings})
    await client.say({"type": "session.update", "session": {"client_secret": token}})
    created = await client.until("session.created")
    assert created["session"]["instructions"] == "Sell."
    assert [hello.metadata["api_key"] for hello in composition.hellos] == ["Shop"]
    await client.gone()


async def test_what_the_maker_of_a_secret_configured_is_how_the_call_begins(composition, key):
    session = {
        "type": "realtime",
        "instructions": "Sell.",
        "audio": {"input": {"turn_detection": None}},
        "output_modalities": ["text"],
    }
    client = Client(**bearer(await secret_for(key, session)))
    began = await client.begin()
    assert (began["instructions"], began["output_modalities"]) == ("Sell.", ["text"])
    assert began["audio"]["input"]["turn_detection"] is None
    await client.gone()


async def test_a_beta_secret_configures_a_beta_session(composition, key):
    session = {"instructions": "Sell.", "input_audio_format": "g711_ulaw"}
    client = Client(openai_beta="realtime=v1", **bearer(await secret_for(key, session)))
    began = await client.begin()
    assert (began["instructions"], began["input_audio_format"]) == ("Sell.", "g711_ulaw")
    await client.gone()


async def test_a_page_without_a_key_does_not_configure(composition):
    page = keys.Grant(configures=False, label=keys.WITHOUT_KEY)
    minted = await in_database(keys.secret_mint, page, None, "demo", 60)
    client = Client(subprotocols=offering(minted.value))
    await client.begin()
    session = {"type": "realtime", "instructions": "Sell."}
    await client.say({"type": "session.update", "session": session})
    answer = await client.until("session.updated")
    assert answer["session"]["instructions"] == ""
    assert composition.hellos[0].metadata == {"api_key": "page"}
    await client.gone()


async def test_the_session_shows_the_agents_ways_and_its_end(composition, key):
    client = Client(**bearer(key))
    session = await client.begin()
    (bench,) = composition.calls
    detection = session["audio"]["input"]["turn_detection"]
    assert detection["silence_duration_ms"] == bench.runner.setup.policy.endpoint_silence_ms
    assert session["expires_at"] > 1_700_000_000
    await client.gone()


async def test_a_secret_begins_several_calls(composition, key):
    token = await secret_for(key)
    clients = [Client(**bearer(token)), Client(**bearer(token))]
    for client in clients:
        await client.begin()
    assert len(composition.calls) == 2
    for client in clients:
        await client.gone()


async def test_a_key_that_is_revoked_leaves_calls_alone(composition, key):
    client = Client(**bearer(key))
    await client.begin()
    await ApiKey.objects.aupdate(active=False)
    await client.say({"type": "session.update", "session": {"type": "realtime"}})
    await client.until("session.updated")
    await client.gone()


# Out


@pytest.mark.parametrize(
    "token", ["sk-voice-guess", "ek_guess", "", "x" * 5_000, "sk-voice-é", "sk-proj-abc"]
)
async def test_a_wrong_key_in_a_header_is_refused_by_http(composition, key, token):
    connected, code = await Client(**bearer(token)).connect()
    assert (connected, code) == (False, 4403)
    assert composition.calls == []


@pytest.mark.parametrize(
    "offered", [offering("sk-voice-guess"), offering("ek_guess"), ["realtime"]]
)
async def test_a_browser_is_told_that_its_key_is_wrong(composition, key, offered):
    client = Client(subprotocols=offered)
    assert await client.refused() == ("invalid_api_key", 4401)
    assert client.taken == "realtime"
    assert composition.calls == []


async def test_a_secret_that_has_expired_begins_nothing(composition, key):
    token = await secret_for(key)
    await RealtimeSecret.objects.aupdate(expires_at=Now())
    assert await Client(subprotocols=offering(token)).refused() == ("invalid_api_key", 4401)
    assert await Client(**bearer(token)).connect() == (False, 4403)
    client = Client()
    await client.open()
    await client.say({"type": "session.update", "session": {"client_secret": token}})
    assert await client.closed() == 4401
    await client.gone()


async def test_nothing_happens_before_the_secret(composition, key):
    client = Client("model=demo")
    await client.open()
    await client.say({"type": "response.create"})
    assert await client.closed() == 4401
    assert composition.calls == []
    await client.gone()


async def test_a_client_without_a_secret_is_not_waited_for(composition, monkeypatch):
    monkeypatch.setattr(codec, "TERMS", replace(codec.TERMS, start_ms=10))
    client = Client()
    await client.open()
    assert await client.closed() == 4408
    await client.gone()


@pytest.mark.parametrize("model", ["desk", "gpt-realtime"])
async def test_a_key_opens_its_own_agents_only(composition, model):
    _, limited = await in_database(keys.key_create, "Desk", ["desk"])
    client = Client("model=demo", **bearer(limited))
    assert await client.refused() == ("model_not_found", 4404)
    allowed = Client(f"model={model}", **bearer(limited))
    await allowed.open()
    await allowed.closed()
    assert [hello.agent for hello in composition.hellos] == ["desk"]
    await allowed.gone()


async def test_a_secret_is_for_one_agent(composition, key):
    token = await secret_for(key, agent="demo")
    assert await Client("model=desk", **bearer(token)).refused() == ("model_not_found", 4404)
    client = Client("model=gpt-realtime", **bearer(token))
    await client.begin()
    await client.gone()


@pytest.mark.parametrize("query", ["intent=transcription", "call_id=rtc_1"])
async def test_what_is_not_served_is_said(composition, key, query):
    assert await Client(query, **bearer(key)).refused() == ("invalid_value", 4400)


@pytest.mark.parametrize("where", ["token_check", "agent_asked"])
@pytest.mark.parametrize("browser", [True, False])
async def test_a_database_that_is_away_is_no_wrong_key(
    composition, key, monkeypatch, where, browser
):
    def away(*_args):
        raise OperationalError("no such host")

    monkeypatch.setattr(realtime, where, away)
    client = Client(subprotocols=offering(key)) if browser else Client(**bearer(key))
    assert await client.refused() == ("busy", 4503)


@pytest.mark.parametrize(
    "query", ["model=%00", "model=%ff%fe", "model=" + "x" * 3_000, "model=a&model=b", "&&&=", "é"]
)
async def test_any_query_is_taken(composition, key, query):
    client = Client(query, **bearer(key))
    await client.begin()
    json.dumps(composition.hellos[0].metadata)
    assert "\x00" not in str(composition.hellos[0].metadata)
    await client.gone()


FRAMES = [
    "",
    "{",
    "[]",
    "null",
    "NaN",
    "{}",
    "\x00",
    '{"type": 5}',
    '{"type": "session.update"}',
    '{"type": "session.update", "session": []}',
    '{"type": "session.update", "session": {"client_secret": {"value": "x"}}}',
    '{"type": "session.update", "session": {"client_secret": "\\ud800"}}',
    '{"type": "session.update", "session": {"client_secret": "' + "x" * 10_000 + '"}}',
    '{"type": "session.update", "session": {"modalities": 5}}',
    '{"a":' * 5_000,
    b"",
    b"\x00\xff",
]


async def tell(client: Client, frame: str | bytes) -> None:
    kind = "bytes" if isinstance(frame, bytes) else "text"
    await client.send_input({"type": "websocket.receive", kind: frame})


@pytest.mark.parametrize("frame", FRAMES, ids=range(len(FRAMES)))
async def test_whatever_comes_before_the_secret_begins_nothing(
    composition, monkeypatch, caplog, frame
):
    monkeypatch.setattr(codec, "TERMS", replace(codec.TERMS, start_ms=200))
    client = Client()
    await client.open()
    await tell(client, frame)
    assert await client.closed() in (4400, 4401, 4408)
    assert {message["type"] for message in client.messages} == {"error"}
    assert composition.calls == []
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    await client.gone()


async def test_whatever_comes_in_a_call_is_answered_and_the_call_goes_on(composition, key, caplog):
    client = Client(**bearer(key))
    await client.begin()
    for frame in FRAMES:
        await tell(client, frame)
    await client.say({"type": "input_audio_buffer.clear"})
    await client.until("input_audio_buffer.cleared")
    kinds = {message["type"] for message in client.messages}
    assert kinds == {
        "error",
        "session.created",
        "session.updated",
        "input_audio_buffer.cleared",
    }
    assert client.close_code is None
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    await client.gone()


async def test_no_token_is_logged_or_kept(composition, key, caplog):
    caplog.set_level("DEBUG")
    token = await secret_for(key)
    for client in (Client(**bearer(key)), Client(subprotocols=offering(token))):
        await client.begin()
        await client.gone()
    await Client(**bearer("sk-voice-geheim")).connect()
    await Client(subprotocols=offering("sk-voice-geheim")).refused()
    logged = " ".join(f"{record.__dict__}" for record in caplog.records)
    kept = " ".join(f"{hello!r} {dict(hello.metadata)}" for hello in composition.hellos)
    assert not [text for text in (key, token, "geheim") if text in logged + kept]
