"""What ElevenLabs says of its failures, in the one error that providers raise."""

import json

import httpx
import pytest
from elevenlabs.core.api_error import ApiError
from elevenlabs.core.parse_error import ParsingError
from elevenlabs.errors.unprocessable_entity_error import UnprocessableEntityError

from calls.domain.events import Stage
from calls.ports.errors import FATAL_FAULTS, ProviderFault
from calls.providers.elevenlabs.address import ElevenLabs
from calls.providers.elevenlabs.client import CAUGHT, provider_error
from calls.providers.elevenlabs.faults import event_error, fault, refusal, socket_error
from calls.providers.elevenlabs.request import FASTEST, SLOWEST, Timbre, language_code
from calls.sockets import SocketError, SocketGarbageError, SocketTimeoutError
from tests.doubles.providers.elevenlabs_tts import error_body

REQUEST = httpx.Request("POST", "http://127.0.0.1")


def api_error(status, body=None, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ApiError(status_code=status, headers=named, body=body)


RAISED = [
    # id                           exception                                                          kind
    ("a wrong key", api_error(401, error_body("invalid_api_key")), ProviderFault.AUTH),
    ("a key by another status", api_error(400, error_body("invalid_api_key")), ProviderFault.AUTH),
    ("no credit, 401", api_error(401, error_body("quota_exceeded")), ProviderFault.QUOTA),
    ("no credit, 400", api_error(400, error_body("quota_exceeded")), ProviderFault.QUOTA),
    ("no credit, 429", api_error(429, error_body("quota_exceeded")), ProviderFault.QUOTA),
    ("by its old name", api_error(401, {"detail": {"status": "quota_exceeded"}}), ProviderFault.QUOTA),
    ("a text for detail", api_error(401, {"detail": "quota_exceeded"}), ProviderFault.QUOTA),
    ("to be paid", api_error(402), ProviderFault.QUOTA),
    ("no such voice", api_error(400, error_body("voice_not_found")), ProviderFault.NOT_FOUND),
    ("no such model", api_error(400, error_body("model_not_found")), ProviderFault.NOT_FOUND),
    ("no such address", api_error(404, {"detail": "Not Found"}), ProviderFault.NOT_FOUND),
    ("too long", api_error(400, error_body("max_character_limit_exceeded")), ProviderFault.REFUSED),
    ("an unknown code", api_error(400, error_body("something_new")), ProviderFault.REFUSED),
    ("wrong fields", UnprocessableEntityError([{"loc": [], "msg": "x"}]), ProviderFault.REFUSED),
    ("too many", api_error(429, error_body("too_many_concurrent_requests")), ProviderFault.BUSY),
    ("overloaded", api_error(503, error_body("system_busy")), ProviderFault.BUSY),
    ("overloaded, 500", api_error(500, error_body("system_busy")), ProviderFault.BUSY),
    ("no code, 429", api_error(429, "slow down"), ProviderFault.BUSY),
    ("no code, 503", api_error(503, None), ProviderFault.BUSY),
    ("a failure", api_error(500, error_body("internal_server_error")), ProviderFault.UNAVAILABLE),
    ("a proxy's page", api_error(502, "<html>Bad Gateway</html>"), ProviderFault.UNAVAILABLE),
    ("a redirection", api_error(307), ProviderFault.UNAVAILABLE),
    ("a proxy's patience", api_error(504), ProviderFault.TIMEOUT),
    ("silence", httpx.ReadTimeout("", request=REQUEST), ProviderFault.TIMEOUT),
    ("no connection in time", httpx.ConnectTimeout("", request=REQUEST), ProviderFault.TIMEOUT),
    ("all connections in use", httpx.PoolTimeout("", request=REQUEST), ProviderFault.TIMEOUT),
    ("nobody there", httpx.ConnectError("", request=REQUEST), ProviderFault.UNAVAILABLE),
    ("cut", httpx.RemoteProtocolError("", request=REQUEST), ProviderFault.UNAVAILABLE),
    ("no JSON", json.JSONDecodeError("", "", 0), ProviderFault.INVALID),
    ("another shape", ParsingError(status_code=200), ProviderFault.INVALID),
]  # fmt: skip


@pytest.mark.parametrize(("raised", "kind"), [pytest.param(*row[1:], id=row[0]) for row in RAISED])
def test_what_requests_raise(raised, kind):
    error = provider_error(raised, stage=Stage.STT, request_id="known")

    assert isinstance(raised, CAUGHT)
    assert error.kind is kind
    assert (error.provider, error.stage) == ("elevenlabs", Stage.STT)
    assert error.retryable is (kind not in FATAL_FAULTS)
    assert error.request_id
    assert "words" not in error.message
    assert error.message.endswith(".")


def test_the_request_is_named_by_the_header_then_the_body_then_by_what_was_known():
    body = error_body("system_busy", 503)

    def named(raised):
        return provider_error(raised, stage=Stage.TTS, request_id="known").request_id

    assert named(api_error(503, body, request_id="header")) == "header"
    assert named(api_error(503, body)) == "request-of-503"
    assert named(api_error(503, {"detail": {"request_id": 7}})) == "known"
    assert named(httpx.ReadTimeout("", request=REQUEST)) == "known"


@pytest.mark.parametrize(
    ("said", "ms"),
    [("1", 1_000), ("0.25", 250), ("90", 90_000), ("-3", 0)]
    + [(odd, None) for odd in ("soon", "", "nan", "inf", "Sat, 21 Nov 2026 14:00:00 GMT")],
)
def test_when_to_try_again(said, ms):
    error = provider_error(api_error(429, retry_after=said), stage=Stage.TTS)

    assert error.retry_after_ms == ms


@pytest.mark.parametrize(
    "body",
    [None, b"", "", "{", b"\xff", "[" * 100_000, [], 7, {"detail": None}, {"detail": {"code": []}}],
)
def test_a_body_that_says_nothing_leaves_it_to_the_status(body):
    assert refusal(401, {}, body, stage=Stage.TTS).kind is ProviderFault.AUTH
    assert refusal(500, {}, body, stage=Stage.TTS).kind is ProviderFault.UNAVAILABLE


def closed(code, reason=""):
    return SocketError("", code=code, reason=reason)


SOCKETS = [
    (SocketTimeoutError(""), ProviderFault.TIMEOUT),
    (SocketGarbageError("", code=1007), ProviderFault.INVALID),
    (SocketError("", status=401, body=json.dumps(error_body("quota_exceeded")).encode()), ProviderFault.QUOTA),
    (SocketError("", status=401), ProviderFault.AUTH),
    (SocketError("", status=403), ProviderFault.AUTH),
    (SocketError("", status=429, headers={"retry-after": "1"}), ProviderFault.BUSY),
    (SocketError("", status=500), ProviderFault.UNAVAILABLE),
    (closed(1000), ProviderFault.UNAVAILABLE),
    (closed(1001, "going away"), ProviderFault.UNAVAILABLE),
    (closed(1006), ProviderFault.UNAVAILABLE),
    (closed(1011, "oops"), ProviderFault.UNAVAILABLE),
    (closed(1013, "try again later"), ProviderFault.BUSY),
    (closed(1007, "not UTF-8"), ProviderFault.REFUSED),
    (closed(1009, "too big"), ProviderFault.REFUSED),
    (closed(1008, "Their own words."), ProviderFault.REFUSED),
    (closed(1008), ProviderFault.UNAVAILABLE),
    (closed(1008, "invalid_api_key"), ProviderFault.AUTH),
    (closed(1008, "quota_exceeded: none left"), ProviderFault.QUOTA),
    (closed(1008, "input_timeout_exceeded"), ProviderFault.UNAVAILABLE),
    (closed(1008, "max_active_conversations"), ProviderFault.BUSY),
    (closed(1000, "quota_exceeded"), ProviderFault.QUOTA),
]  # fmt: skip


@pytest.mark.parametrize(("lost", "kind"), SOCKETS)
def test_what_sockets_end_with(lost, kind):
    error = socket_error(lost, stage=Stage.TTS)

    assert error.kind is kind
    assert error.retryable is (kind not in FATAL_FAULTS)


def test_a_refused_handshake_says_when_to_try_again():
    lost = SocketError("", status=429, headers={"retry-after": "2", "request-id": "one"})
    error = socket_error(lost, stage=Stage.TTS)

    assert (error.retry_after_ms, error.request_id) == (2_000, "one")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("auth_error", ProviderFault.AUTH),
        ("quota_exceeded", ProviderFault.QUOTA),
        ("rate_limited", ProviderFault.BUSY),
        ("input_error", ProviderFault.REFUSED),
        ("transcriber_error", ProviderFault.UNAVAILABLE),
        ("error", ProviderFault.UNAVAILABLE),
        (None, ProviderFault.UNAVAILABLE),
        ({"no": "text"}, ProviderFault.UNAVAILABLE),
    ],
)
def test_errors_that_come_as_messages(code, kind):
    error = event_error(code, stage=Stage.STT, request_id="one")

    assert (error.kind, error.stage, error.request_id) == (kind, Stage.STT, "one")


