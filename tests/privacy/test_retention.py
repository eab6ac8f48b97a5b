"""What is too old goes, nothing else does, and a crash leaves nothing that the next run misses."""

import json
import os
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import call_command

from calls.models import (
    Agent,
    Conversation,
    Item,
    Recording,
    Redaction,
    Summary,
    Turn,
    UsedToken,
    Webhook,
    WebhookDelivery,
)
from calls.store.retention import ORPHAN_AGE_S, Purged, purge
from calls.store.traces import debug_file
from calls.store.waveforms import recording_peaks
from tests.store.factories import demo_conversation

DAY_S = 86_400


def aged(call_id: str, days: float) -> Conversation:
    """A call that ended so long ago."""
    started_at = datetime.now(UTC) - timedelta(days=days, seconds=30)
    row = demo_conversation(call_id, started_at=started_at)
    Conversation.objects.filter(pk=call_id).update(
        caller=f"caller of {call_id}", consent_text="We record this.", consented_at=started_at
    )
    recording_peaks(row.recording)
    debug_file(call_id).parent.mkdir(exist_ok=True)
    debug_file(call_id).write_bytes(b"x")
    for file in (row.recording.file, debug_file(call_id)):
        old(file, days)
    row.refresh_from_db()
    return row


def old(file, days: float) -> None:
    at_s = datetime.now(UTC).timestamp() - days * DAY_S
    os.utime(file, (at_s, at_s))


@pytest.fixture
def keep(settings):
    def choose(**days: int) -> None:
        settings.CALLS = settings.CALLS | {
            f"KEEP_{name.upper()}_DAYS": count for name, count in days.items()
        }

    return choose


def purged(django_capture, **options) -> Purged:
    with django_capture(execute=True):
        return purge(**options)


@pytest.mark.django_db
def test_nothing_goes_unless_somebody_said_so(django_capture_on_commit_callbacks):
    row = aged("old", 4_000)
    assert purged(django_capture_on_commit_callbacks) == Purged()
    assert row.recording.file.exists()


@pytest.mark.django_db
def test_sound_words_and_figures_each_in_their_time(keep, django_capture_on_commit_callbacks):
    keep(audio=7, text=30, figures=365)
    rows = {days: aged(f"d{days}", days) for days in (6, 8, 31, 366)}
    files = {days: row.recording.file for days, row in rows.items()}
    told = purged(django_capture_on_commit_callbacks)
    assert (told.recordings, told.texts, told.conversations) == (3, 2, 1)
    assert [days for days, file in files.items() if file.exists()] == [6]
    assert [days for days in files if debug_file(f"d{days}").exists()] == [6]
    assert not files[8].with_name(files[8].name + ".peaks").exists()
    assert set(Recording.objects.values_list("pk", flat=True)) == {"d6"}
    assert Item.objects.filter(conversation="d8").exclude(text="").exists()
    assert not Item.objects.filter(conversation="d31").exclude(text="", unheard="").exists()
    assert not Item.objects.filter(conversation="d31").exclude(arguments="").exists()
    assert Item.objects.filter(conversation="d31", marks=[], metadata={}).count() == 10
    assert not Summary.objects.filter(pk="d31").exists()
    left = Conversation.objects.get(pk="d31")
    assert left.text_removed_at is not None
    assert left.caller == ""
    assert left.consent_text == "We record this."
    assert left.consented_at is not None
    assert left.turn_count == 3
    assert Turn.objects.filter(conversation="d31").count() == 3
    assert Conversation.objects.get(pk="d8").caller == "caller of d8"
    assert not Conversation.objects.filter(pk="d366").exists()
    assert set(Conversation.objects.search("tuesday").values_list("pk", flat=True)) == {"d6", "d8"}
    assert purged(django_capture_on_commit_callbacks) == Purged()


@pytest.mark.django_db
def test_who_called_is_known_while_there_is_sound(keep, django_capture_on_commit_callbacks):
    keep(audio=60, text=7)
    aged("a", 10)
    purged(django_capture_on_commit_callbacks)
    assert Conversation.objects.get(pk="a").caller == "caller of a"
    keep(audio=7, text=7)
    assert purged(django_capture_on_commit_callbacks).callers == 1
    assert Conversation.objects.get(pk="a").caller == ""


