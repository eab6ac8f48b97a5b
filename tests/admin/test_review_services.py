"""A reviewer sees what services did: who was asked, what came of it, and what it took."""

from dataclasses import replace

import pytest

from calls.domain.events import Stage
from calls.models import Conversation, ServiceUse, Summary
from calls.models.services import ServiceUse as UseRow
from calls.ports.errors import ProviderFault
from calls.ports.usage import CANCELLED, OK
from calls.store.extracted import DEEPEST_SHOWN, MISSING, WAITING, value_of
from calls.store.reviews import review
from calls.store.services import OUTCOME_WORDS, SERVICE_LABELS, services_by_turn
from calls.store.wording import usage_words
from tests.admin.test_review_page import Page, page_of
from tests.store.factories import ITEMS, TURNS, USES, demo_conversation, used

pytestmark = pytest.mark.django_db


def text_of(client, call: Conversation) -> str:
    return " ".join(" ".join(Page(page_of(client, call)).text).split())


def told(*uses, **settings) -> tuple:
    """The troubles of one turn, and its tag."""
    rows = [UseRow(**{name: getattr(use, name) for name in use.__slots__}) for use in uses]
    (turn,) = services_by_turn(rows, settings).values()
    return turn.troubles, turn.tag


class TestPage:
    def test_it_tells_of_each_request(self, boss, call):
        text = text_of(boss, call)
        for told in (
            "Services 4 requests, 1 failed",
            "Speech to text took too long elevenlabs scribe_v2_realtime Began 0:07 Took 1.50 s"
            " Request req_7f3a9c20d1e84b55",
            "Speech to text ok openai gpt-transcribe Began 0:07 First part after 180 ms"
            " Took 420 ms Used 2.4 s of sound",
            "Language model stopped openai gpt-5.4-mini",
            "Used 412 + 38 tokens estimated",
            "Used 1,480 + 52 tokens, 1,280 cached",
            "Used 96 characters, 6.6 s spoken",
        ):
            assert told in text

    def test_trouble_shows_at_a_glance(self, boss, call):
        page = Page(page_of(boss, call))
        text = " ".join(" ".join(page.text).split())
        assert "Services 2 requests failed, 1 fallback" in text
        assert "Speech to text: elevenlabs failed (took too long), openai took over." in text
        assert "Language model: openai failed (too busy), then it worked." in text
        assert text.count("fallback Of course.") == 1
        assert text.count("service failed We are at 12 Mill Lane") == 1
        unfolded = [a for tag, a in page.tags if tag == "details" and a.get("class") == "services"]
        assert ["open" in attrs for attrs in unfolded] == [True, False, True]

    def test_a_calm_call_is_not_said_to_be_troubled(self, boss):
        calm = [replace(use, outcome="ok") for use in USES[1:3]]
        text = text_of(boss, demo_conversation(uses=calm, sound=False))
        assert "Services 2 requests" in text
        assert "failed" not in text.replace("Turn by turn", "")
        assert "fallback" not in text.split("Settings it began with")[0]

    def test_totals_are_added_up_by_provider(self, call):
        elevenlabs, openai = review(call).totals
        assert (elevenlabs.provider, elevenlabs.requests, elevenlabs.failed) == (
            "elevenlabs", "3 requests", 1,
        )  # fmt: skip
        assert elevenlabs.models == "scribe_v2_realtime, eleven_flash_v2_5"
        assert elevenlabs.usage == "96 characters, 1.1 s of sound, 6.6 s spoken"
        assert not elevenlabs.estimated
        assert openai.usage == "3,422 + 134 tokens, 1,280 cached, 2.4 s of sound"
        assert openai.estimated

    def test_a_turn_without_timings_is_told_as_well(self, boss):
        uses = [used(1, "tts", "embedded", turn=0), used(2, "stt", "openai", 9, outcome="auth")]
        call = demo_conversation(items=ITEMS[:1], turns=(), uses=uses, sound=False)
        assert [entry.number for entry in review(call).rounds] == [0, 9]
        text = text_of(boss, call)
        assert "Turn 0 nothing measured Services 1 request" in text
        assert "Speech to text: openai failed (key not accepted)." in text

    def test_an_error_is_told_where_nothing_was_measured(self, boss):
        turn = replace(TURNS[0], error="The speech service did not answer.")
        turn = replace(turn, timings=replace(turn.timings, speech_stopped_ms=None))
        call = demo_conversation(turns=[turn], uses=(), sound=False)
        assert "The speech service did not answer." in text_of(boss, call)

    def test_a_call_without_services_has_none(self, boss):
        text = text_of(boss, demo_conversation(uses=(), sound=False))
        assert "Services" not in text
        assert "services did" not in text

    def test_a_stored_usage_of_any_form_is_no_error(self, boss, call):
        ServiceUse.objects.filter(number=1).update(usage=["?"])
        ServiceUse.objects.filter(number=2).update(usage={"audio_ms": "much", "x": True})
        ServiceUse.objects.filter(number=3).update(stage="new", outcome="new")
        assert "new new openai gpt-5.4-mini" in text_of(boss, call)


def test_every_stage_and_outcome_has_words():
    assert set(SERVICE_LABELS) == set(Stage)
    assert set(OUTCOME_WORDS) == {OK, CANCELLED, *ProviderFault}


