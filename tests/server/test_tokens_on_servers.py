"""Tokens and origins on real servers: Daphne and uvicorn, side by side on one database."""

import asyncio
import json
import secrets

import pytest
from django.core import signing
from django.core.signing import TimestampSigner
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from calls.store.tokens import token_mint
from calls.store.visits import Caps
from tests.server.callers import kept_server
from tests.server.sites import change, make_site
from tests.server.stored import Stored
from tests.servers import Uvicorn

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(90)]

SHOP, BANK = "https://shop.example", "https://bank.example"
FORMER_KEY = "former" * 12
START = {
    "type": "start", "v": 1, "agent": "demo", "microphone": None, "turns": "auto",
    "capabilities": [], "resume": None,
}  # fmt: skip


class Both:
    """Two servers on one database; Daphne knows the former secret key, uvicorn does not."""

    def __init__(self, var_dir, daphne, uvicorn) -> None:
        self.var_dir = var_dir
        self.ports = {"daphne": daphne.port, "uvicorn": uvicorn.port}
        self.tokens: list[str] = []

    def mint(self, **given) -> str:
        token = token_mint(**{"site": "shop", "agent": "demo"} | given).value
        self.tokens.append(token)
        return token

    async def begin(self, name="daphne", *, origin="", token="", agent="demo", query="") -> object:
        """How a call begins: `ready`, or the code that the socket was closed with."""
        port = self.ports[name]
        url = f"ws://127.0.0.1:{port}/ws/call/{agent}/{query}"
        async with connect(
            url, origin=origin or f"http://127.0.0.1:{port}", compression=None
        ) as socket:
            await socket.send(json.dumps(START | {"agent": agent, "token": token}))
            try:
                said = json.loads(await socket.recv())
                if said["type"] == "ready":
                    await socket.send('{"type": "hang_up"}')
                    return said
                while True:
                    await socket.recv()
            except ConnectionClosed:
                return socket.close_code


@pytest.fixture(scope="module")
def both(installation, tmp_path_factory):
    place = tmp_path_factory.mktemp("tokens") / "var"
    with (
        kept_server(installation, place, SECRET_KEY_FALLBACKS=FORMER_KEY) as daphne,
        kept_server(installation, place, Uvicorn) as uvicorn,
    ):
        make_site(place, "shop", SHOP, "http://shop.example:8080")
        make_site(place, "bank", BANK, public=False)
        make_site(place, "gone", "https://gone.example", active=False)
        servers = Both(place, daphne, uvicorn)
        yield servers
        logs = daphne.log() + uvicorn.log()
    told = [token for token in servers.tokens if token in logs or token[4:60] in logs]
    assert servers.tokens
    assert told == []


@pytest.fixture(autouse=True)
def key(both, settings):
    """Tokens are signed here with the servers' own key."""
    settings.SECRET_KEY = (both.var_dir / "secret_key").read_text().strip()


def opened(found: object) -> bool:
    return isinstance(found, dict)


@pytest.mark.parametrize("name", ["daphne", "uvicorn"])
async def test_a_token_opens_a_call_as_its_site_says(both, name):
    token = both.mint(caller="c-17", metadata={"order": 5}, caps=Caps(max_call_ms=60_000))
    ready = await both.begin(name, token=token, origin=SHOP)
    assert opened(ready)
    row = Stored(both.var_dir).conversation(ready["call_id"])
    assert (row["site_slug"], row["caller"]) == ("shop", "c-17")
    assert json.loads(row["metadata"]) == {"order": 5}
    assert row["token_id"] != ""
    assert len(row["address_key"]) == 32
    assert row["cap_ms"] == 60_000
    assert await both.begin(name, token=token, origin=SHOP) == 4401, "it is used up"


async def test_of_many_sockets_at_once_one_gets_in(both):
    """By two processes, three sockets each."""
    token = both.mint()
    begins = [both.begin(name, token=token) for name in both.ports for _ in range(3)]
    found = await asyncio.gather(*begins)
    assert sorted(map(opened, found)) == [False] * 5 + [True]
    assert [code for code in found if not opened(code)] == [4401] * 5


def signed(both, *, salt="calls.token", key=None) -> str:
    fields = {"i": secrets.token_hex(8), "s": "shop", "a": "demo", "n": 90}
    token = "vct_" + TimestampSigner(salt=salt, key=key).sign_object(fields)
    both.tokens.append(token)
    return token


def expired(both, monkeypatch) -> str:
    class Past:
        @staticmethod
        def time() -> float:
            return now_s - 100

    now_s = signing.time.time()
    with monkeypatch.context() as patched:
        patched.setattr(signing, "time", Past)
        return both.mint()


def flipped(both) -> str:
    token = both.mint()
    return token[:40] + ("A" if token[40] != "A" else "B") + token[41:]


