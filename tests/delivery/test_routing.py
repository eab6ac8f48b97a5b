"""Every address leads to its protocol, through its door, or is refused."""

import pytest
from channels.testing import WebsocketCommunicator

from calls import routing
from calls.asgi import http, message_bytes, websockets
from calls.conf import PROTOCOLS, calls_settings
from calls.routing import CLASSIC_PATHS, SPEECH_BYTES, Route, http_streams, routes
from tests.wire.test_protocols_page import TERMS

HOST = (b"host", b"localhost")
OWN = (b"origin", b"http://localhost")
ALLOWED = (b"origin", b"https://partner.example")
STRANGER = (b"origin", b"https://evil.example")

ADDRESSES = [
    # path                     protocol     agent
    ("/ws/call/demo/",         "browser",   "demo"),
    ("/ws/call/",              "browser",   None),
    ("/ws/micdrop/demo/",      "micdrop",   "demo"),
    ("/ws/micdrop/",           "micdrop",   None),
    ("/call",                  "micdrop",   None),
    ("/call/",                 "micdrop",   None),
    ("/",                      "avr",       None),
    ("",                       "avr",       None),
    ("/avr",                   "avr",       None),
    ("/avr/",                  "avr",       None),
    ("/avr/front-desk_2",      "avr",       "front-desk_2"),
    ("/avr/front-desk_2/",     "avr",       "front-desk_2"),
    ("/socket.io/",            "socketio",  None),
    ("/v1/realtime",           "realtime",  None),
    ("/v1/realtime/",          "realtime",  None),
    ("/ws/twilio/demo/",       "twilio",    "demo"),
    ("/ws/twilio/",            "twilio",    None),
]  # fmt: skip

NOWHERE = [
    "/ws/", "/ws/other/", "/ws/call", "/ws/call/demo", "/ws/call/demo/x/", "/ws/call/de mo/",
    "/ws/call/../", "/ws/call/%00/", "/ws/call/\x00/", "/ws/call/ä/", "/ws/micdrop", "/call/demo/",
    "/calls", "/avr/demo/x", "/avr//", "/avrx", "/xavr", "/ws/avr/", "/socket.io", "/socketXio/",
    "/v1", "/v1/realtime/client_secrets", "/v1/realtimes", "/v2/realtime", "/ws/twilio",
    "/admin/", "/livez", "/static/calls/calls.css", "/favicon.ico", "/speech-to-text-stream",
]  # fmt: skip


def asked(path):
    """The route that Channels would take, and what it takes from the path."""
    for pattern, route in zip(routing.websocket_urlpatterns, routes(), strict=True):
        if found := pattern.pattern.match(path.lstrip("/")):
            return route, found[2].get("agent")
    return None, None


@pytest.mark.parametrize(("path", "protocol", "agent"), ADDRESSES)
def test_an_address_leads_to_its_protocol(path, protocol, agent):
    route, named = asked(path)
    assert (route.protocol, named) == (protocol, agent)


@pytest.mark.parametrize("path", NOWHERE)
def test_other_addresses_lead_nowhere(path):
    assert asked(path) == (None, None)


def test_every_protocol_has_an_address():
    assert {protocol for _, protocol, _ in ADDRESSES} == set(PROTOCOLS)
    assert {route.protocol for route in routes()} == set(PROTOCOLS)


@pytest.mark.asyncio
@pytest.mark.parametrize("path", [path for path in NOWHERE if path.isascii()])
async def test_what_leads_nowhere_is_refused_before_it_opens(path):
    socket = WebsocketCommunicator(websockets(), path, headers=[HOST, OWN])
    assert await socket.connect() == (False, 4404)


# Doors


class Inside:
    """An application that notes who came in."""

    def __init__(self):
        self.came = 0

    async def __call__(self, scope, receive, send):
        self.came += 1
        await receive()
        await send({"type": "websocket.accept"})


async def let_in(route: Route, *headers) -> bool:
    """Whether the route's door lets such a handshake through."""
    inside = Inside()
    behind = Route(
        protocol=route.protocol, pattern=route.pattern, application=inside, lets_in=route.lets_in
    )
    socket = WebsocketCommunicator(routing._guarded(behind), "/", headers=list(headers))
    connected, _ = await socket.connect()
    await socket.disconnect()
    assert connected is (inside.came == 1)
    return connected


DOORS = {
    # protocol    own    allowed  stranger  null    program  wrong host
    "browser":   (True,  True,    False,    False,  False,   False),
    "micdrop":   (True,  True,    False,    False,  True,    False),
    "avr":       (True,  True,    False,    False,  True,    False),
    "socketio":  (True,  True,    False,    False,  True,    False),
    "realtime":  (True,  True,    True,     True,   True,    True),
    "twilio":    (True,  True,    False,    False,  True,    False),
}  # fmt: skip
VISITORS = [
    [HOST, OWN],
    [HOST, ALLOWED],
    [HOST, STRANGER],
    [HOST, (b"origin", b"null")],
    [HOST],
    [(b"host", b"evil.example"), (b"origin", b"http://evil.example")],
]


