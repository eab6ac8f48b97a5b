"""The proxy's configuration, by nginx itself: what it lets through, how long, and how much."""

import gzip
import re
import socket
import subprocess
import time
from contextlib import ExitStack, closing, suppress
from http.client import HTTPConnection, HTTPSConnection

import pytest

from tests.deployment.proxy import START, Proxy, free_port
from tests.deployment.recorder import PIECE, TEXT, recording

pytestmark = pytest.mark.nginx

LIMIT_S = 1
CONNECTIONS = 6


@pytest.fixture(scope="module")
def recorder():
    with recording() as started:
        yield started


@pytest.fixture(scope="module")
def proxy(recorder):
    """One of two processes is not there."""
    limits = dict.fromkeys(("HEADER_S", "BODY_S", "IDLE_S"), str(LIMIT_S))
    started = Proxy(
        [free_port(), recorder.port],
        CONNECTIONS_PER_ADDRESS=str(CONNECTIONS),
        BODY_MAX="100k",
        **limits,
    )
    yield started
    started.stop()


@pytest.fixture(autouse=True)
def fresh(recorder):
    recorder.requests.clear()
    recorder.let_go.clear()
    recorder.first_piece.clear()
    yield
    recorder.let_go.set()


def ask(proxy, path, method="GET", body=None, headers=None):
    """Status, headers and body of one request with TLS."""
    connection = HTTPSConnection("127.0.0.1", proxy.port, timeout=10, context=proxy.tls())
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.msg, answer.read()
    finally:
        connection.close()


def closed_after_s(connection, drip=b"", every_s=0.1, at_most_s=6):
    """How long the other side takes what drips before it closes."""
    began_s = time.monotonic()
    connection.settimeout(every_s)
    while time.monotonic() - began_s < at_most_s:
        try:
            if drip:
                connection.sendall(drip)
            if not connection.recv(4096):
                break
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - began_s


def test_plain_http_is_sent_to_https(proxy):
    connection = HTTPConnection("127.0.0.1", proxy.http_port, timeout=10)
    connection.request("GET", "/call/demo/?a=b", headers={"Host": "calls.example"})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert answer.status == 308
    assert answer.headers["Location"] == f"https://calls.example:{proxy.port}/call/demo/?a=b"


def test_what_a_client_says_of_itself_is_not_passed_on(proxy, recorder):
    spoofed = {
        "X-Forwarded-For": "6.6.6.6",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Port": "1",
        "X-Real-IP": "6.6.6.6",
        "Forwarded": "for=6.6.6.6",
        "X_Forwarded_For": "6.6.6.6",
        "Daphne-Root-Path": "/evil",
        "Proxy": "http://evil.example",
        "X-Request-ID": "chosen",
    }
    ask(proxy, "/", headers=spoofed)
    headers = recorder.requests[0]["headers"]
    assert headers["x-forwarded-for"] == ["127.0.0.1"]
    assert headers["x-forwarded-proto"] == ["https"]
    assert headers["host"] == [f"127.0.0.1:{proxy.port}"]
    assert headers["x-request-id"] != ["chosen"]
    gone = {name.lower() for name in spoofed} - {
        "x-forwarded-for", "x-forwarded-proto", "x-request-id",
    }  # fmt: skip
    assert not gone & set(headers)


def test_only_a_websocket_is_upgraded_to(proxy, recorder):
    for asked, passed in (
        ("websocket", ["websocket"]),
        ("h2c", None),
        ("WebSocket", ["websocket"]),
    ):
        recorder.requests.clear()
        ask(proxy, "/", headers={"Upgrade": asked, "Connection": "Upgrade"})
        headers = recorder.requests[0]["headers"]
        assert headers.get("upgrade") == passed
        assert headers["connection"] == ["upgrade" if passed else "close"]


