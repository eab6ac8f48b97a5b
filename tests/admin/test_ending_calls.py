"""Live calls ended from the admin."""

import pytest

from calls.models import AuditEntry, Conversation
from tests.admin.conftest import logged_in, person

LIST = "/admin/calls/conversation/"


@pytest.fixture
def live(call) -> Conversation:
    return Conversation.objects.create(call_id="live", agent_slug="demo", protocol="browser")


@pytest.fixture
def operator(db):
    return logged_in(person("view_conversation", "end_conversation"))


def asked() -> list[str]:
    return list(Conversation.objects.exclude(end_asked="").values_list("pk", flat=True))


def test_a_live_call_is_ended_from_its_page_and_it_is_on_the_record_who_did(operator, live):
    assert "End this call" in operator.get(f"{LIST}live/change/").text
    answer = operator.post(f"{LIST}live/end/", follow=True)
    assert "The call is being ended." in answer.text
    assert asked() == ["live"]
    (entry,) = AuditEntry.objects.filter(action="ended")
    assert (entry.actor, entry.call_id) == ("staff-view_conversation-end_conversation", "live")


def test_a_call_that_is_over_has_no_such_button_and_stays_as_it_is(operator, call):
    assert "End this call" not in operator.get(f"{LIST}{call.pk}/change/").text
    answer = operator.post(f"{LIST}{call.pk}/end/", follow=True)
    assert "What is over cannot be ended." in answer.text
    assert asked() == []
    assert not AuditEntry.objects.filter(action="ended").exists()


def test_calls_are_ended_from_the_list(operator, live, call):
    chosen = {"action": "end_calls", "_selected_action": ["live", call.pk]}
    operator.post(LIST, chosen)
    assert asked() == ["live"]


def test_who_may_only_read_ends_nothing(reviewer, live):
    assert "End this call" not in reviewer.get(f"{LIST}live/change/").text
    assert reviewer.post(f"{LIST}live/end/").status_code == 403
    reviewer.post(LIST, {"action": "end_calls", "_selected_action": ["live"]})
    assert asked() == []


def test_nothing_is_ended_by_a_link(operator, live):
    assert operator.get(f"{LIST}live/end/").status_code == 405
    assert asked() == []
