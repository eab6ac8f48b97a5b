"""What a use costs: each part once, at the price that fits it best."""

from dataclasses import dataclass
from datetime import date
from fractions import Fraction

import pytest

from calls.models import Conversation, Price
from calls.store.prices import PriceList, Prices, Rate, cost_micros
from calls.store.units import unit_use
from calls.store.writing import units_write
from tests.store.factories import demo_conversation, used

DAY = date(2026, 11, 20)


@dataclass
class Use:
    usage: dict[str, int]
    provider: str = "openai"
    model: str = "gpt"


def rate(figure, micros, *, provider="openai", model="", since=date(2026, 1, 1)):
    return Rate(
        provider=provider, model=model, figure=figure, micros=Fraction(micros), valid_from=since
    )


def cost(usage, *rates, **use):
    return cost_micros(Use(usage, **use), Prices(rates), DAY)


def test_a_figure_costs_its_count_times_its_price():
    assert cost({"characters": 96}, rate("characters", 30)) == 2_880


def test_what_has_no_price_costs_nothing_and_nothing_at_all_is_unknown():
    assert cost({"characters": 96}) is None
    assert cost({}, rate("characters", 30)) is None
    assert cost({"characters": 10, "audio_ms": 5}, rate("characters", 30)) == 300
    assert cost({"characters": 10}, rate("characters", 30, provider="elevenlabs")) is None
    assert cost({"characters": 10}, rate("characters", 0)) == 0


def test_fractions_are_rounded_up_once():
    assert cost({"input_tokens": 3, "output_tokens": 3}, rate("input_tokens", "1/4"),
                rate("output_tokens", "1/4")) == 2  # fmt: skip


@pytest.mark.parametrize(
    ("usage", "figures", "micros"),
    [
        # The total alone: its parts are within it.
        ({"input_tokens": 100, "cached_tokens": 60}, {"input_tokens": 10}, 1_000),
        # A part with a price of its own is not paid twice.
        ({"input_tokens": 100, "cached_tokens": 60}, {"input_tokens": 10, "cached_tokens": 1}, 460),
        ({"output_tokens": 50, "reasoning_tokens": 20}, {"output_tokens": 8}, 400),
        (
            {"output_tokens": 50, "reasoning_tokens": 20},
            {"output_tokens": 8, "reasoning_tokens": 10},
            440,
        ),
        # Sound and caches overlap: 30 cached text, 10 cached sound, 40 other sound, 20 other text.
        (
            {"input_tokens": 100, "cached_tokens": 40, "input_audio_tokens": 50,
             "cached_audio_tokens": 10},
            {"input_tokens": 10, "cached_tokens": 1, "input_audio_tokens": 100,
             "cached_audio_tokens": 2},
            20 * 10 + 30 * 1 + 40 * 100 + 10 * 2,
        ),
        # Without a price of its own, cached sound costs what sound does.
        (
            {"input_tokens": 100, "cached_tokens": 40, "input_audio_tokens": 50,
             "cached_audio_tokens": 10},
            {"input_tokens": 10, "cached_tokens": 1, "input_audio_tokens": 100},
            20 * 10 + 30 * 1 + 50 * 100,
        ),
        ({"output_tokens": 50, "output_audio_tokens": 30},
         {"output_tokens": 8, "output_audio_tokens": 64}, 20 * 8 + 30 * 64),
        # A part that is told without its total.
        ({"input_audio_tokens": 5}, {"input_tokens": 10, "input_audio_tokens": 100}, 500),
        # What is charged goes before what was sent, if it has a price.
        ({"characters": 90, "character_cost": 45}, {"characters": 2}, 180),
        ({"characters": 90, "character_cost": 45}, {"characters": 2, "character_cost": 3}, 135),
        ({"audio_ms": 900, "billed_ms": 1_000}, {"audio_ms": 1, "billed_ms": 1}, 1_000),
    ],
)  # fmt: skip
def test_parts_of_a_total_are_paid_once(usage, figures, micros):
    assert cost(usage, *(rate(name, price) for name, price in figures.items())) == micros


def test_the_price_of_the_model_goes_before_that_of_any_model():
    both = rate("characters", 30), rate("characters", 10, model="gpt")
    assert cost({"characters": 1}, *both) == 10
    assert cost({"characters": 1}, *both, model="other") == 30


def test_the_latest_price_that_is_valid_on_the_day_counts():
    prices = [
        rate("characters", 1, since=date(2026, 1, 1)),
        rate("characters", 2, since=DAY),
        rate("characters", 3, since=date(2026, 11, 21)),
    ]
    assert cost({"characters": 1}, *prices) == 2
    later = rate("characters", 9, model="gpt", since=date(2027, 1, 1))
    assert cost({"characters": 1}, *prices, later) == 2, "a model's price that is not valid yet"


@pytest.mark.django_db(transaction=True)
class TestRows:
    def test_a_snapshot_changes_only_when_it_is_read_anew(self):
        listed = PriceList()
        assert cost_micros(Use({"characters": 1}), listed.prices, DAY) is None
        Price.objects.create(
            provider="openai", figure="characters", amount="15", per=1_000_000, valid_from=DAY
        )
        assert cost_micros(Use({"characters": 2}), listed.ensure(), DAY) == 30
        Price.objects.update(amount="30")
        assert cost_micros(Use({"characters": 2}), listed.ensure(), DAY) == 30
        listed.refresh()
        assert cost_micros(Use({"characters": 2}), listed.prices, DAY) == 60

    def test_the_conversation_costs_what_its_uses_cost_however_often_they_are_written(self):
        row = demo_conversation(uses=(), sound=False)
        uses = [used(n, "llm", "openai", cost_micros=cost) for n, cost in ((1, 40), (2, None))]
        for _ in range(2):
            assert units_write([unit_use(row.pk, use) for use in uses]) == []
        assert Conversation.objects.get().cost_micros == 40
        assert units_write([unit_use(row.pk, used(3, "tts", "openai", cost_micros=7))]) == []
        row = Conversation.objects.get()
        assert row.cost_micros == 47
        assert [use.cost_micros for use in row.uses.all()] == [40, None, 7]
