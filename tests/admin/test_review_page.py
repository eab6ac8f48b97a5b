"""The review page says what happened, to those who may know, and nothing of it runs."""

import json
import re
from dataclasses import asdict, replace
from html.parser import HTMLParser

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from calls.domain.items import Item, ItemStatus, Mark, Role, Source
from calls.models import AuditEntry, Conversation, Summary
from calls.store.exports import export_json, export_text
from calls.store.reviews import review, words
from tests.admin.conftest import logged_in, person
from tests.store.factories import (
    EXTRACTED,
    ITEMS,
    LENGTH_MS,
    TURNS,
    USES,
    answered,
    demo_conversation,
    said,
    used,
)

pytestmark = pytest.mark.django_db

ATTACK = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7*7 }}"


class Page(HTMLParser):
    """What of a page could run or load, and its text."""

    def __init__(self, html: str):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.text: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text.append(" ".join(data.split()))

    def inline(self) -> list[tuple[str, dict]]:
        """All that a strict content policy would refuse."""
        return [
            (tag, attrs)
            for tag, attrs in self.tags
            if tag == "style"
            or (tag == "script" and "src" not in attrs)
            or any(name == "style" or name.startswith("on") for name in attrs)
            or any("javascript:" in str(value) for value in attrs.values())
        ]


def page_of(client, call: Conversation) -> str:
    response = client.get(f"/admin/calls/conversation/{call.pk}/change/")
    assert response.status_code == 200
    return response.content.decode()


def test_it_tells_the_call(boss, call):
    text = " ".join(" ".join(Page(page_of(boss, call)).text).split())
    for told in (
        "hi I would like to book an appointment please",
        "Not heard:",
        "to Friday, from eight in the morning until six in the evening.",
        "book_appointment",
        '"time": "10:00"',
        "1.40 s of silence",
        "Speech to text",
        "310 ms",
        "answer interrupted",
        "The caller booked an appointment",
        "Picked from the conversation by rule (embedded)",
    ):
        assert told in text


def test_instructions_keys_and_entries_of_the_client_are_told_apart(boss):
    items = [
        Item(1, Role.SYSTEM, "Be brief.", 0, source=Source.CLIENT),
        Item(2, Role.USER, "1234", 1, source=Source.KEYPAD),
        Item(3, Role.AGENT, "Earlier words", 1, source=Source.CLIENT),
    ]
    page = page_of(boss, demo_conversation("led", items=items, sound=False))
    text = " ".join(" ".join(Page(page).text).split())
    assert "entry system is-complete" in page
    assert "entry user is-complete is-keys" in page
    for name, note, said_ in (
        ("Instruction", "by the client", "Be brief."),
        ("Caller", "keys pressed", "1234"),
        ("Agent", "by the client", "Earlier words"),
    ):
        assert re.search(rf"{name} [\d:]+ {note} {re.escape(said_)}", text), text


def test_the_export_names_instructions_and_keys():
    items = [
        Item(1, Role.SYSTEM, "Be brief.", 0, source=Source.CLIENT, ref="item_1"),
        Item(2, Role.USER, "1234", 1, source=Source.KEYPAD),
    ]
    told = review(demo_conversation("led", items=items, sound=False))
    assert "Instruction: Be brief." in export_text(told)
    assert "Caller: 1234" in export_text(told)
    exported = [(i["role"], i["source"], i["metadata"]) for i in export_json(told)["items"]]
    assert exported == [("system", "client", {"ref": "item_1"}), ("user", "keypad", {})]


def test_the_bars_add_up_to_the_silence(call):
    for wait, turn in zip(review(call).waits, TURNS, strict=True):
        assert sum(bar.ms for bar in wait.bars) == wait.latency_ms == turn.timings.latency_ms
        assert wait.until_ms - wait.from_ms == wait.latency_ms
        assert wait.bars[-1].x + wait.bars[-1].width <= 100.001
        for bar, following in zip(wait.bars, wait.bars[1:], strict=False):
            assert bar.x + bar.width == pytest.approx(following.x, abs=0.002)


