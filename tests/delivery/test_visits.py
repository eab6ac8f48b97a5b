"""What a consumer knows of who calls: from a token, from the door, and nothing from the client."""

import asyncio

import pytest
import pytest_asyncio

from calls import wiring
from calls.addresses import address_key
from calls.engine.registry import Registry
from calls.models import Agent, Site, UsedToken
from calls.store.sites import sites_origins
from calls.store.tokens import token_mint
from calls.store.visits import Caps, Visit
from tests.delivery.composition import START, Composition, Socket

pytestmark = [pytest.mark.asyncio, pytest.mark.django_db(transaction=True)]

SHOP = "https://shop.example"
OWN = "http://localhost"


@pytest_asyncio.fixture
async def composition(monkeypatch):
    composition = Composition()
    composition.install(monkeypatch)
    yield composition
    await composition.close()


@pytest.fixture(autouse=True)
def site(db):
    Agent.objects.update_or_create(slug="demo", defaults={"name": "Demo"})
    site = Site.objects.create(slug="shop", name="Shop", all_agents=True, origins=[SHOP])
    sites_origins.forget()
    yield site
    sites_origins.forget()


def socket_of(origin: str | None = OWN, path: str = "/ws/call/demo/") -> Socket:
    socket = Socket(path)
    named = [] if origin is None else [(b"origin", origin.encode())]
    socket.scope["headers"] = [(b"host", b"localhost"), *named]
    socket.scope["client"] = ["203.0.113.9", 1]
    return socket


def minted(**given) -> str:
    return token_mint(**{"site": "shop", "agent": "demo"} | given).value


async def refusal(socket: Socket, **fields) -> tuple[int, list[str]]:
    await socket.open()
    await socket.say(START | fields)
    code = await socket.closed()
    return code, [error["code"] for error in socket.of("error")]


UNAUTHORIZED = (4401, ["unauthorized"])


async def test_our_own_page_needs_no_token(composition):
    socket = socket_of()
    await socket.start(metadata={"page": "/"})
    assert composition.visits == [Visit(address=address_key(socket.scope))]
    assert composition.visits[0].address


async def test_agreement_is_passed_on(composition):
    await socket_of().start(consent=True)
    await socket_of().start(consent=True, token=minted())
    assert [visit.consented for visit in composition.visits] == [True, True]


async def test_a_token_says_who_calls_and_goes_before_the_client(composition):
    caps = Caps(max_call_ms=60_000)
    token = token_mint(
        site="shop", agent="demo", caller="c-17", metadata={"order": 1, "page": "t"}, caps=caps
    )
    await socket_of(SHOP).start(token=token.value, metadata={"page": "/", "x": 2})
    (visit,), (hello,) = composition.visits, composition.hellos
    assert (visit.site, visit.caller, visit.caps) == ("shop", "c-17", caps)
    assert (visit.token_id, visit.metadata) == (token.token_id, {"order": 1, "page": "t"})
    assert hello.metadata == {"order": 1, "page": "t", "x": 2}
    assert hello.token == ""


async def test_a_page_of_a_site_needs_a_token(composition):
    assert await refusal(socket_of(SHOP)) == UNAUTHORIZED
    assert composition.calls == []


async def test_a_wrong_token_is_refused_where_none_is_needed(composition):
    assert await refusal(socket_of(), token="geheim") == UNAUTHORIZED


async def test_a_token_is_good_once(composition):
    token = minted()
    await socket_of().start(token=token)
    assert await refusal(socket_of(), token=token) == UNAUTHORIZED
    assert len(composition.calls) == 1


async def test_a_token_from_a_page_of_another_site_is_refused(composition):
    await Site.objects.acreate(slug="other", name="Other", origins=["https://other.example"])
    sites_origins.forget()
    assert await refusal(socket_of("https://other.example"), token=minted()) == UNAUTHORIZED


async def test_a_server_without_a_place_leaves_the_token_as_it_is(composition, monkeypatch):
    full, token = Registry(max_calls=0), minted()
    with monkeypatch.context() as patched:
        patched.setattr(wiring, "registry", lambda: full)
        assert await refusal(socket_of(), token=token) == (4503, ["busy"])
    assert not await UsedToken.objects.aexists()
    await socket_of().start(token=token)


