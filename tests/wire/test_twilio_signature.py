"""Who may open a stream where there is a token: only whom Twilio sent."""

import pytest
from django.test import override_settings

from calls.consumers.base import knock_of
from calls.consumers.twilio import TwilioConsumer, signature_of
from calls.wire.base import WireError
from calls.wire.twilio import Twilio

TOKEN = "12345"
ASKED = "wss://calls.example.com/ws/twilio/demo/"


def test_the_signature_is_the_one_of_twilios_description():
    # The example of its page about security: the address, then the fields of the form by name.
    signed = (
        "https://mycompany.com/myapp.php?foo=1&bar=2"
        "CallSidCA1234567890ABCDECaller+14158675309Digits1234From+14158675309To+18005551212"
    )
    assert signature_of(TOKEN, signed) == "RSOYDt4T1cUTdK1PDd93/VVr8B8="


def opened(*, host="calls.example.com", query=b"", signature=None, token=TOKEN):
    headers = [(b"host", host.encode())]
    if signature is not None:
        headers.append((b"x-twilio-signature", signature.encode("latin1")))
    consumer = TwilioConsumer()
    consumer.scope = {"path": "/ws/twilio/demo/", "query_string": query, "headers": headers}
    with override_settings(CALLS={"TWILIO_AUTH_TOKEN": token}):
        return consumer.codec(knock_of(consumer.scope))


@pytest.mark.parametrize(
    "seen",
    [
        {"signature": signature_of(TOKEN, ASKED)},
        {"signature": signature_of(TOKEN, ASKED), "host": "calls.example.com:443"},
        {"signature": signature_of(TOKEN, ASKED.replace(".com", ".com:443"))},
        {"signature": signature_of(TOKEN, ASKED + "?a=1&b=2"), "query": b"a=1&b=2"},
        {"signature": None, "token": ""},
        {"signature": "anything", "token": ""},
    ],
    ids=["signed", "the port in Host", "the port in the address", "a query", "open", "open anyway"],
)
def test_who_is_let_in(seen):
    assert isinstance(opened(**seen), Twilio)


@pytest.mark.parametrize(
    "seen",
    [
        {"signature": None},
        {"signature": ""},
        {"signature": "é"},
        {"signature": signature_of("another", ASKED)},
        {"signature": signature_of(TOKEN, ASKED.replace("wss", "https"))},
        {"signature": signature_of(TOKEN, ASKED), "host": "other.example.com"},
        {"signature": signature_of(TOKEN, ASKED), "host": "calls.example.com:8443"},
        {"signature": signature_of(TOKEN, ASKED), "query": b"a=1"},
    ],
    ids=["none", "empty", "no ASCII", "key", "scheme", "host", "port", "query"],
)
def test_who_is_not(seen):
    with pytest.raises(WireError) as refused:
        opened(**seen)
    assert refused.value.code == "unauthorized"
    assert TOKEN not in str(refused.value)
