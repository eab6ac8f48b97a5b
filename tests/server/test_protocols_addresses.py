"""One port for everything: what each address answers, to whoever asks in whatever way."""

import asyncio

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from calls.conf import PROTOCOLS as NAMES
from tests.server.callers import kept_server
from tests.server.protocols import PROTOCOLS, unhurt

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(90)]

POLLING = "/socket.io/?EIO=4&transport=polling"
OPEN = [
    "/ws/call/demo/", "/ws/call/", "/ws/call/?x=1&x=2&=&%ff", "/ws/micdrop/demo/", "/ws/micdrop/?v=1.0",
    "/call", "/call/", "/call?v=2", "/avr", "/avr/", "/avr/demo", "/avr/demo/", "/avr?a=%00&b", "/", "",
    "/?from=1", "/socket.io/?EIO=4&transport=websocket", "/v1/realtime", "/v1/realtime/",
    "/v1/realtime?model=demo", "/ws/twilio/demo/", "/ws/twilio/",
]  # fmt: skip
CLOSED = [
    "/ws/", "/ws/other/", "/ws/call/demo", "/ws/call/demo/x/", "/ws/call/%00/", "/ws/call/../call/",
    "/%ff", "/%c3%28/", "/avr//", "/avr/demo/x", "/avr%0a", "/socket.io", "/v1", "/v2/realtime",
    "/v1/realtime/client_secrets", "/admin/", "/livez", "/call/demo/", "/static/calls/calls.css",
    "/speech-to-text-stream", "/" + "a" * 4_000,  "/socket.io/",
]  # fmt: skip
METHODS = ("GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")
HTTP = {
    # what            GET POST PUT DELETE OPTIONS PATCH
    "/ws/call/demo/": (404,) * 6,
    "/ws/micdrop/demo/": (404,) * 6,
    "/ws/twilio/": (404,) * 6,
    "/call": (404,) * 6,
    "/avr": (404,) * 6,
    "/avr/demo/": (404,) * 6,
    "/v1": (404,) * 6,
    "/v1/models": (404,) * 6,
    "/v1/realtime": (426,) * 6,
    "/v1/realtime/": (426,) * 6,
    "/v1/realtime/other": (404,) * 6,
    "/v1/realtime/client_secrets": (405, 401, 405, 405, 204, 405),
    "/v1/realtime/sessions": (405, 401, 405, 405, 204, 405),
    "/api/realtime/session": (405, 200, 405, 405, 204, 405),
    "/socket.io": (404,) * 6,
    "/socket.io/": (400,) * 6,
    POLLING: (200, 400, 405, 405, 200, 405),
    "/speech-to-text-stream": (404,) * 6,
    "/prompt-stream": (404,) * 6,
    "/text-to-speech-stream": (404,) * 6,
}


@pytest.fixture(scope="module")
def server(installation, tmp_path_factory):
    place = tmp_path_factory.mktemp("addresses") / "var"
    with kept_server(installation, place) as started:
        yield started
        unhurt(started)


async def knock(server, path, **headers) -> int:
    """The status of a WebSocket's handshake; 101: it opened."""
    try:
        async with connect(server.ws_url + path, compression=None, additional_headers=headers):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


async def knocks(server, paths, **headers) -> dict[str, int]:
    return {path: await knock(server, path, **headers) for path in paths}


async def statuses(server, path) -> tuple[int, ...]:
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
        answers = [await client.request(method, path) for method in METHODS]
    return tuple(answer.status_code for answer in answers)


async def test_every_address_opens_and_no_other(server):
    assert await knocks(server, OPEN) == dict.fromkeys(OPEN, 101)
    assert await knocks(server, CLOSED) == dict.fromkeys(CLOSED, 403)


async def test_requests_to_addresses_of_sockets_are_answered(server):
    assert {path: await statuses(server, path) for path in HTTP} == HTTP


async def test_the_page_is_where_the_socket_is(server):
    """AVR's `/` is the call page's address as well: the one port tells them apart."""
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
        page = await client.get("/?from=1")
        assert (page.status_code, page.headers["content-type"][:9]) == (200, "text/html")
        assert (await client.post("/")).status_code in (403, 405)
    assert await knock(server, "/?from=1") == 101


@pytest.mark.parametrize("name", NAMES)
async def test_pages_of_others_are_refused(server, name):
    address = PROTOCOLS[name].address
    own = await knock(server, address, Origin=server.url)
    others = ("https://evil.example", "null", server.url.replace("http", "https"))
    strange = [await knock(server, address, Origin=origin) for origin in others]
    assert own == 101
    assert strange == [101 if name == "realtime" else 403] * 3


async def test_other_methods_do_not_open_sockets(server):
    """A handshake is a GET."""
    head = (
        "{method} /ws/call/demo/ HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: {version}\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    )
    good = {"method": "GET", "version": 13, "key": "dGhlIHNhbXBsZSBub25jZQ=="}
    for wrong in ({"method": "POST"}, {"method": "BREW"}, {"version": 12}, {"key": "x"}, {}):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(head.format(port=server.port, **(good | wrong)).encode())
        status = int((await asyncio.wait_for(reader.readline(), 5)).split()[1])
        writer.close()
        assert (status == 101) is (wrong == {}), (wrong, status)
        assert status < 500, (wrong, status)


async def test_what_is_switched_off_has_no_address(installation, tmp_path):
    """And the page's own protocol alone is enough to have a call."""
    addresses = [protocol.address for protocol in PROTOCOLS.values()]
    with kept_server(installation, tmp_path / "var", PROTOCOLS="browser") as server:
        found = await knocks(server, addresses)
        assert found == dict.fromkeys(addresses, 403) | {PROTOCOLS["browser"].address: 101}
        assert (await statuses(server, POLLING))[0] == 404
        unhurt(server)
