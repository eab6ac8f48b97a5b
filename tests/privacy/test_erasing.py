"""Erasing by caller or by call: what goes, what stays, what is waited for."""

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db.models.functions import Now

from calls.conf import calls_settings
from calls.models import AuditEntry, Conversation, Erasure
from calls.models import Recording as RecordingRow
from calls.store.database import in_database
from calls.store.erasure import erasure_request, erasures_run_due, erasures_work
from calls.store.journal import Journal, refused_keep
from calls.store.owner import owner
from calls.store.units import unit_item
from tests.store.factories import demo_conversation, said

pytestmark = pytest.mark.django_db(transaction=True)


def made(call_id: str, caller: str) -> Conversation:
    row = demo_conversation(call_id)
    Conversation.objects.filter(pk=call_id).update(caller=caller)
    return row


def entries(action: str) -> list[str]:
    return sorted(AuditEntry.objects.filter(action=action).values_list("call_id", flat=True))


@pytest.mark.asyncio
async def test_the_background_does_what_was_asked_for():
    await in_database(made, "a", "ann")
    await in_database(lambda: erasure_request(caller="ann", actor="a key"))
    assert await erasures_run_due() == 1
    assert await erasures_run_due() == 0
    assert not await in_database(Conversation.objects.exists)


def test_a_callers_calls_go_and_no_others():
    file = made("a", "ann").recording.file
    made("b", "ann")
    kept = made("c", "anna")
    row = erasure_request(caller="ann", actor="someone")
    assert erasures_work() == 1
    row.refresh_from_db()
    assert (row.state, row.caller, row.call_ids) == ("done", "", [])
    assert (row.conversations, row.recordings) == (2, 2)
    assert set(Conversation.objects.values_list("pk", flat=True)) == {"c"}
    assert not file.exists()
    assert kept.recording.file.exists()
    assert entries("erased") == ["a", "b"]
    assert AuditEntry.objects.first().actor == "someone"


def test_a_live_call_is_ended_first():
    made("live", "ann")
    made("over", "ann")
    live = Conversation.objects.filter(pk="live")
    live.update(status="active", end_reason="", ended_at=None, duration_ms=None, owner=owner())
    live.update(heartbeat_at=Now())
    row = erasure_request(caller="ann", actor="someone")
    erasures_work()
    row.refresh_from_db()
    assert (row.state, row.call_ids) == ("pending", ["live", "over"])
    assert row.lease_until is not None
    assert live.get().end_asked == "staff_ended"
    assert entries("ended") == ["live"]
    assert entries("erased") == ["over"]
    live.update(status="ended", end_reason="staff_ended", ended_at=Now(), duration_ms=1)
    Erasure.objects.update(lease_until=None)
    erasures_work()
    row.refresh_from_db()
    assert row.state == "done"
    assert not Conversation.objects.exists()
    assert entries("ended") == ["live"]
    assert entries("erased") == ["live", "over"]


def test_a_journal_that_is_being_worked_off_is_waited_for():
    made("a", "ann")
    folder: Path = calls_settings().journal_dir
    journal = Journal(folder)
    journal.append([unit_item("a", said(99, "late words", 9, 1_000))])
    other = unit_item("other", said(1, "of somebody else", 1, 1_000))
    refused_keep(folder, [unit_item("a", said(98, "refused", 9, 1_000)), other])
    row = erasure_request(call_ids=["a"], actor="someone")
    erasures_work()
    row.refresh_from_db()
    assert (row.state, row.error) == ("pending", "A journal is being worked off.")
    assert (folder / "refused.log").read_bytes() == other.line()
    journal.clear()
    journal.close()
    Erasure.objects.update(lease_until=None)
    erasures_work()
    row.refresh_from_db()
    assert row.state == "done"


def test_a_recording_that_is_being_written_is_waited_for():
    made("a", "ann")
    Conversation.objects.update(owner=owner(), heartbeat_at=Now())
    RecordingRow.objects.update(state="writing")
    row = erasure_request(call_ids=["a"], actor="someone")
    erasures_work()
    row.refresh_from_db()
    assert row.state == "pending"
    assert Conversation.objects.exists()


def test_asking_again_takes_the_same_up_again():
    made("a", "ann")
    first = erasure_request(caller="ann", actor="one")
    Erasure.objects.update(state="running", lease="of a dead one", lease_until="2999-01-01T00:00Z")
    assert erasure_request(caller="ann", actor="one").pk == first.pk
    assert erasure_request(caller="ann", actor="two").pk != first.pk
    assert erasures_work() == 2
    assert not Conversation.objects.exists()
    assert set(Erasure.objects.values_list("state", flat=True)) == {"done"}


def test_nobody_is_not_everybody():
    with pytest.raises(ValueError, match="Nothing"):
        erasure_request(actor="someone")
    with pytest.raises(CommandError, match="Name a caller"):
        call_command("call_erase", "--yes")
    made("a", "")
    call_command("call_erase", "--caller", "someone else", "--yes", stdout=StringIO())
    assert Conversation.objects.exists()


def test_the_command_says_what_it_does():
    made("a", "ann")
    out = StringIO()
    call_command("call_erase", "--caller", "ann", "--dry-run", "--json", stdout=out)
    told = {"state": "dry run", "conversations": 1, "recordings": 1}
    assert json.loads(out.getvalue()) == told
    assert Conversation.objects.exists()
    out = StringIO()
    call_command("call_erase", "--call", "a", "--yes", "--wait", stdout=out)
    assert out.getvalue() == "Calls: 1. Recordings: 1.\n"
    assert not Conversation.objects.exists()


def test_the_export_holds_words_and_sound(tmp_path):
    row = made("a", "ann")
    made("b", "bob")
    out = StringIO()
    to = tmp_path / "out"
    call_command("call_export", "--caller", "ann", "--to", str(to), stdout=out)
    call_command("call_export", "--caller", "ann", "--to", str(to), stdout=out)
    assert sorted(path.name for path in to.iterdir()) == ["a.json", "a.wav"]
    content = json.loads((to / "a.json").read_text())
    assert content["caller"] == "ann"
    assert content["items"][1]["text"] == "hi I would like to book an appointment please"
    assert content["summary"]["extracted"]["confirmed"] is True
    assert (to / "a.wav").read_bytes() == row.recording.file.read_bytes()
    assert (to / "a.json").stat().st_mode & 0o077 == 0
    assert entries("exported") == ["a", "a"]