@pytest.fixture
def doors(settings):
    settings.ALLOWED_HOSTS = ["localhost"]
    settings.SECURE_SSL_REDIRECT = False
    settings.CALLS = settings.CALLS | {
        "ALLOWED_ORIGINS": ["https://partner.example"],
        "ALLOW_MISSING_ORIGIN": False,
    }


@pytest.mark.asyncio
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_who_is_let_in(doors, protocol):
    for route in routes():
        if route.protocol == protocol:
            assert tuple([await let_in(route, *who) for who in VISITORS]) == DOORS[protocol]


@pytest.mark.asyncio
async def test_programs_may_use_our_pages_protocol_where_the_settings_say_so(doors, settings):
    settings.CALLS = settings.CALLS | {"ALLOW_MISSING_ORIGIN": True}
    (route,) = (route for route in routes() if route.protocol == "browser")
    assert await let_in(route, HOST)


@pytest.mark.asyncio
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_protocol_that_is_switched_off_has_no_address(doors, settings, protocol):
    rest = [name for name in PROTOCOLS if name != protocol]
    settings.CALLS = settings.CALLS | {"PROTOCOLS": rest}
    for route in routes():
        assert await let_in(route, HOST, OWN) is (route.protocol != protocol)
    for path, name, _ in ADDRESSES:
        if name == protocol:
            socket = WebsocketCommunicator(websockets(), path, headers=[HOST, OWN])
            assert await socket.connect() == (False, 4404)


# HTTP


def serves(path):
    stream = http_streams(path)
    return stream.__name__ if stream else None


@pytest.mark.parametrize(
    ("path", "socketio", "classic", "by"),
    [
        ("/socket.io/", True, False, "_socketio"),
        ("/socket.io/", False, True, None),
        ("/socket.io", True, True, None),
        *[(path, False, True, "classic") for path in CLASSIC_PATHS],
        *[(f"{path}/", True, True, "classic") for path in CLASSIC_PATHS],
        *[(path, True, False, None) for path in CLASSIC_PATHS],
        ("/v1/realtime", True, True, None),
        ("/", True, True, None),
        ("", True, True, None),
    ],
)
def test_what_is_answered_beside_the_pages(settings, path, socketio, classic, by):
    protocols = [name for name in PROTOCOLS if socketio or name != "socketio"]
    settings.CALLS = settings.CALLS | {"PROTOCOLS": protocols, "AVR_HTTP": classic}
    assert serves(path) == by


@pytest.mark.asyncio
async def test_all_other_requests_are_the_pages():
    asked_for = []

    async def pages(scope, receive, send):
        asked_for.append(scope["path"])

    for path in (
        "/",
        "/call",
        "/avr",
        "/ws/call/demo/",
        "/v1/realtime",
        "/socket.io",
        "/socketio/",
    ):
        await http(pages)({"type": "http", "path": path}, None, None)
    assert len(asked_for) == 7


# Sizes


@pytest.mark.parametrize(("path", "protocol", "_agent"), ADDRESSES)
def test_the_server_takes_what_the_protocol_does_and_not_much_more(path, protocol, _agent):
    """One byte more is answered in the protocol's words, so it has to come in."""
    own = TERMS[protocol].message_bytes
    assert own < message_bytes(path) or own == message_bytes(path) == SPEECH_BYTES
    assert message_bytes(path) <= max(SPEECH_BYTES, 2.2 * own)


@pytest.mark.parametrize("path", NOWHERE)
def test_elsewhere_the_server_takes_little(path):
    assert message_bytes(path) == SPEECH_BYTES


def test_all_protocols_are_served_unless_the_settings_say_otherwise():
    assert set(calls_settings().protocols) == set(PROTOCOLS)


# What stays behind


@pytest.mark.asyncio
@pytest.mark.parametrize("way", ["left", "closed", "gone", "refused"])
async def test_a_socket_that_the_library_has_left_is_closed_once(monkeypatch, way):
    async def application(scope, receive, send):
        await receive()
        if way == "refused":
            await send({"type": "websocket.close", "code": 4403})
            return
        await send({"type": "websocket.accept"})
        if way == "closed":
            await send({"type": "websocket.close", "code": 4000})
        if way == "gone":
            await receive()

    async def loaded():
        return application

    monkeypatch.setattr(routing.socketio_entry, "application", loaded)
    heard = iter([{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1006}])
    sent = []

    async def receive():
        return next(heard)

    async def send(message):
        sent.append(message)

    await routing._socketio({"type": "websocket", "headers": []}, receive, send)
    codes = [message["code"] for message in sent if message["type"] == "websocket.close"]
    assert codes == {"left": [1000], "closed": [4000], "gone": [], "refused": [4403]}[way]
