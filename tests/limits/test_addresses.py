"""What stands for a caller's address, and what cannot choose it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls.addresses import address_key, client_address

PROXY = "10.1.2.3"
OTHER_PROXY = "fd00:1::7"


@pytest.fixture(autouse=True)
def proxies(settings):
    settings.CALLS = settings.CALLS | {"TRUSTED_PROXIES": ["10.0.0.0/8", "fd00::/16"]}


def scope(client: str | None, *forwarded: str) -> dict[str, object]:
    headers = [(b"x-forwarded-for", value.encode("latin1", "replace")) for value in forwarded]
    return {"client": None if client is None else [client, 4711], "headers": headers}


def seen(client: str | None, *forwarded: str) -> str:
    return str(client_address(scope(client, *forwarded)))


@pytest.mark.parametrize(
    ("client", "forwarded", "address"),
    [
        ("203.0.113.9", (), "203.0.113.9"),
        ("203.0.113.9", ("198.51.100.1",), "203.0.113.9"),
        (PROXY, (), PROXY),
        (PROXY, ("198.51.100.1",), "198.51.100.1"),
        (PROXY, ("1.1.1.1, 198.51.100.1",), "198.51.100.1"),
        (PROXY, ("1.1.1.1", "198.51.100.1"), "198.51.100.1"),
        (PROXY, ("1.1.1.1, 198.51.100.1, 10.9.9.9",), "198.51.100.1"),
        (PROXY, ("10.5.5.5, 10.9.9.9",), "10.5.5.5"),
        (OTHER_PROXY, ("198.51.100.1",), "198.51.100.1"),
        (f"::ffff:{PROXY}", ("::ffff:198.51.100.1",), "198.51.100.1"),
        (PROXY, ("198.51.100.1:5060",), "198.51.100.1"),
        (PROXY, ("[2001:db8::1]:443",), "2001:db8::1"),
        (PROXY, ('"[2001:db8::1]"',), "2001:db8::1"),
        (PROXY, ("198.51.100.1, unknown",), PROXY),
        (PROXY, ("198.51.100.1, unknown, 10.9.9.9",), "10.9.9.9"),
        (PROXY, (",",), PROXY),
        (PROXY, ("",), PROXY),
        ("no address", ("198.51.100.1",), "None"),
    ],
)
def test_whose_word_counts(client, forwarded, address):
    assert seen(client, *forwarded) == address


def test_without_an_address_there_is_no_key():
    assert address_key(scope(None, "198.51.100.1")) == ""
    assert address_key({"client": ["/run/calls.sock", None], "headers": []}) == ""
    assert address_key({}) == ""


def test_a_key_says_nothing_and_is_always_the_same():
    key = address_key(scope("203.0.113.9"))
    assert len(key) == 32
    assert int(key, 16) >= 0
    assert key == address_key(scope("::ffff:203.0.113.9"))
    assert key != address_key(scope("203.0.113.8"))


def test_another_secret_makes_other_keys(settings):
    before = address_key(scope("203.0.113.9"))
    settings.SECRET_KEY = "another"
    assert address_key(scope("203.0.113.9")) != before


def test_ipv6_counts_by_the_64():
    key = address_key(scope("2001:db8:1:2::1"))
    assert key == address_key(scope("2001:db8:1:2:ffff:ffff:ffff:ffff"))
    assert key != address_key(scope("2001:db8:1:3::1"))


@given(st.lists(st.text(max_size=40), max_size=5), st.text(max_size=40))
def test_nothing_that_is_sent_raises_or_moves_a_stranger(forwarded, client):
    sent = scope(client, *forwarded)
    address_key(sent)
    assert address_key(scope("203.0.113.9", *forwarded)) == address_key(scope("203.0.113.9"))
    assert isinstance(address_key(scope(PROXY, *forwarded)), str)