def test_a_body_has_a_largest_size(proxy, recorder):
    assert ask(proxy, "/", "POST", bytes(100 * 1024))[0] == 200
    recorder.requests.clear()
    assert ask(proxy, "/", "POST", bytes(100 * 1024 + 1))[0] == 413
    assert recorder.requests == []


def test_headers_that_drip_are_cut_and_reach_no_process(proxy, recorder):
    with proxy.connection() as drip:
        drip.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        took_s = closed_after_s(drip, b"a")
    assert LIMIT_S * 0.5 < took_s < LIMIT_S + 2
    assert recorder.requests == []


def test_a_handshake_that_drips_is_cut(proxy):
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as drip:
        drip.sendall(b"\x16\x03\x01")
        assert closed_after_s(drip) < LIMIT_S + 2


def test_a_body_that_stops_is_cut_and_reaches_no_process(proxy, recorder):
    with proxy.connection() as drip:
        drip.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\na")
        assert closed_after_s(drip) < LIMIT_S + 4
    assert recorder.requests == []


def test_a_body_that_drips_costs_no_process_anything(proxy, recorder):
    """There is no longest time for all of a body: nginx holds it back, and an address has few."""
    with proxy.connection() as drip:
        drip.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")
        assert closed_after_s(drip, b"a", at_most_s=2) >= 2
    assert recorder.requests == []


def test_an_idle_connection_is_closed(proxy):
    with proxy.connection() as idle:
        idle.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        idle.settimeout(5)
        assert idle.recv(100_000)
        assert closed_after_s(idle) < LIMIT_S + 2


def test_one_address_has_so_many_connections_and_no_more(proxy, recorder):
    asked = b"GET /hold HTTP/1.1\r\nHost: x\r\n\r\n"
    with ExitStack() as opened:
        held = [opened.enter_context(proxy.connection()) for _ in range(CONNECTIONS)]
        for connection in held:
            connection.sendall(asked)
        wait_for(lambda: len(recorder.requests) == CONNECTIONS)
        assert ask(proxy, "/")[0] == 429
        other = opened.enter_context(proxy.connection(source="127.0.0.2"))
        other.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert other.recv(100).startswith(b"HTTP/1.1 200")
        recorder.let_go.set()
        for connection in held:
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
    wait_for(lambda: ask(proxy, "/")[0] == 200)


def wait_for(condition, at_most_s=5):
    give_up_s = time.monotonic() + at_most_s
    while not condition():
        assert time.monotonic() < give_up_s, "waited in vain"
        time.sleep(0.02)


def test_a_process_that_is_not_there_costs_no_request(proxy, recorder):
    for number in range(20):
        assert ask(proxy, f"/?call=call{number}")[0] == 200
    assert len(recorder.requests) == 20


def test_text_shrinks_and_sound_does_not(proxy):
    taken = {"Accept-Encoding": "gzip"}
    _, headers, body = ask(proxy, "/", headers=taken)
    assert headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(body).decode() == TEXT
    _, headers, body = ask(proxy, "/sound", headers=taken)
    assert (headers["Content-Encoding"], len(body)) == (None, 20_000)


def test_a_stream_is_passed_on_as_it_is_made(proxy, recorder):
    with proxy.connection() as listener:
        listener.sendall(b"GET /text-to-speech-stream HTTP/1.1\r\nHost: x\r\n\r\n")
        heard = b""
        while PIECE not in heard:
            heard += listener.recv(4096)
        assert heard.count(PIECE) == 1
        recorder.let_go.set()
        while heard.count(PIECE) < 2:
            heard += listener.recv(4096)


def test_a_stream_is_passed_on_as_it_comes(proxy, recorder):
    with proxy.connection() as speaker:
        speaker.sendall(
            b"POST /speech-to-text-stream HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"5\r\nhello\r\n"
        )
        assert recorder.first_piece.wait(5), "the beginning waits for the end"
        speaker.sendall(b"0\r\n\r\n")
        assert speaker.recv(100).startswith(b"HTTP/1.1 200")