@pytest.mark.django_db
def test_an_agents_own_days_go_before_the_settings(keep, django_capture_on_commit_callbacks):
    keep(audio=7, text=7)
    aged("a", 10)
    Agent.objects.filter(slug="demo").update(keep_audio_days=20, keep_text_days=0)
    assert purged(django_capture_on_commit_callbacks) == Purged()
    Agent.objects.filter(slug="demo").update(keep_audio_days=9, keep_text_days=None)
    told = purged(django_capture_on_commit_callbacks)
    assert (told.recordings, told.texts) == (1, 1)
    aged("nobody", 10)
    Conversation.objects.filter(pk="nobody").update(agent=None)
    assert purged(django_capture_on_commit_callbacks).recordings == 1


@pytest.mark.django_db
def test_live_calls_are_left_alone(keep, django_capture_on_commit_callbacks):
    keep(audio=1, text=1, figures=1)
    aged("live", 10)
    Conversation.objects.filter(pk="live").update(
        status="active", end_reason="", ended_at=None, duration_ms=None
    )
    assert purged(django_capture_on_commit_callbacks) == Purged()


@pytest.mark.django_db
def test_a_dry_run_changes_nothing(keep, own_folders, django_capture_on_commit_callbacks):
    keep(audio=1, text=1, figures=1)
    row = aged("a", 10)
    out = StringIO()
    call_command("purge", "--dry-run", "--json", stdout=out)
    assert json.loads(out.getvalue())["conversations"] == 1
    assert row.recording.file.exists()
    assert Item.objects.filter(conversation="a").exclude(text="").exists()
    call_command("purge", stdout=out)
    assert "1 conversations with all their figures" in out.getvalue()
    assert not Conversation.objects.filter(pk="a").exists()


@pytest.mark.django_db
def test_a_file_that_a_crash_left_goes_with_the_next_run(keep, django_capture_on_commit_callbacks):
    """The row is gone, and the process died before the file was."""
    keep(audio=1)
    row = aged("a", 10)
    file, peaks = (
        row.recording.file,
        row.recording.file.with_name(row.recording.file.name + ".peaks"),
    )
    for each in (file, peaks):
        old(each, 2)
    Recording.objects.filter(pk="a")._raw_delete("default")
    told = purged(django_capture_on_commit_callbacks)
    assert told.files == 3
    assert not file.exists()
    assert not peaks.exists()


@pytest.mark.django_db
def test_the_sweep_takes_only_what_is_old_and_nobodys(
    own_folders, django_capture_on_commit_callbacks
):
    kept = aged("kept", 10).recording.file
    folder = kept.parent
    young, gone = folder / "young.wav", folder / "gone.wav"
    for file in (young, gone):
        file.write_bytes(b"x")
    old(gone, (ORPHAN_AGE_S + 60) / DAY_S)
    old(young, (ORPHAN_AGE_S - 60) / DAY_S)
    stray = debug_file("unknown")
    stray.write_bytes(b"x")
    old(stray, 2)
    assert purged(django_capture_on_commit_callbacks).files == 2
    assert kept.exists()
    assert young.exists()
    assert not gone.exists()
    assert not stray.exists()
    assert debug_file("kept").exists()


@pytest.mark.django_db
def test_expired_tokens_and_finished_work_go(django_capture_on_commit_callbacks):
    now = datetime.now(UTC)
    row = demo_conversation("a", sound=False)
    UsedToken.objects.create(token_id="old", expires_at=now - timedelta(days=2))
    UsedToken.objects.create(token_id="new", expires_at=now)
    hook = Webhook.objects.create(url="https://x.example")
    for number, (state, days) in enumerate([("done", 31), ("pending", 31), ("done", 29)]):
        WebhookDelivery.objects.create(
            webhook=hook, conversation=row, event="call.ended", event_id=str(number), state=state,
            requested_at=now - timedelta(days=days),
        )  # fmt: skip
    Redaction.objects.create(conversation=row, state="done", requested_at=now - timedelta(days=40))
    told = purged(django_capture_on_commit_callbacks)
    assert (told.tokens, told.work) == (1, 2)
    assert set(UsedToken.objects.values_list("pk", flat=True)) == {"new"}
    assert set(WebhookDelivery.objects.values_list("event_id", flat=True)) == {"1", "2"}
