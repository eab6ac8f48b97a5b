"""Where messages may go: nowhere that only this machine or its network reaches."""

from ipaddress import ip_address

import pytest

from calls.providers.webhooks import addresses
from calls.providers.webhooks.addresses import (
    ForbiddenAddressError,
    forbidden,
    places,
    url_check,
)
from calls.providers.webhooks.posting import Message, PostError, post

INSIDE = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::",
    "2002:c0a8:101::1",
    "2001:0:0:0:0:0:80ff:fffe",
    "fe80::1",
    "fc00::1",
    "fd12:3456::1",
    "ff02::1",
    "2001:db8::1",
]
OUTSIDE = ["8.8.8.8", "1.1.1.1", "93.184.216.34", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8"]


@pytest.mark.parametrize("address", INSIDE)
def test_addresses_of_this_network(address):
    assert forbidden(ip_address(address))


@pytest.mark.parametrize("address", OUTSIDE)
def test_addresses_of_the_world(address):
    assert not forbidden(ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://",
        "https:///path",
        "http://a.example/",
        "ftp://a.example/",
        "file:///etc/passwd",
        "gopher://a.example/",
        "javascript:alert(1)",
        "//a.example/",
        "a.example",
        "https://user@a.example/",
        "https://user:password@a.example/",
        "https://a.example:99999/",
        "https://a.example:port/",
        "https://[::1/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://127.0.0.1/",
        "https://127.0.0.1:8443/",
        "https://169.254.169.254/latest/meta-data/",
        "https://a.example/\r\nX: 1",
        "https://a example/",
        "https://a.example\\@b.example/",
        "https://a.example/" + "x" * 500,
    ],
)
def test_what_nobody_may_write_down(url):
    with pytest.raises(ForbiddenAddressError):
        url_check(url, private=False)


@pytest.mark.parametrize(
    "url",
    [
        "https://a.example/",
        "https://a.example:8443/calls?x=1",
        "https://8.8.8.8/",
        "HTTPS://A.example",
    ],
)
def test_what_will_do(url):
    url_check(url, private=False)


def test_a_network_of_ones_own_if_the_settings_say_so():
    for url in ("http://127.0.0.1:8000/", "https://10.0.0.1/", "http://box.local/"):
        url_check(url, private=True)
    for url in ("ftp://127.0.0.1/", "http://user@127.0.0.1/"):
        with pytest.raises(ForbiddenAddressError):
            url_check(url, private=True)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "host",
    ["localhost", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "0", "[::ffff:7f00:1]", "[::1]"],
)
async def test_names_are_checked_by_what_they_stand_for(host):
    with pytest.raises(ForbiddenAddressError):
        await places(f"https://{host}:1/", private=False)


@pytest.mark.asyncio
async def test_one_bad_address_of_a_name_spoils_it(monkeypatch):
    monkeypatch.setattr(addresses, "_look_up", lambda *_: ("8.8.8.8", "10.0.0.1"))
    with pytest.raises(ForbiddenAddressError):
        await places("https://both.example/", private=False)


@pytest.mark.asyncio
async def test_what_was_checked_is_what_is_connected_to(monkeypatch, receiver):
    """A name that stands for something else a moment later: it is not asked a second time."""
    asked = []

    def look_up(host, port):
        asked.append(host)
        return ("127.0.0.1",)

    monkeypatch.setattr(addresses, "_look_up", look_up)
    message = Message("evt_1", b"{}", ("whsec_AAAA",))
    url = f"http://no-such-host.invalid:{receiver.port}/ok"
    answer = await post(url, message, within_ms=5_000, most_bytes=100, private=True)
    assert answer.status == 200
    assert asked == ["no-such-host.invalid"]
    (got,) = receiver.received
    assert got.headers["host"] == f"no-such-host.invalid:{receiver.port}"


@pytest.mark.asyncio
async def test_a_name_that_stands_for_nothing(monkeypatch):
    def look_up(*_):
        raise OSError("no such name")

    monkeypatch.setattr(addresses, "_look_up", look_up)
    message = Message("evt_1", b"{}", ("whsec_AAAA",))
    with pytest.raises(PostError) as failed:
        await post(
            "https://nowhere.example/", message, within_ms=5_000, most_bytes=9, private=False
        )
    assert failed.value.reason == "unreachable"


@pytest.mark.asyncio
async def test_a_proxy_of_the_environment_is_not_asked(monkeypatch, receiver):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    message = Message("evt_1", b"{}", ("whsec_AAAA",))
    url = receiver.url + "/ok"
    assert (await post(url, message, within_ms=5_000, most_bytes=9, private=True)).status == 200
