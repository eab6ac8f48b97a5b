"""Where a message may go: to no address that only this machine or its network reaches.

A name is looked up once, what it stands for is checked, and the connection is made to just that:
a name that means something else a moment later gains nothing.
"""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

LONGEST_URL = 500
_LOOKUPS = 4
_CARRIES_IPV4 = ip_network("64:ff9b::/96")
"""NAT64: the last four bytes are an IPv4 address."""


class ForbiddenAddressError(Exception):
    """Nothing is sent there; the text says why, and names no address."""


def url_check(url: str, *, private: bool) -> None:
    """Check an address as somebody writes it down; names are looked up when something is sent.

    Args:
        private: whether plain http, and addresses of this network, will do.

    Raises:
        ForbiddenAddressError: nothing would be sent there.
    """
    host, _ = _parts(url, private=private)
    try:
        address = ip_address(host)
    except ValueError:
        return
    if not private and forbidden(address):
        raise ForbiddenAddressError("The address is not a public one.")


async def places(url: str, *, private: bool) -> tuple[str, ...]:
    """The IP addresses that the URL's host stands for, all of them checked.

    Raises:
        ForbiddenAddressError: one of them is not for us, or the URL is not.
        OSError: the name stands for nothing.
    """
    host, port = _parts(url, private=private)
    loop = asyncio.get_running_loop()
    found = await loop.run_in_executor(_threads(), _look_up, host, port)
    if not private and any(forbidden(ip_address(address)) for address in found):
        raise ForbiddenAddressError("The name stands for an address that is not a public one.")
    return found


def forbidden(address: IPv4Address | IPv6Address) -> bool:
    """Whether it is anything but one machine of the public Internet."""
    if isinstance(address, IPv6Address) and (inner := _inner(address)) is not None:
        return forbidden(inner)
    return not address.is_global or address.is_multicast or address.is_reserved


def _inner(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 one leads to."""
    if address in _CARRIES_IPV4:
        return IPv4Address(address.packed[-4:])
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)


def _parts(url: str, *, private: bool) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ForbiddenAddressError("That is no address.") from None
    schemes = ("https", "http") if private else ("https",)
    if parts.scheme not in schemes:
        raise ForbiddenAddressError("The address has to begin with https://.")
    plain = url.isprintable() and " " not in url and "\\" not in url
    if not host or not plain or len(url) > LONGEST_URL or "@" in parts.netloc:
        raise ForbiddenAddressError("That is no address, or one with a password in it.")
    return host, port or (443 if parts.scheme == "https" else 80)


def _look_up(host: str, port: int) -> tuple[str, ...]:
    """Blocks, for as long as the system's resolver likes."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise OSError("no such name") from None
    return tuple(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))


@cache
def _threads() -> ThreadPoolExecutor:
    """Its own, so that a resolver that hangs holds up nobody else."""
    return ThreadPoolExecutor(_LOOKUPS, thread_name_prefix="calls-names")