async def test_one_comes_back_through_the_same_door_alone(composition):
    await Site.objects.acreate(slug="other", name="Other", origins=["https://other.example"])
    sites_origins.forget()
    first = socket_of(SHOP)
    ready = await first.start(token=minted())
    await first.gone()
    resume = {"call_id": ready["call_id"], "secret": ready["resume_secret"], "played": None}
    for elsewhere in ("https://other.example", OWN):
        assert await refusal(socket_of(elsewhere), resume=resume) == (4410, ["ended"])
    back = await socket_of(SHOP).start(resume=resume)
    assert back["resumed"] is True
    assert len(composition.visits) == 1, "coming back uses no token up"


async def test_the_secret_is_another_at_each_return(composition):
    ready = await socket_of().start()
    first = {"call_id": ready["call_id"], "secret": ready["resume_secret"], "played": None}
    again = await socket_of().start(resume=first)
    assert again["resume_secret"] != first["secret"]
    assert await refusal(socket_of(), resume=first) == (4410, ["ended"])
    (call,) = composition.calls
    assert first["secret"] not in repr(call.live)
    assert again["resume_secret"] not in str(
        [getattr(call.live, name) for name in call.live.__slots__]
    )


ORIGINS = [
    (OWN, True), (SHOP, True), (None, True), ("https://shop.example:443", True),
    ("https://shop.example:444", False), ("http://shop.example", False), ("null", False),
    ("file://", False), ("https://evil.example", False), ("https://shop.example.evil.example", False),
]  # fmt: skip


@pytest.mark.parametrize(("origin", "let_in"), ORIGINS)
async def test_the_door(composition, settings, origin, let_in):
    settings.CALLS = settings.CALLS | {"ALLOW_MISSING_ORIGIN": True}
    connected, _ = await socket_of(origin).connect()
    assert connected is let_in


async def test_pages_from_a_disk_come_in_where_a_site_says_so(composition, site):
    site.origins = [SHOP, "file://"]
    await site.asave()
    sites_origins.forget()
    await socket_of("null").start(token=minted())
    assert await refusal(socket_of("null")) == UNAUTHORIZED
    assert composition.visits[0].site == "shop"


async def test_strange_pages_ask_the_database_once(composition):
    evil = "https://evil.example"
    assert (await socket_of(evil).connect())[0] is False
    await Site.objects.acreate(slug="evil", name="Evil", origins=[evil])
    for _ in range(20):
        assert (await socket_of(evil).connect())[0] is False, "known for 10 seconds"
    sites_origins.forget()
    assert (await socket_of(evil).connect())[0] is True


MICDROP = [
    # page   token       site    closed with
    (OWN,    "ours",     "shop", None),
    (SHOP,   "ours",     "shop", None),
    (OWN,    "a JWT",    "own",  None),
    (OWN,    "vct_none", None,   4401),
    (SHOP,   "a JWT",    None,   4401),
    (SHOP,   "",         None,   4401),
]  # fmt: skip


@pytest.mark.parametrize(("origin", "token", "whose", "code"), MICDROP)
async def test_micdrops_clients_may_bring_one_of_ours(composition, origin, token, whose, code):
    """What else they send as a token was never anybody's here, and is passed over."""
    socket = socket_of(origin, "/ws/micdrop/demo/?params=1")
    await socket.open()
    await socket.say({"authorization": f"Bearer {minted() if token == 'ours' else token}"})
    if code:
        assert await socket.closed() == code
    else:
        await asyncio.wait_for(composition.asked.wait(), 5)
    assert [visit.site for visit in composition.visits] == ([whose] if whose else [])
    await socket.gone()


@pytest.mark.parametrize("secret", ["", "s3cret"])
async def test_a_telephone_system_with_a_secret_is_trusted(composition, settings, secret):
    settings.CALLS = settings.CALLS | {"AVR_SECRET": secret}
    socket = socket_of(None, f"/avr/demo/?secret={secret}")
    await socket.open()
    await socket.say({"type": "init", "uuid": "u-1"})
    await asyncio.wait_for(composition.asked.wait(), 5)
    assert [visit.trusted for visit in composition.visits] == [bool(secret)]
    await socket.gone()
