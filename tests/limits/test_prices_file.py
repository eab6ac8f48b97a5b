"""Prices from a file: all or none, and twice is the same as once."""

import json
from datetime import date
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from calls.models import Conversation, Price
from tests.store.factories import demo_conversation, used

pytestmark = pytest.mark.django_db

ENTRY = {"provider": "openai", "figure": "input_tokens", "amount": "1.25",
         "valid_from": "2026-11-01"}  # fmt: skip
TABLE = """provider,model,figure,amount,per,valid_from
elevenlabs,,characters,0.3,1000,2026-11-01
openai,gpt-5.4-mini,output_tokens,10,,2026-11-01
"""


def prices(*words: str) -> str:
    out = StringIO()
    call_command("prices", *words, stdout=out)
    return out.getvalue()


def test_json_and_csv_twice_are_the_same_as_once(tmp_path):
    listed, table = tmp_path / "prices.json", tmp_path / "prices.csv"
    listed.write_text(json.dumps([ENTRY]))
    table.write_bytes(b"\xef\xbb\xbf" + TABLE.encode())
    for _ in range(2):
        assert "1 prices" in prices("--load", str(listed))
        assert "2 prices" in prices("--load", str(table))
    rows = {(row.provider, row.model, row.figure): row for row in Price.objects.all()}
    assert len(rows) == Price.objects.count() == 3
    assert rows["openai", "", "input_tokens"].amount == Decimal("1.25")
    assert rows["openai", "", "input_tokens"].per == 1_000_000
    assert rows["elevenlabs", "", "characters"].per == 1_000
    assert rows["openai", "gpt-5.4-mini", "output_tokens"].valid_from == date(2026, 11, 1)
    assert "0.3 USD per 1,000" in prices()
    listed.write_text(json.dumps([ENTRY | {"amount": 2}, ENTRY | {"valid_from": "2027-01-01"}]))
    prices("--load", str(listed))
    assert [row.amount for row in Price.objects.filter(figure="input_tokens")] == [
        Decimal("1.25"),
        Decimal(2),
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": "much"}, {"amount": "-1"}, {"amount": "NaN"}, {"per": 0}, {"per": "some"},
        {"valid_from": "soon"}, {"provider": ""}, {"figure": ""}, {"colour": "red"},
        {"provider": "x" * 50}, {"amount": None},
    ],
)  # fmt: skip
def test_one_entry_that_is_wrong_and_nothing_is_loaded(tmp_path, wrong):
    file = tmp_path / "prices.json"
    file.write_text(json.dumps([ENTRY, ENTRY | wrong]))
    with pytest.raises(CommandError, match="Price 2"):
        prices("--load", str(file))
    assert Price.objects.count() == 0


@pytest.mark.parametrize("content", [b"\xff\xfe", b"{}", b"[1]", b"[" * 100_000, b'["'])
def test_what_is_no_list_of_prices(tmp_path, content):
    file = tmp_path / "prices"
    file.write_bytes(content)
    with pytest.raises(CommandError, match="Nothing was loaded"):
        prices("--load", str(file))
    with pytest.raises(CommandError, match="cannot be read"):
        prices("--load", str(tmp_path / "nowhere"))


def test_without_prices_the_list_says_what_that_means():
    assert "nothing that is used costs anything" in prices()


@pytest.mark.django_db(transaction=True)
def test_staff_see_prices_and_what_calls_cost(admin_client):
    Price.objects.create(
        provider="openai", figure="input_tokens", amount="1.25", valid_from=date(2026, 11, 1)
    )
    page = admin_client.get(reverse("admin:calls_price_changelist")).content.decode()
    assert "1.25 USD per 1,000,000" in page
    uses = [used(1, "llm", "openai", cost_micros=1_234_501), used(2, "stt", "elevenlabs")]
    row = demo_conversation(uses=uses, sound=False)
    assert Conversation.objects.get().cost_micros == 1_234_501
    listed = admin_client.get(reverse("admin:calls_conversation_changelist")).content.decode()
    assert "1.2346 USD" in listed
    review = admin_client.get(
        reverse("admin:calls_conversation_change", args=[row.pk])
    ).content.decode()
    assert review.count("1.2346 USD") == 3, "the use, its provider, and all of it"
