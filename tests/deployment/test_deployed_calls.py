"""Calls through the proxy, with TLS, to two processes that share PostgreSQL and Redis."""

import asyncio
import re
import signal
from collections import Counter
from contextlib import asynccontextmanager
from http.client import HTTPSConnection
from secrets import token_hex
from urllib.parse import urlencode

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.deployment.proxy import Proxy
from tests.server.callers import Caller

pytestmark = [
    pytest.mark.nginx,
    pytest.mark.postgres,
    pytest.mark.redis,
    pytest.mark.asyncio,
    pytest.mark.timeout(300),
]


class DistantCaller(Caller):
    """A page's part in a call, as a browser sees the server: with TLS, through the proxy.

    Args:
        named: whether it names its call in the address, as the page does.
        source: the address of this machine that it calls from.
        headers: of its handshake, besides.
    """

    def __init__(self, proxy, *, named=True, source="127.0.0.1", headers=None) -> None:
        super().__init__(proxy.ws_url)
        self._proxy, self._source, self._headers = proxy, source, headers or {}
        if named:
            self.url += f"?call={token_hex(8)}"

    async def _open(self) -> None:
        self.close_code = None
        self._socket = await connect(
            self.url,
            ssl=self._proxy.tls(),
            origin=self._proxy.url,
            compression=None,
            max_queue=None,
            local_addr=(self._source, 0),
            additional_headers=self._headers,
        )


def process_of(deployment, ready) -> int:
    """The number of the process that runs the call."""
    rows = deployment.rows(
        "SELECT owner FROM calls_conversation WHERE call_id = %s", ready["call_id"]
    )
    return int(rows[0][0].split(":")[-2])


async def test_a_call_comes_back_to_its_process(deployment):
    await asyncio.gather(*(comes_back(deployment) for _ in range(4)))


async def comes_back(deployment):
    async with DistantCaller(deployment.proxy) as caller:
        await caller.start()
        await caller.drop()
        assert (await caller.come_back())["resumed"]
        assert await caller.hangs_up() == "caller_hung_up"


async def test_an_address_is_the_callers_whatever_it_claims(deployment):
    claims = [{"X-Forwarded-For": f"192.0.2.{number}"} for number in range(2)]
    keys = {await address_key(deployment, headers=headers) for headers in (None, *claims)}
    assert len(keys) == 1
    assert keys != {""}
    assert await address_key(deployment, source="127.0.0.2") not in keys


async def address_key(deployment, **claims):
    async with DistantCaller(deployment.proxy, **claims) as caller:
        ready = await caller.start()
        await caller.hangs_up()
    query = "SELECT address_key FROM calls_conversation WHERE call_id = %s"
    return deployment.rows(query, ready["call_id"])[0][0]


async def test_a_guesser_of_passwords_is_locked_out_and_nobody_else(deployment):
    def guess(source, claim):
        return asyncio.to_thread(login_status, deployment.proxy, source, claim)

    statuses = [await guess("127.0.0.3", f"192.0.2.{number}") for number in range(6)]
    assert statuses == [200, 200, 200, 200, 429, 429]
    assert await guess("127.0.0.4", "127.0.0.3") == 200


def login_status(proxy, source, claim):
    """What a wrong password gets, from an address that claims to be another."""
    connection = HTTPSConnection(
        "127.0.0.1", proxy.port, timeout=20, context=proxy.tls(), source_address=(source, 0)
    )
    path = f"{proxy.url}/admin/login/"
    try:
        connection.request("GET", "/admin/login/")
        page = connection.getresponse()
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.read().decode())[1]
        cookie = page.headers["Set-Cookie"].partition(";")[0]
        form = {"username": "admin", "password": "wrong", "csrfmiddlewaretoken": token}
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Cookie": cookie,
            "Referer": path,
            "X-Forwarded-For": claim,
        }
        connection.close()
        connection.request("POST", "/admin/login/", urlencode(form), headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


async def test_pages_come_by_tls_with_what_a_browser_needs(deployment):
    def page():
        connection = HTTPSConnection(
            "127.0.0.1", deployment.proxy.port, timeout=20, context=deployment.proxy.tls()
        )
        connection.request("GET", "/call/demo/", headers={"Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer

    answer = await asyncio.to_thread(page)
    assert answer.status == 200
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=31536000")
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Content-Encoding"] == "gzip"


async def test_calls_are_shared_out(deployment):
    callers = [DistantCaller(deployment.proxy) for _ in range(20)]
    try:
        readies = [await caller.start() for caller in callers]
        found = Counter(process_of(deployment, ready) for ready in readies)
    finally:
        await asyncio.gather(*(caller.__aexit__() for caller in callers))
    assert set(found) == {server.process.pid for server in deployment.servers}
    assert min(found.values()) >= 2


async def test_a_client_that_names_no_call_is_served(deployment):
    for _ in range(3):
        async with DistantCaller(deployment.proxy, named=False) as caller:
            await caller.start()
            assert await caller.hangs_up() == "caller_hung_up"


async def test_a_page_elsewhere_opens_no_socket_through_it(deployment):
    with pytest.raises(Exception, match="403"):
        await connect(
            f"{deployment.proxy.ws_url}/ws/call/demo/",
            ssl=deployment.proxy.tls(),
            origin="https://evil.example",
        )


@pytest.fixture
def another(deployment):
    """A process more."""
    return deployment.serve("serve")


@pytest.fixture
def small(deployment, another):
    """A proxy of its own, before that one and the first."""
    proxy = Proxy([another.port, deployment.servers[0].port])
    yield proxy
    proxy.stop()


async def test_a_process_that_leaves_or_dies_costs_no_new_call(deployment, another, small):
    staying = {deployment.servers[0].process.pid}
    async with calling(deployment, small, another.process.pid) as caller:
        await caller.hears_out()
        caller.hasty = False
        await caller.types("How do I get to your office by bus?")
        await caller.until(lambda: len(caller.played_ms) == 2)
        another.process.send_signal(signal.SIGTERM)
        await refused_at(another)
        assert {await begun(deployment, small) for _ in range(6)} == staying
        another.kill()
        assert await caller.closed() in (1006, 4512)
        assert {await begun(deployment, small) for _ in range(6)} == staying


async def refused_at(leaving) -> None:
    """It has noticed that it is to leave."""
    async with asyncio.timeout(20), httpx.AsyncClient() as client:
        while (await client.get(f"{leaving.url}/readyz")).status_code != 503:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def begun(deployment, proxy) -> int:
    """Begin a call and end it; the process that took it."""
    async with DistantCaller(proxy) as caller:
        ready = await caller.start()
        await caller.hangs_up()
    return process_of(deployment, ready)


@asynccontextmanager
async def calling(deployment, proxy, pid):
    """A caller whose call runs in that process."""
    for _ in range(40):
        async with DistantCaller(proxy) as caller:
            if process_of(deployment, await caller.start()) == pid:
                yield caller
                return
    raise AssertionError("no call reached it")
