"""Where a call comes from, as limits count it: an IPv4 address, or the /64 of an IPv6 one.

A proxy is believed only if the settings name its network; nobody else can choose an address by a
header. What limits keep is a keyed hash: it cannot be turned back into an address.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Any

from django.utils.crypto import salted_hmac

from calls.conf import calls_settings

Scope = Mapping[str, Any]
Address = IPv4Address | IPv6Address

KEY_CHARS = 32
IPV6_PREFIX_BITS = 64
_IPV6_BITS = 128
_SALT = "calls.addresses"
_HEADER = b"x-forwarded-for"


def address_key(scope: Scope) -> str:
    """What stands for the client's address on the record: 32 characters; empty: it has none.

    Never raises, whatever the headers say.
    """
    address = client_address(scope)
    if address is None:
        return ""
    digest = salted_hmac(_SALT, _counted(address), algorithm="sha256").hexdigest()
    return digest[:KEY_CHARS]


def client_address(scope: Scope) -> Address | None:
    """The address of the client, past the proxies that the settings name; None: unknown.

    `X-Forwarded-For` is read from its end, as long as whoever wrote the entry is such a proxy. An
    entry that is no address ends it: the client counts as the proxy that passed it on.
    """
    client = scope.get("client")
    found = _address(str(client[0])) if client else None
    if found is None:
        return None
    trusted = _networks(calls_settings().trusted_proxies)
    for entry in _forwarded(scope):
        if not _within(found, trusted):
            break
        before = _address(entry)
        if before is None:
            break
        found = before
    return found


def _counted(address: Address) -> str:
    """What has a bucket of its own."""
    if isinstance(address, IPv4Address):
        return str(address)
    return f"{int(address) >> (_IPV6_BITS - IPV6_PREFIX_BITS):x}/{IPV6_PREFIX_BITS}"


def _forwarded(scope: Scope) -> Iterator[str]:
    """Entries of all such headers, the last one first."""
    for name, value in reversed(tuple(scope.get("headers", ()))):
        if name.lower() == _HEADER:
            yield from reversed(value.decode("latin1").split(","))


def _address(text: str) -> Address | None:
    """The address in an entry, which may carry a port; one of IPv4 in IPv6's clothes as IPv4."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text)
    except ValueError:
        return None
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped
    return found


def _within(address: Address, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    return any(address in network for network in networks)


@cache
def _networks(named: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(name) for name in named)
