"""`docs/webhooks.md`: its example tells true messages from others, and its tables are whole."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from calls.models import WebhookEvent
from calls.providers.webhooks.posting import Message, post
from calls.providers.webhooks.tools import EVENT, RESULT_BYTES
from calls.store.webhooks import PAUSES_S
from calls.wiring.webhooks import ANSWER_BYTES, MOST_PER_WEBHOOK, WITHIN_MS
from tests.doubles.receiver import Received

PAGE = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def is_genuine(*args, **kwargs) -> bool:
    """As the page has it."""
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict = {}
    exec(example, names)
    return names["is_genuine"](*args, **kwargs)


async def sent(receiver, *secrets: str) -> Received:
    message = Message("evt_1", b'{"type": "call.ended"}', secrets)
    await post(receiver.url + "/ok", message, within_ms=5_000, most_bytes=100, private=True)
    return receiver.received[-1]


@pytest.mark.asyncio
async def test_the_example_tells_true_from_false(receiver):
    got = await sent(receiver, SECRET)
    assert is_genuine(got.headers, got.body, SECRET)
    assert not is_genuine(got.headers, got.body + b" ", SECRET)
    assert not is_genuine(got.headers, got.body, "whsec_" + "A" * 32)
    for name, value in (
        ("webhook-id", "evt_2"),
        ("webhook-timestamp", str(int(got.headers["webhook-timestamp"]) - 1)),
        ("webhook-timestamp", str(int(got.headers["webhook-timestamp"]) - 301)),
        ("webhook-signature", got.headers["webhook-signature"].replace("v1,", "v2,")),
        ("webhook-signature", ""),
    ):
        changed = replace(got, headers=got.headers | {name: value})
        assert not is_genuine(changed.headers, changed.body, SECRET), (name, value)


@pytest.mark.asyncio
async def test_the_example_takes_one_of_several_signatures(receiver):
    got = await sent(receiver, "whsec_" + "A" * 32, SECRET)
    assert is_genuine(got.headers, got.body, SECRET)
    assert is_genuine(got.headers, got.body, "whsec_" + "A" * 32)


def test_a_signature_as_standard_webhooks_publishes_one():
    """The test vector of the specification's own libraries."""
    body = b'{"test": 2432232314}'
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    assert is_genuine(headers, body, SECRET, tolerance_s=10**10)


def test_the_page_names_every_event():
    named = set(re.findall(r"^\| `([a-z.]+)` \|", PAGE, re.MULTILINE))
    assert named == {*WebhookEvent.values, EVENT}


def test_the_page_says_the_figures():
    assert PAUSES_S == (10, 60, 300, 1_800)
    assert "tried again after 10 s, 1 min, 5 min and 30 min: five attempts" in PAGE
    assert WITHIN_MS == 15_000
    assert "no answer within 15 s" in PAGE
    assert (MOST_PER_WEBHOOK, ANSWER_BYTES, RESULT_BYTES) == (2, 4_096, 16_384)
    assert "At most two messages" in PAGE
    assert "first 4096 bytes" in PAGE
    assert "at most 16384 bytes" in PAGE
