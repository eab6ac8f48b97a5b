"""What a dead process left is closed, and what lives is left alone."""

import os
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db.models.functions import Now

from calls.audio.wav import header
from calls.domain.items import Item, ItemStatus, Role
from calls.models import Conversation, Recording, Summary
from calls.models import Item as ItemRow
from calls.store.journal import Journal
from calls.store.owner import owner, owner_dead
from calls.store.reaper import OWN_STALE_S, Reaped, reap
from calls.store.units import unit_item, unit_turn
from tests.store.factories import LENGTH_MS, demo_conversation, waited

pytestmark = pytest.mark.django_db(transaction=True)

MACHINE, _, _ = owner().rpartition(":")[0].rpartition(":")
DEAD = f"{MACHINE}:{2**22 + 1}:5"
ELSEWHERE = f"other/0/0:{os.getpid()}:5"


def left_open(call_id: str = "left", *, by: str = DEAD, silent_s: int = 0) -> Conversation:
    demo_conversation(call_id)
    Conversation.objects.filter(pk=call_id).update(
        status="active", end_reason="", ended_at=None, duration_ms=None, owner=by,
        heartbeat_at=Now() - timedelta(seconds=silent_s), started_at=Now() - timedelta(minutes=10),
    )  # fmt: skip
    Summary.objects.all().delete()
    Recording.objects.filter(pk=call_id).update(state="writing", duration_ms=0, size_bytes=0)
    return Conversation.objects.get(pk=call_id)


@pytest.mark.parametrize(
    ("by", "silent_s", "closed"),
    [
        pytest.param(DEAD, 0, 1, id="a dead process of this machine: at once"),
        pytest.param(owner(), 0, 0, id="this process"),
        pytest.param(owner(), 60, 0, id="this process, silent: it knows its own calls"),
        pytest.param(owner(), 400, 1, id="this process knows nothing of it"),
        pytest.param(ELSEWHERE, 0, 0, id="another machine, alive"),
        pytest.param(ELSEWHERE, 40, 1, id="another machine, silent"),
        pytest.param("", 40, 1, id="nobody"),
    ],
)
def test_who_is_dead(by, silent_s, closed):
    left_open(by=by, silent_s=silent_s)
    assert reap().conversations == closed
    row = Conversation.objects.get()
    assert row.end_reason == ("interrupted" if closed else "")


def test_the_end_is_the_last_sign_of_life():
    left_open()
    reap()
    row = Conversation.objects.get()
    assert row.ended_at == row.heartbeat_at
    assert abs(row.duration_ms - 600_000) < 2_000
    Conversation.objects.update(
        status="active", end_reason="", ended_at=None, heartbeat_at="2020-01-01T00:00Z"
    )
    reap()
    row.refresh_from_db()
    assert row.duration_ms == LENGTH_MS + 555 or row.duration_ms >= LENGTH_MS - 500


def test_nothing_is_claimed_that_was_not_heard():
    left_open()
    ItemRow.objects.create(
        conversation_id="left", item_id=11, turn=6, role="agent", status="in_progress",
        source="model", text="", unheard="Never said aloud.",
    )  # fmt: skip
    reap()
    row = ItemRow.objects.get(item_id=11)
    assert (row.status, row.text, row.unheard) == ("interrupted", "", "Never said aloud.")
    assert ItemRow.objects.get(item_id=10).status == ItemStatus.COMPLETE


def test_a_summary_is_asked_for_unless_the_agent_wants_none():
    left_open()
    left_open("quiet")
    row = Conversation.objects.get(pk="quiet")
    row.agent_snapshot["summarized"] = False
    row.save()
    reap()
    assert list(Summary.objects.values_list("pk", "state")) == [("left", "pending")]


def test_the_recording_is_repaired():
    file = left_open().recording.file
    with file.open("r+b") as opened:
        opened.write(header(16_000, 2, 0))
        opened.truncate(44 + 64_000 + 3)
    assert reap() == Reaped(units=0, conversations=1, recordings=1)
    row = Recording.objects.get()
    assert (row.state, row.duration_ms) == ("truncated", 1_000)
    assert int.from_bytes(file.read_bytes()[40:44], "little") == 64_000


@pytest.mark.parametrize("content", [b"", b"not a wave file at all" * 10])
def test_a_recording_beyond_repair_is_said_to_be(content, caplog):
    left_open().recording.file.write_bytes(content)
    reap()
    assert Recording.objects.get().state == "failed"
    assert "A recording cannot be read" in caplog.messages


def test_a_recording_that_is_not_here_is_left_to_who_has_it_for_some_minutes():
    """Processes of several machines may share the database before they share the folder."""
    left_open().recording.file.unlink()
    reap()
    assert Recording.objects.get().state == "writing"
    Conversation.objects.update(heartbeat_at=Now() - timedelta(seconds=OWN_STALE_S + 1))
    reap()
    assert Recording.objects.get().state == "failed"


def test_the_journal_is_written_first(own_folders):
    left_open()
    journal = Journal(own_folders / "journal")
    last_words = Item(99, Role.USER, "last words", 9, started_ms=700_000, ended_ms=701_000)
    journal.append([unit_item("left", last_words), unit_turn("left", waited(9, 690_000, 600))])
    journal.append([unit_item("gone", last_words)])
    journal.close()
    assert reap().units == 3
    row = Conversation.objects.get()
    assert (row.duration_ms, row.turn_count) == (701_000, 4)
    assert ItemRow.objects.get(item_id=99).text == "last words"
    assert list((own_folders / "journal").iterdir()) == []


def test_twice_is_as_good_as_once(capsys):
    left_open()
    reap()
    before = Conversation.objects.values().get()
    assert reap() == Reaped()
    call_command("reap_calls")
    assert "Calls closed: 0." in capsys.readouterr().out
    assert Conversation.objects.values().get() == before


def test_owners():
    assert not owner_dead(owner())
    assert owner_dead(DEAD)
    assert not owner_dead(ELSEWHERE)
    for nonsense in ("", "x", "a:b:c", f"{MACHINE}:x:5", ":::"):
        assert not owner_dead(nonsense)
    name, _, _ = owner().rpartition(":")
    assert owner_dead(f"{name}:1"), "the same number, another process"