class TestTroubles:
    FAILED = used(1, "llm", "openai", outcome="unavailable")

    def test_all_failed(self):
        other = used(2, "llm", "compatible", outcome="timeout")
        assert told(self.FAILED, other) == (
            ("Language model: openai failed (not reachable), compatible failed (took too long).",),
            "service failed",
        )

    def test_two_failed_and_a_third_took_over(self):
        uses = (self.FAILED, used(2, "llm", "b", outcome="busy"), used(3, "llm", "c"))
        troubles, tag = told(*uses)
        assert troubles[0].endswith("b failed (too busy), c took over.")
        assert tag == "fallback"

    def test_what_a_stopped_successor_did_counts(self):
        assert told(self.FAILED, used(2, "llm", "b", outcome="cancelled"))[1] == "fallback"

    @pytest.mark.parametrize(
        ("outcomes", "end"),
        [
            (("busy", "ok"), ", then it worked."),
            (("busy", "cancelled"), "failed (too busy)."),
            (("ok", "busy"), "failed (too busy)."),
            (("busy", "ok", "busy"), "failed (too busy)."),
            (("busy", "cancelled", "ok"), ", then it worked."),
        ],
    )
    def test_whether_the_same_provider_worked_afterwards(self, outcomes, end):
        uses = [used(n, "tts", "a", outcome=outcome) for n, outcome in enumerate(outcomes, 1)]
        (trouble,), tag = told(*uses)
        assert trouble.endswith(end)
        assert tag == "service failed"

    def test_stages_are_told_apart(self):
        troubles, tag = told(self.FAILED, used(2, "stt", "other"))
        assert (len(troubles), tag) == (1, "service failed")

    def test_a_provider_that_was_not_even_asked(self):
        agent = {"llm_provider": "openai", "llm_fallbacks": ["compatible"]}
        uses = (used(1, "llm", "compatible"),)
        assert told(*uses, **agent) == (
            ("Language model: compatible stood in for openai.",),
            "fallback",
        )
        assert told(*uses, **agent | {"llm_provider": "compatible"}) == ((), "")
        assert told(*uses, **agent | {"llm_provider": "auto"}) == ((), "")
        assert told(*uses, **agent | {"llm_fallbacks": "compatible"}) == ((), "")
        assert told(*uses, used(2, "llm", "openai"), **agent) == ((), "")

    def test_requests_are_told_in_the_order_in_which_they_began(self):
        uses = [used(1, "tts", "a", began_ms=9_000), used(2, "llm", "b", began_ms=8_000)]
        call = demo_conversation("order", uses=uses, sound=False)
        services = next(entry.services for entry in review(call).rounds if entry.services)
        assert [use.row.provider for use in services.uses] == ["b", "a"]


@pytest.mark.parametrize(
    ("usage", "words"),
    [
        ({}, ""),
        ({"input_tokens": 412, "output_tokens": 38}, "412 + 38 tokens"),
        ({"output_tokens": 38, "input_tokens": 1_412, "cached_tokens": 120},
         "1,412 + 38 tokens, 120 cached"),
        ({"input_tokens": 9, "output_tokens": 8, "reasoning_tokens": 7},
         "9 + 8 tokens, 7 for thinking"),
        ({"input_tokens": 9, "cached_tokens": 0}, "9 tokens"),
        ({"input_audio_tokens": 5, "cached_audio_tokens": 4, "output_audio_tokens": 3},
         "5 of sound in, 4 of sound cached, 3 of sound out"),
        ({"characters": 1}, "1 character"),
        ({"characters": 96, "character_cost": 48}, "96 characters, 48 charged characters"),
        ({"audio_ms": 2_440, "spoken_ms": 60_000}, "2.4 s of sound, 60.0 s spoken"),
        ({"web__searches": 2}, "2 web searches"),
    ],
)  # fmt: skip
def test_usage_in_words(usage, words):
    assert usage_words(usage) == words


class TestExtracted:
    def test_it_is_shown_with_what_is_nested(self, boss, call):
        _, shown = text_of(boss, call).split("Data picked out ")
        shown, _ = shown.split(" Turn by turn")
        for field in ("name –", "confirmed yes", "wishes the address by message"):
            assert field in shown
            shown = shown.replace(field, "").strip()
        # PostgreSQL keeps the fields of an object in an order of its own.
        assert sorted(shown.split()) == ["10:00", "Tuesday", "appointment", "day", "time"]
        assert shown.startswith("appointment ")

    def test_or_why_there_is_nothing(self, boss, call):
        Summary.objects.update(extracted=None)
        assert f"Data picked out {MISSING}" in text_of(boss, call)
        Summary.objects.update(extraction_error="The answer did not fit the schema.")
        assert "Data picked out The answer did not fit the schema." in text_of(boss, call)
        Summary.objects.update(state="pending", extraction_error="")
        assert f"Data picked out {WAITING}" in text_of(boss, call)

    def test_where_it_was_not_asked_for_nothing_is_said_of_it(self, boss, call):
        Summary.objects.update(extracted=None)
        Conversation.objects.update(agent_snapshot={})
        assert "Data picked out" not in text_of(boss, call)

    def test_a_call_that_goes_on_has_none_yet(self, boss, call):
        Summary.objects.all().delete()
        assert "Data picked out" not in text_of(boss, call)

    @pytest.mark.parametrize(
        ("data", "text"),
        [(None, "–"), ("", "–"), (True, "yes"), (False, "no"), (0, "0"), (1.5, "1.5"),
         ([], "none"), ({}, "none"), ("a\nb", "a\nb")],
    )  # fmt: skip
    def test_plain_values(self, data, text):
        value = value_of(data)
        assert (value.text, value.fields, value.entries) == (text, (), ())

    def test_what_lies_deep_is_shown_as_json(self, boss, call):
        deep: dict = {"end": ["here"]}
        for _ in range(40):
            deep = {"in": deep}
        value = value_of(deep)
        for _ in range(DEEPEST_SHOWN):
            ((_, value),) = value.fields
        assert value.text.startswith('{"in": {"in"')
        Summary.objects.update(extracted=deep)
        assert "here" in text_of(boss, call)
