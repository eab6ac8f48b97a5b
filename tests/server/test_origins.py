"""Who may open a WebSocket."""

import pytest

from calls.conf import calls_settings
from calls.origins import allowed_origin

HOST = ("host", "127.0.0.1:8000")

HANDSHAKES = [
    # id                            headers                                                allowed
    ("our own page",                [HOST, ("origin", "http://127.0.0.1:8000")],           True),
    ("our own page by its name",    [("host", "localhost:8000"), ("origin", "http://localhost:8000")], True),
    ("our own page by IPv6",        [("host", "[::1]:8000"), ("origin", "http://[::1]:8000")], True),
    ("in other letters",            [("host", "LOCALHOST"), ("origin", "http://localhost")], True),
    ("the port left out",           [("host", "localhost:80"), ("origin", "http://localhost")], True),
    ("another port",                [HOST, ("origin", "http://127.0.0.1:8001")],           False),
    ("the other scheme",            [HOST, ("origin", "https://127.0.0.1:8000")],          False),
    ("no scheme of the web",        [HOST, ("origin", "ftp://127.0.0.1:8000")],            False),
    ("an extension",                [HOST, ("origin", "chrome-extension://127.0.0.1:8000")], False),
    ("another name for us",         [HOST, ("origin", "http://localhost:8000")],           False),
    ("another site",                [HOST, ("origin", "http://example.com")],              False),
    ("another site that ends so",   [HOST, ("origin", "http://x127.0.0.1:8000")],          False),
    ("a user in front",             [HOST, ("origin", "http://x@127.0.0.1:8000")],         False),
    ("a sandboxed frame",           [HOST, ("origin", "null")],                            False),
    ("a file",                      [HOST, ("origin", "file://")],                         False),
    ("an empty origin",             [HOST, ("origin", "")],                                False),
    ("no number as port",           [HOST, ("origin", "http://127.0.0.1:8000x")],          False),
    ("two origins",                 [HOST, ("origin", "http://127.0.0.1:8000"), ("origin", "http://example.com")], False),
    ("a name pointed at us",        [("host", "example.com"), ("origin", "http://example.com")], False),
    ("no host",                     [("origin", "http://127.0.0.1:8000")],                 False),
    ("two hosts",                   [HOST, HOST, ("origin", "http://127.0.0.1:8000")],     False),
    ("an allowed site",             [HOST, ("origin", "https://partner.example")],         True),
    ("an allowed site, other port", [HOST, ("origin", "https://partner.example:444")],     False),
    ("an allowed site, plain",      [HOST, ("origin", "http://partner.example")],          False),
]  # fmt: skip


def handshake(headers):
    return {"headers": [(name.encode(), value.encode("latin1")) for name, value in headers]}


@pytest.fixture(autouse=True)
def local(settings):
    settings.ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]"]
    settings.SECURE_SSL_REDIRECT = False
    settings.SECURE_PROXY_SSL_HEADER = None
    settings.CALLS = settings.CALLS | {"ALLOWED_ORIGINS": ["https://partner.example"]}


@pytest.mark.parametrize(
    ("headers", "allowed"), [pytest.param(*row[1:], id=row[0]) for row in HANDSHAKES]
)
def test_origin(headers, allowed):
    assert allowed_origin(handshake(headers)) is allowed


@pytest.mark.parametrize("allowed", [True, False])
def test_a_program_without_an_origin_is_a_matter_of_the_settings(settings, allowed):
    settings.CALLS = settings.CALLS | {"ALLOW_MISSING_ORIGIN": allowed}
    assert calls_settings().allow_missing_origin is allowed
    assert allowed_origin(handshake([HOST])) is allowed


PUBLIC = [("host", "voice.example"), ("origin", "https://voice.example")]
BY_TLS = ("x-forwarded-proto", "https")


def test_where_plain_http_is_redirected_our_pages_are_https(settings):
    settings.ALLOWED_HOSTS = ["voice.example"]
    settings.SECURE_SSL_REDIRECT = True
    assert allowed_origin(handshake(PUBLIC))


@pytest.mark.parametrize(
    ("trusted", "allowed"),
    [pytest.param(True, True, id="a proxy"), pytest.param(False, False, id="anybody")],
)
def test_only_a_trusted_proxy_can_say_that_the_page_came_by_tls(settings, trusted, allowed):
    settings.ALLOWED_HOSTS = ["voice.example"]
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if trusted else None
    assert allowed_origin(handshake([*PUBLIC, BY_TLS])) is allowed