def test_figures_are_for_inside(proxy, recorder):
    assert ask(proxy, "/metrics", headers={"Authorization": "Bearer x"})[0] == 404
    assert recorder.requests == []


def test_the_log_holds_no_query_and_no_address(proxy):
    ask(proxy, "/page?token=geheim", headers={"Referer": "https://x.example/?token=geheim"})
    with suppress(OSError), proxy.connection(source="127.0.0.3") as broken:
        broken.sendall(b"GET /?token=geheim HTTP/9.9\r\n\r\n")
        broken.recv(100)
    wait_for(lambda: '"/page"' in proxy.access_log.read_text())
    said = proxy.access_log.read_text() + proxy.error_log.read_text()
    assert "geheim" not in said
    assert "127.0.0.3" not in said


def test_the_proxy_says_that_it_lives_to_its_own_machine(proxy):
    for source, status in (("127.0.0.1", 200), ("127.0.0.2", 403)):
        address = ("127.0.0.1", proxy.http_port)
        with closing(
            HTTPConnection(*address, timeout=10, source_address=(source, 0))
        ) as connection:
            connection.request("GET", "/proxy-alive")
            answer = connection.getresponse()
            answer.read()
            assert answer.status == status


@pytest.mark.parametrize("listen", ["", "[::]:{} ipv6only=off"])
def test_the_configuration_as_it_stands_is_sound(proxy, listen):
    """With the limits that nobody changed."""
    own = {"HEADER_S", "BODY_S", "IDLE_S", "CONNECTIONS_PER_ADDRESS", "BODY_MAX"}
    plain = {name: value for name, value in proxy.environment.items() if name not in own}
    if listen:
        for name in ("HTTP_LISTEN", "HTTPS_LISTEN"):
            plain[name] = listen.format(free_port())
    plain["RUN_DIR"] += "-checked"
    checked = subprocess.run(
        ["sh", str(START), "check"], env=plain, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.fixture(scope="module")
def pair():
    """Two that answer, and the proxy before them."""
    with recording() as one, recording() as other:
        started = Proxy([one.port, other.port])
        yield started, (one, other)
        started.stop()


def taken(pair, *paths):
    """Which of the two got each of these."""
    proxy, recorders = pair
    for recorder in recorders:
        recorder.requests.clear()
    for path in paths:
        ask(proxy, path)
    return [{r["path"] for r in recorder.requests} for recorder in recorders]


def test_what_names_the_same_call_goes_to_the_same_process(pair):
    for number in range(10):
        one, other = taken(pair, *[f"/ws/call/demo/?call=c{number}&n={n}" for n in range(5)])
        assert sorted(map(len, (one, other))) == [0, 5]


def test_calls_are_shared_out(pair):
    for paths in (
        [f"/ws/call/demo/?call=c{number}" for number in range(40)],
        [f"/ws/call/demo/?n={number}" for number in range(40)],
    ):
        assert min(map(len, taken(pair, *paths))) >= 8


def test_a_client_that_polls_stays_where_it_is(pair):
    one, other = taken(pair, *[f"/socket.io/?EIO=4&n={number}" for number in range(10)])
    assert sorted(map(len, (one, other))) == [0, 10]


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("2001:db8:0:1::5", "2001:db8:0:1"),
        ("2001:db8:0:1:a:b:c:d", "2001:db8:0:1"),
        ("2001:db8::5", "2001:db8"),
        ("2001:db8::a:b:c:d", "2001:db8"),
        ("203.0.113.5", None),
        ("::1", None),
    ],
)
def test_an_ipv6_network_counts_as_one_address(address, counted):
    template = START.with_name("nginx.conf.template").read_text()
    patterns = re.findall(r'"~(\^\(\?<(?:head|network)>[^"]+)"', template)
    assert len(patterns) == 2
    found = [re.match(pattern.replace("?<", "?P<"), address) for pattern in patterns]
    assert next((match[1] for match in found if match), None) == counted