def test_every_kind_that_is_used_has_a_sentence():
    unused = {ProviderFault.CRASHED}
    for kind in set(ProviderFault) - unused:
        assert fault(kind, stage=Stage.TTS).message.endswith(".")


def test_an_address_shows_no_key_and_makes_urls_of_sockets():
    address = ElevenLabs("secret", "https://api.eu.residency.elevenlabs.io/")

    assert "secret" not in repr(address)
    assert address.headers == {"xi-api-key": "secret"}
    assert (
        address.ws_url("/v1/x", {"auto_mode": True, "language_code": "", "n": 3, "a b": "ä"})
        == "wss://api.eu.residency.elevenlabs.io/v1/x?auto_mode=true&n=3&a+b=%C3%A4"
    )
    assert ElevenLabs("", "http://127.0.0.1:1").ws_url("/v1/x") == "ws://127.0.0.1:1/v1/x"


@pytest.mark.parametrize(
    ("model", "language", "code"),
    [
        ("eleven_flash_v2_5", "en-GB", "en"),
        ("eleven_turbo_v2_5", "DE", "de"),
        ("eleven_v3", "fr", "fr"),
        ("eleven_v4_turbo", "nb-NO", "no"),
        ("eleven_flash_v2_5", "tl", "fil"),
        ("eleven_flash_v2_5", "und", ""),
        ("eleven_flash_v2_5", "", ""),
        ("eleven_multilingual_v2", "en", ""),
        ("eleven_flash_v2", "en", ""),
    ],
)
def test_how_a_model_is_told_the_language(model, language, code):
    assert language_code(model, language) == code


def test_settings_are_those_that_were_wanted():
    assert Timbre().settings(1.0) == {}
    assert Timbre().settings(1.1) == {"speed": 1.1}
    assert Timbre(style=0.0).settings(9) == {"style": 0.0, "speed": FASTEST}
    assert Timbre().settings(0) == {"speed": SLOWEST}
