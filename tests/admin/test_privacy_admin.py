"""Erasing, redacting and the audit in the admin: who may, what is asked first, what is left."""

import pytest
from django.contrib.auth.models import Group, User

from calls.models import AuditEntry, Conversation, Erasure, Redaction
from tests.admin.conftest import logged_in, person
from tests.store.factories import demo_conversation

LIST = "/admin/calls/conversation/"


def entries() -> list[tuple[str, str, str]]:
    return list(AuditEntry.objects.order_by("pk").values_list("actor", "action", "call_id"))


def page(call) -> str:
    return f"{LIST}{call.pk}/"


@pytest.fixture
def operator(groups):
    user = User.objects.create_user("op", is_staff=True)
    user.groups.add(Group.objects.get(name="Call operators"))
    return logged_in(user)


class TestAudit:
    def test_each_action_leaves_one_entry(self, boss, call):
        boss.get(f"{page(call)}change/")
        for _ in range(3):
            b"".join(boss.get(f"{page(call)}audio/").streaming_content)
        boss.get(f"{page(call)}export.json/")
        boss.get(f"{page(call)}export.txt/")
        boss.post(f"{page(call)}redact/")
        boss.post(f"{page(call)}delete/", {"post": "yes"})
        actions = ["viewed", "listened", "exported", "exported", "redacted", "erased"]
        assert entries() == [("boss", action, call.pk) for action in actions]
        assert set(AuditEntry.objects.values_list("user__username", flat=True)) == {"boss"}

    def test_what_is_refused_leaves_none(self, reviewer, call):
        assert reviewer.get(f"{page(call)}audio/").status_code == 403
        assert reviewer.post(f"{page(call)}erase/").status_code == 403
        assert reviewer.post(f"{page(call)}redact/").status_code == 403
        assert entries() == []

    def test_nothing_that_was_said_stands_in_it(self, boss, call):
        boss.get(f"{page(call)}change/")
        boss.get(f"{page(call)}export.json/")
        (row,) = AuditEntry.objects.filter(action="exported").values()
        texts = " ".join(str(value) for value in row.values())
        assert "appointment" not in texts.lower()

    def test_nobody_changes_it(self, boss, call):
        boss.get(f"{page(call)}change/")
        entry = AuditEntry.objects.get()
        url = f"/admin/calls/auditentry/{entry.pk}"
        listed = boss.get("/admin/calls/auditentry/")
        assert call.pk in listed.content.decode()
        assert "delete_selected" not in listed.content.decode()
        assert boss.get(f"{url}/change/").status_code == 200
        assert boss.post(f"{url}/change/", {"actor": "x"}).status_code == 403
        assert boss.post(f"{url}/delete/", {"post": "yes"}).status_code == 403
        assert boss.get("/admin/calls/auditentry/add/").status_code == 403
        boss.post(
            "/admin/calls/auditentry/",
            {"action": "delete_selected", "_selected_action": [entry.pk], "post": "yes"},
        )
        assert AuditEntry.objects.count() == 1


class TestErasing:
    def test_it_is_asked_first(self, operator, call):
        asked = operator.get(f"{page(call)}erase/")
        assert "There is no way back" in asked.content.decode()
        assert not Erasure.objects.exists()
        operator.post(f"{page(call)}erase/", {"confirmed": "yes"})
        assert list(Erasure.objects.values_list("call_ids", "actor")) == [([call.pk], "op")]

    def test_from_the_list(self, operator, call):
        demo_conversation("other", sound=False)
        chosen = {"action": "erase_calls", "_selected_action": [call.pk, "other"]}
        asked = operator.post(LIST, chosen)
        assert "2 calls will be erased" in asked.content.decode()
        assert not Erasure.objects.exists()
        operator.post(LIST, chosen | {"confirmed": "yes"})
        assert Erasure.objects.get().call_ids == sorted([call.pk, "other"])

    def test_who_may_not_is_not_asked(self, listener, call):
        assert listener.get(f"{page(call)}erase/").status_code == 403
        listed = listener.get(LIST).content.decode()
        assert "erase_calls" not in listed
        shown = listener.get(f"{page(call)}change/").content.decode()
        assert "/erase/" not in shown
        assert "/redact/" not in shown
        listener.post(
            LIST, {"action": "erase_calls", "_selected_action": [call.pk], "confirmed": "yes"}
        )
        assert not Erasure.objects.exists()

    def test_erasures_are_only_shown(self, operator, call):
        operator.post(f"{page(call)}erase/", {"confirmed": "yes"})
        row = Erasure.objects.get()
        assert operator.get("/admin/calls/erasure/").status_code == 200
        shown = operator.get(f"/admin/calls/erasure/{row.pk}/change/")
        assert call.pk not in shown.content.decode()
        assert operator.post(f"/admin/calls/erasure/{row.pk}/delete/").status_code == 403

    def test_an_unknown_call(self, operator):
        assert operator.get(f"{LIST}nobody/erase/").status_code == 404
        assert operator.post(f"{LIST}nobody/redact/").status_code == 404


class TestRedacting:
    def test_it_is_asked_for(self, operator, call):
        shown = operator.get(f"{page(call)}change/").content.decode()
        assert f"{page(call)}redact/" in shown
        operator.post(f"{page(call)}redact/")
        assert Redaction.objects.get().state == "pending"

    def test_not_of_a_live_call(self, operator, call):
        Conversation.objects.update(status="active", end_reason="", ended_at=None, duration_ms=None)
        operator.post(LIST, {"action": "redact_calls", "_selected_action": [call.pk]})
        assert not Redaction.objects.exists()


def test_what_the_caller_was_told_is_shown(boss, call):
    Conversation.objects.update(consent_text="We <b>record</b> this.")
    shown = boss.get(f"{page(call)}change/").content.decode()
    assert "We &lt;b&gt;record&lt;/b&gt; this." in shown
    assert "did not say that the caller agreed" in shown
    Conversation.objects.update(consented_at="2026-11-20T09:41:05Z")
    shown = boss.get(f"{page(call)}change/").content.decode()
    assert "agreed on 20 November 2026, 09:41:05" in shown


@pytest.mark.parametrize(
    ("group", "listens", "ends", "erases"),
    [
        ("Call reviewers", False, False, False),
        ("Call listeners", True, False, False),
        ("Call operators", True, True, True),
    ],
)
def test_groups_of_staff(groups, group, listens, ends, erases):
    user = person()
    user.groups.add(Group.objects.get(name=group))
    assert user.has_perm("calls.view_conversation")
    assert user.has_perm("calls.listen_recording") is listens
    assert user.has_perm("calls.end_conversation") is ends
    assert user.has_perm("calls.erase_conversation") is erases
    assert not user.has_perm("calls.delete_conversation")
    assert not user.has_perm("calls.change_auditentry")
