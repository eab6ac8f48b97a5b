"""A reviewer finds a conversation."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from calls.domain.items import Item, Role
from calls.models import Conversation
from tests.store.factories import ITEMS, STARTED_AT, USES, demo_conversation

URL = "/admin/calls/conversation/"

pytestmark = pytest.mark.django_db


def several(count: int) -> None:
    for number in range(count):
        started_at = STARTED_AT - timedelta(hours=number)
        demo_conversation(f"call-{number}", started_at=started_at, sound=False)


def test_a_row_says_what_a_reviewer_looks_for(boss, call):
    page = boss.get(URL).content.decode()
    for shown in (
        "Appointment booked for Tuesday at ten", "Demo agent", "20 Nov 2026, 09:41", "0:27",
        "1.00 s", "Agent ended", "Complete",
    ):  # fmt: skip
        assert shown in page


def test_the_number_of_queries_does_not_grow_with_the_page(boss):
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert boss.get(URL).status_code == 200
        return len(captured)

    several(2)
    few = queries()
    several_more = [f"more-{n}" for n in range(15)]
    for call_id in several_more:
        demo_conversation(call_id, sound=False)
    assert queries() == few


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=mill+lane", 1),
        ("q=%22would+like%22", 1),
        ("q=%22like+would%22", 0),
        ("q=FRIDAY", 1),
        ("q=appointment+xyzzy", 0),
        ("q=demo-call", 1),
        ("q=%25", 0),
        ("q=%00", 1),
        ("q=%27%22", 0),
        ("interrupted=some", 1),
        ("interrupted=none", 0),
        ("latency=fast", 1),
        ("latency=slow", 0),
        ("recorded=complete", 1),
        ("recorded=none", 0),
        ("trouble=some", 1),
        ("trouble=none", 0),
        ("end_reason__exact=agent_ended", 1),
        ("started_at__year=2026", 1),
        ("agent_slug=demo", 1),
    ],
)
def test_it_is_narrowed_down(boss, call, query, found):
    page = boss.get(f"{URL}?{query}")
    assert page.status_code == 200
    assert page.context["cl"].result_count == found


def test_trouble_is_a_service_that_failed_not_one_that_was_stopped(boss):
    demo_conversation("calm", uses=[USES[1], USES[2]], sound=False)
    demo_conversation("silent", uses=(), sound=False)
    demo_conversation("trouble", uses=[USES[1], USES[0]], sound=False)
    for value, found in (("some", {"trouble"}), ("none", {"calm", "silent"})):
        rows = boss.get(f"{URL}?trouble={value}").context["cl"].result_list
        assert {row.pk for row in rows} == found


def test_the_list_asks_for_services_only_when_it_is_narrowed_by_them(boss, call):
    def asked(query: str) -> bool:
        with CaptureQueriesContext(connection) as captured:
            boss.get(f"{URL}?{query}")
        return any("serviceuse" in entry["sql"] for entry in captured)

    assert asked("trouble=some")
    assert not asked("interrupted=some")


def test_words_are_found_in_the_same_conversation_not_the_same_item():
    demo_conversation("both", sound=False)
    demo_conversation("one", items=[Item(1, Role.USER, "mill", 1)], sound=False)
    Conversation.objects.filter(pk="one").update(agent_slug="x")
    assert [row.pk for row in Conversation.objects.search("mill thank")] == ["both"]


def test_nobody_adds_or_edits_one(boss, call):
    assert boss.get(f"{URL}add/").status_code == 403
    assert boss.post(f"{URL}{call.pk}/change/", {"language": "de"}).status_code == 405


def test_deleting_removes_the_files_once_it_is_certain(
    boss, call, own_folders, django_capture_on_commit_callbacks
):
    file = call.recording.file
    file.with_name(file.name + ".peaks").write_bytes(b"peaks")
    with django_capture_on_commit_callbacks(execute=False) as callbacks:
        boss.post(f"{URL}{call.pk}/delete/", {"post": "yes"})
    assert not Conversation.objects.exists()
    assert file.exists()
    for callback in callbacks:
        callback()
    assert list(file.parent.iterdir()) == []


def test_several_are_deleted_with_their_files(boss, call, django_capture_on_commit_callbacks):
    file = call.recording.file
    with django_capture_on_commit_callbacks(execute=True):
        boss.post(URL, {"action": "delete_selected", "_selected_action": [call.pk], "post": "yes"})
    assert not Conversation.objects.exists()
    assert not file.exists()


def test_without_the_right_there_is_no_list(reviewer, listener, call):
    from tests.admin.conftest import logged_in, person

    assert reviewer.get(URL).status_code == 200
    assert logged_in(person()).get(URL).status_code == 403
    assert len(ITEMS) == call.items.count()