TOKENS = {
    # what                               token                                         from   opens
    "in our frame":                      (lambda b, _: b.mint(),                         "",    True),
    "for a page, in our frame in it":    (lambda b, _: b.mint(origin=SHOP),              "",    True),
    "on a page of the site":             (lambda b, _: b.mint(),                         SHOP,  True),
    "for that page":                     (lambda b, _: b.mint(origin=SHOP),              SHOP,  True),
    "for another page":                  (lambda b, _: b.mint(origin="http://shop.example:8080"), SHOP, False),
    "on a page of another site":         (lambda b, _: b.mint(),                         BANK,  False),
    "of another site":                   (lambda b, _: b.mint(site="bank"),              SHOP,  False),
    "none, on a page of a site":         (lambda _b, _: "",                              SHOP,  False),
    "none, on our own page":             (lambda _b, _: "",                              "",    True),
    "for another agent":                 (lambda b, _: b.mint(agent="other"),            "",    False),
    "of a site that is off":             (lambda b, _: b.mint(site="gone"),              "",    False),
    "of no site":                        (lambda b, _: b.mint(site="nobody"),            "",    False),
    "too old":                           (expired,                                       "",    False),
    "a bit flipped":                     (lambda b, _: flipped(b),                       "",    False),
    "another salt":                      (lambda b, _: signed(b, salt="calls.webhook"),  "",    False),
    "a stranger's key":                  (lambda b, _: signed(b, key="strange" * 10),    "",    False),
    "a word":                            (lambda _b, _: "geheim",                        "",    False),
}  # fmt: skip


@pytest.mark.parametrize(("make", "origin", "opens"), TOKENS.values(), ids=TOKENS)
async def test_tokens(both, monkeypatch, make, origin, opens):
    found = await asyncio.gather(
        *(both.begin(name, token=make(both, monkeypatch), origin=origin) for name in both.ports)
    )
    assert [opened(each) or each for each in found] == [opens or 4401] * 2


async def test_a_former_secret_key_is_good_where_it_is_known(both):
    assert opened(await both.begin("daphne", token=signed(both, key=FORMER_KEY)))
    assert await both.begin("uvicorn", token=signed(both, key=FORMER_KEY)) == 4401


async def test_a_token_in_the_address_is_not_looked_at(both):
    """Nor used up. It stands in no log of ours; those of others are why it is not looked at."""
    token = both.mint()
    assert await both.begin(origin=SHOP, query=f"?token={token}") == 4401
    assert opened(await both.begin(origin=SHOP, token=token))


async def test_a_token_that_is_too_long_is_no_message(both):
    assert await both.begin(token="vct_" + "x" * 4_100) == 4400


async def test_an_agent_that_wants_a_token_gets_one(both):
    change(both.var_dir, "UPDATE calls_agent SET token_required = 1 WHERE slug = 'demo'")
    try:
        assert await both.begin() == 4401
        assert opened(await both.begin(token=both.mint()))
    finally:
        change(both.var_dir, "UPDATE calls_agent SET token_required = 0 WHERE slug = 'demo'")


ORIGINS = [
    # header lines                                     let in
    (["http://127.0.0.1:{port}"],                      True),
    ([SHOP],                                           True),
    (["HTTPS://SHOP.example"],                         True),
    ([SHOP + ":443"],                                  True),
    (["http://shop.example:8080"],                     True),
    ([],                                               True),  # a program, and the server is local
    (["https://evil.example"],                         False),
    (["https://shop.example.evil.example"],            False),
    (["https://evilshop.example"],                     False),
    (["https://shop.example@evil.example"],            False),
    (["https://evil@shop.example"],                    False),
    (["https://@shop.example"],                        False),
    ([SHOP + ":444"],                                  False),
    (["http://shop.example"],                          False),
    (["wss://shop.example"],                           False),
    (["ftp://127.0.0.1:{port}"],                       False),
    (["chrome-extension://shop.example"],              False),
    (["https://127.0.0.1:{port}"],                     False),
    (["http://127.0.0.1:1"],                           False),
    (["http://localhost:{port}"],                      False),
    (["https://gone.example"],                         False),
    (["null"],                                         False),
    (["file://"],                                      False),
    ([""],                                             False),
    (["*"],                                            False),
    (["http://["],                                     False),
    ([SHOP + "/path"],                                 False),
    ([SHOP + "?x"],                                    False),
    ([SHOP + ", https://evil.example"],                False),
    (["https://sh\u00f6p.example"],                    False),
    ([SHOP + "\x0bOrigin: http://127.0.0.1:{port}"],   False),
    ([SHOP + "/" + "a" * 8_000],                       False),
    ([SHOP, "https://evil.example"],                   False),
    ([SHOP, SHOP],                                     False),
]  # fmt: skip


async def handshake(port: int, origins: list[str]) -> int:
    """The status of a handshake with these `Origin` lines, byte for byte."""
    lines = [
        "GET /ws/call/demo/ HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket",
        "Connection: Upgrade", "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        *(f"Origin: {origin.format(port=port)}" for origin in origins),
    ]  # fmt: skip
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write("\r\n".join([*lines, "", ""]).encode())
        answer = await asyncio.wait_for(reader.readline(), 10)
        return int(answer.split()[1]) if answer else 400
    finally:
        writer.close()


@pytest.mark.parametrize("name", ["daphne", "uvicorn"])
async def test_origins(both, name):
    found = [(lines, await handshake(both.ports[name], lines)) for lines, _ in ORIGINS]
    assert [(lines, status == 101) for lines, status in found] == ORIGINS
    assert [(lines, status) for lines, status in found if status >= 500] == []
