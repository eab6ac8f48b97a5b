"""By what the admin's login counts failures: the caller's own address, past trusted proxies."""

from ipaddress import IPv6Network

from django.http import HttpRequest

from calls.addresses import IPV6_PREFIX_BITS, Address, client_address

_UNKNOWN = "0.0.0.0"  # noqa: S104 - nothing listens there


def client_ip(request: HttpRequest) -> str:
    """The address that login failures count for: IPv4, or the first of the /64 of an IPv6 one."""
    address = client_address(_scope(request))
    return _UNKNOWN if address is None else _counted(address)


def _counted(address: Address) -> str:
    if address.version == 4:
        return str(address)
    return str(IPv6Network((int(address), IPV6_PREFIX_BITS), strict=False).network_address)


def _scope(request: HttpRequest) -> dict[str, object]:
    """The connection as ASGI describes it, by whichever server the request came."""
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "")
    return {
        "client": (request.META.get("REMOTE_ADDR", ""), 0),
        "headers": [(b"x-forwarded-for", forwarded.encode("latin1", "replace"))],
    }