def test_its_queries_do_not_grow_with_the_call(boss):
    def queries(call: Conversation) -> int:
        with CaptureQueriesContext(connection) as captured:
            page_of(boss, call)
        return len(captured)

    short = demo_conversation("short", items=ITEMS[:2], turns=TURNS[:1], uses=USES[:1], sound=False)
    items = [replace(ITEMS[n % 2], item_id=n + 1) for n in range(60)]
    uses = [replace(USES[n % 4], number=n + 1, turn=n // 3) for n in range(60)]
    long = demo_conversation("long", items=items, uses=uses, sound=False)
    assert queries(short) == queries(long)


def test_nothing_that_somebody_said_runs(boss):
    hostile = [
        said(1, ATTACK, 1, 0),
        answered(2, ATTACK, 1, 5_000, unheard=ATTACK, metadata={"items": ATTACK, ATTACK: [1]}),
        Item(3, Role.TOOL, ATTACK, 1, tool_name=ATTACK, arguments=ATTACK),
    ]
    asked = used(1, "llm", ATTACK[:40], 1, model=ATTACK, request_id=ATTACK,
                 outcome="<b>", usage={ATTACK: 1, "input_tokens": 5})  # fmt: skip
    call = demo_conversation(items=hostile, turns=(), uses=[asked], sound=False)
    Summary.objects.update(title=ATTACK, summary=ATTACK, key_points=[ATTACK], outcome=ATTACK,
                           provider=ATTACK, error=ATTACK,
                           extracted={ATTACK: [ATTACK, {ATTACK: ATTACK}]})  # fmt: skip
    Conversation.objects.update(
        caller=ATTACK, user_agent=ATTACK, metadata={"items": ATTACK}, language='"><b>'
    )
    page = Page(page_of(boss, call))
    listed = Page(boss.get("/admin/calls/conversation/").content.decode())
    clean = Page(page_of(boss, demo_conversation("clean", sound=False)))
    assert page.inline() == listed.inline() == clean.inline() == []
    count = [tag for tag, _ in page.tags if tag in ("img", "script", "b")]
    assert "img" not in count
    assert any("alert(1)" in text for text in page.text)
    assert count.count("b") == 2, "the stage and the provider, which are bold"
    copied = [attrs["data-copy"] for _, attrs in page.tags if "data-copy" in attrs]
    assert copied == [ATTACK]
    Summary.objects.update(extracted=None, extraction_error=ATTACK)
    unread = Page(page_of(boss, call))
    assert unread.inline() == []
    assert not [tag for tag, _ in unread.tags if tag == "img"]


@pytest.mark.parametrize("address", ["", "{}/change/", "{}/delete/", "{}/history/"])
def test_no_page_has_anything_inline(boss, call, address):
    response = boss.get(f"/admin/calls/conversation/{address.format(call.pk)}")
    assert Page(response.content.decode()).inline() == []
    policy = response.headers["Content-Security-Policy"]
    assert "unsafe" not in policy


def test_a_call_with_nothing_at_all_has_a_page(boss):
    call = Conversation.objects.create(call_id="bare", agent_slug="gone", protocol="avr")
    text = " ".join(Page(page_of(boss, call)).text)
    assert "Nothing was said." in text
    assert "not recorded" in text
    assert "Live" in text


def test_a_call_that_goes_on_is_as_long_as_its_file(call):
    call.recording.state, call.recording.duration_ms = "writing", 0
    call.duration_ms = None
    with call.recording.file.open("ab") as file:
        file.write(bytes(64_000 * 60))
    assert review(call).length_ms == LENGTH_MS + 60_000
    call.recording.file.unlink()
    assert review(call).length_ms == ITEMS[-1].ended_ms


def test_who_may_not_read_gets_no_page(call):
    nobody = logged_in(person())
    for end in ("change/", "audio/", "peaks/", "export.json/", "export.txt/"):
        assert nobody.get(f"/admin/calls/conversation/{call.pk}/{end}").status_code == 403


def test_an_unknown_call_is_not_found(boss):
    for end in ("change/", "audio/", "peaks/", "export.json/"):
        assert boss.get(f"/admin/calls/conversation/nix%00/{end}").status_code == 404
    for end in ("delete/", "history/"):
        assert boss.get(f"/admin/calls/conversation/nix%00/{end}").status_code == 302


def test_reading_is_not_listening(reviewer, call):
    assert "permission that you do not have" in page_of(reviewer, call)
    for end in ("audio/", "peaks/"):
        assert reviewer.get(f"/admin/calls/conversation/{call.pk}/{end}").status_code == 403


class TestExport:
    def test_json_holds_everything_and_is_logged(self, reviewer, call):
        response = reviewer.get(f"/admin/calls/conversation/{call.pk}/export.json/")
        assert response["Content-Disposition"] == 'attachment; filename="call-demo-call.json"'
        assert response["Cache-Control"] == "private, no-store"
        exported = json.loads(response.content)
        assert [item["text"] for item in exported["items"]] == [item.text for item in ITEMS]
        assert exported["items"][2]["unheard"].endswith("in the evening.")
        assert exported["turns"][0]["stages"]["stt"] == 280
        assert exported["summary"]["outcome"] == "booked"
        assert exported["summary"]["extracted"] == EXTRACTED
        assert [use["number"] for use in exported["uses"]] == list(range(1, len(USES) + 1))
        assert exported["uses"][2] == {
            **asdict(USES[2]), "usage": {"input_tokens": 412, "output_tokens": 38},
        }  # fmt: skip
        assert exported["recording"]["state"] == "complete"
        assert exported["agent_snapshot"]["policy"]["idle_prompts"] == 2
        entry = AuditEntry.objects.get()
        assert (entry.action, entry.detail) == ("exported", "json")

    def test_text_reads_like_the_call(self, reviewer, call):
        response = reviewer.get(f"/admin/calls/conversation/{call.pk}/export.txt/")
        assert response["Content-Type"] == "text/plain; charset=utf-8"
        lines = response.content.decode().splitlines()
        assert "[0:04] Caller: hi I would like to book an appointment please" in lines
        assert (
            "[0:08] Agent (interrupted): Of course. Which day suits you? We are open from Monday"
            " [not heard: to Friday, from eight in the morning until six in the evening.]" in lines
        )
        assert any("book_appointment({" in line for line in lines)


class TestSummarise:
    def url(self, call) -> str:
        return f"/admin/calls/conversation/{call.pk}/summarize/"

    def test_it_is_asked_for_again(self, call):
        user = logged_in(person("view_conversation", "change_summary"))
        response = user.post(self.url(call), follow=True)
        assert "A new summary is being written." in response.content.decode()
        summary = Summary.objects.get()
        assert (summary.state, summary.attempts) == ("pending", 0)
        assert summary.title == "Appointment booked for Tuesday at ten"

    def test_not_by_a_link(self, boss, call):
        assert boss.get(self.url(call)).status_code == 405

    def test_not_by_somebody_who_only_reads(self, reviewer, call):
        assert reviewer.post(self.url(call)).status_code == 403
        assert Summary.objects.get().state == "done"

    def test_not_by_another_page(self, call):
        user = logged_in(person("view_conversation", "change_summary"))
        user.handler.enforce_csrf_checks = True
        assert user.post(self.url(call)).status_code == 403

    def test_not_while_the_call_goes_on(self, boss, call):
        Conversation.objects.update(status="active", end_reason="", ended_at=None)
        boss.post(self.url(call))
        assert Summary.objects.get().state == "done"


class TestWords:
    def test_marks_say_when_a_word_begins(self):
        item = answered(1, "It is four", 1, 1_000, unheard=" o'clock.")
        assert [(w.text, w.at_ms) for w in words(item)] == [
            ("It", 1_000), ("is", 1_300 + 100), ("four", 1_600 + 60),
        ]  # fmt: skip

    def test_without_marks_they_lie_evenly(self):
        item = said(1, "one two three", 1, 0)
        at_ms = [w.at_ms for w in words(item)]
        assert at_ms == [0, 277, 554]

    def test_one_mark_for_all_of_it_is_enough(self):
        item = replace(answered(1, "one two", 1, 500), marks=(Mark(7, 1_400),), ended_ms=1_900)
        assert [w.at_ms for w in words(item)] == [500, 1_300]

    @pytest.mark.parametrize(
        "item",
        [
            replace(said(1, "one two", 1, 0), ended_ms=None),
            replace(said(1, "one two", 1, 0), status=ItemStatus.IN_PROGRESS),
        ],
        ids=["no end", "going on"],
    )
    def test_nobody_knows_when(self, item):
        assert [w.at_ms for w in words(item)] == [None, None]

    def test_no_word_lies_behind_what_was_heard(self):
        item = replace(answered(1, "one two three", 1, 0), ended_ms=400)
        assert max(w.at_ms for w in words(item)) <= 400
