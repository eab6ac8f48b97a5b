"""What the server promises, asked of a real process."""

import json
import signal
import socket
import time
from contextlib import ExitStack, closing, suppress
from http.client import HTTPConnection

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect


def get(port, path, body=None, headers=None):
    with closing(HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("POST" if body else "GET", path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read(), dict(answer.getheaders())


def open_socket(port, path):
    return connect(f"ws://127.0.0.1:{port}{path}", compression=None)


def close_code(socket_, timeout=10):
    with suppress(ConnectionClosed):
        while True:
            socket_.recv(timeout)
    return socket_.close_code


@pytest.mark.parametrize(
    ("size_bytes", "comes_back"),
    [pytest.param(65_536, True, id="the longest"), pytest.param(65_537, False, id="one too long")],
)
def test_a_message_has_a_longest_size(probe, size_bytes, comes_back):
    with open_socket(probe.port, "/echo") as ws:
        ws.send(bytes(size_bytes))
        if comes_back:
            assert ws.recv(5) == bytes(size_bytes)
        else:
            assert close_code(ws) == 1006


def test_nothing_names_the_server_and_nothing_is_compressed(probe):
    _, _, headers = get(probe.port, "/")
    assert "server" not in {name.lower() for name in headers}
    with connect(f"ws://127.0.0.1:{probe.port}/echo", compression="deflate") as ws:
        assert "Server" not in ws.response.headers
        assert "Sec-WebSocket-Extensions" not in ws.response.headers


def test_on_sigterm_the_turn_is_finished_and_pages_are_still_answered(probe):
    with open_socket(probe.port, "/turn") as ws:
        probe.send(signal.SIGTERM)
        assert ws.recv(5) == "one more word"
        status, body, _ = get(probe.port, "/")
        assert (status, json.loads(body)["ending"]) == (200, True)
        assert close_code(ws) == 4512
    assert probe.exit_status() == 0


def test_a_broken_consumer_costs_no_other_call_its_end(start_probe):
    probe = start_probe()
    with open_socket(probe.port, "/broken"), open_socket(probe.port, "/turn") as ws:
        probe.send(signal.SIGTERM)
        assert close_code(ws) == 4512
    assert probe.exit_status() == 0


def test_what_does_not_end_by_itself_is_cancelled_and_may_store_something(probe):
    with open_socket(probe.port, "/stubborn"):
        probe.send(signal.SIGTERM)
        began_s = time.monotonic()
        assert probe.exit_status() == 0
        assert time.monotonic() - began_s < 4
    assert "stored" in probe.log()


def test_ctrl_c_leaves_cleanly(probe):
    probe.send(signal.SIGINT)
    assert probe.exit_status() == 0
    assert "Traceback" not in probe.log()


def test_a_second_ctrl_c_leaves_at_once(start_probe):
    probe = start_probe("slow-end")
    probe.send(signal.SIGINT)
    time.sleep(0.3)
    assert probe.process.poll() is None, "the first one waits"
    probe.send(signal.SIGINT)
    began_s = time.monotonic()
    assert probe.exit_status() == 0
    assert time.monotonic() - began_s < 1.5


def test_impatience_leaves_no_trace(start_probe):
    probe = start_probe("slow-end")
    with open_socket(probe.port, "/stubborn"):
        for _ in range(6):
            probe.send(signal.SIGINT)
            time.sleep(0.03)
        assert probe.exit_status() == 0
    assert "Traceback" not in probe.log()


def test_an_application_that_cannot_start_is_a_failure(start_probe):
    probe = start_probe("no-start")
    assert probe.exit_status() == 3
    assert "not today" in probe.log()


def test_a_request_body_has_a_largest_size(probe):
    assert get(probe.port, "/size", bytes(1_000_000))[0] == 200
    assert get(probe.port, "/size", bytes(1_000_001))[0] == 413
    chunks = (bytes(100_000) for _ in range(11))
    assert get(probe.port, "/size", chunks)[0] == 413


def test_a_huge_body_costs_no_memory(probe):
    before_bytes = probe.rss_bytes()
    with socket.create_connection(("127.0.0.1", probe.port)) as raw:
        raw.sendall(b"POST /size HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
        with suppress(OSError):  # the server may have had enough
            for _ in range(100):
                raw.sendall(chunk)
        assert probe.rss_bytes() - before_bytes < 20_000_000


def test_a_burst_of_connections_waits_in_the_kernel(probe):
    probe.send(signal.SIGSTOP)
    try:
        with ExitStack() as opened:
            for _ in range(400):
                address = ("127.0.0.1", probe.port)
                opened.enter_context(socket.create_connection(address, timeout=2))
    finally:
        probe.send(signal.SIGCONT)


def test_no_query_is_ever_logged(probe):
    get(probe.port, "/page?token=geheim")
    with open_socket(probe.port, "/echo?token=geheim"):
        pass
    probe.send(signal.SIGTERM)
    probe.exit_status()
    assert "GET /page 200" in probe.log()
    assert "WebSocket connected /echo" in probe.log()
    assert "geheim" not in probe.log()
