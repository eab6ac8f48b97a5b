"""Redaction: the words, and exactly the sound in which they were said."""

import asyncio
import signal

import numpy as np
import pytest
from django.db import connection

from calls.audio.silence import joined, silenced
from calls.audio.wav import HEADER_BYTES
from calls.domain.errors import EndReason
from calls.domain.items import Item, Role, Source
from calls.models import (
    AuditEntry,
    Conversation,
    Recording,
    Redaction,
    Summary,
)
from calls.models import Item as ItemRow
from calls.ports.summary import SummaryDraft
from calls.privacy.entries import entry_redacted, json_redacted
from calls.store.redaction import (
    AFTER_MS,
    AGENT_MARGIN_MS,
    BEFORE_MS,
    redaction_request,
    redactions_work,
)
from calls.store.summaries import Summarizers, summaries_run_due
from calls.store.traces import debug_file
from calls.store.tracks import RATE_HZ
from calls.store.units import unit_finish, unit_item
from calls.store.waveforms import recording_peaks
from calls.store.writing import units_write
from tests.privacy.forked import in_a_process
from tests.store.factories import WORD_MS, answered, demo_conversation, said

MS = RATE_HZ // 1000
ITEMS = (
    answered(1, "What is your phone number, please?", 1, 400),
    said(2, "it is five five five one two one two thanks", 1, 4_000),
    answered(3, "So 555 1212 it is. Goodbye", 1, 9_000, unheard=" and call 555 1313"),
    Item(4, Role.TOOL, '{"ok": true, "email": "a@b.example"}', 1, source=Source.TOOL,
         started_ms=12_000, ended_ms=12_100, tool_call_id="1", tool_name="save",
         arguments='{"phone": "5551212", "day": "Tuesday"}'),
    said(5, "tuesday at ten", 2, 14_000),
    Item(6, Role.USER, "mail me at x@y.example", 3, source=Source.TEXT, started_ms=18_000,
         ended_ms=18_000),
)  # fmt: skip


@pytest.fixture
def call(db) -> Conversation:
    return made("redact-me")


def made(call_id: str) -> Conversation:
    row = demo_conversation(call_id, items=ITEMS, turns=(), uses=())
    noise(row.recording)
    Summary.objects.filter(pk=row.pk).update(
        title="Call of 555 1212", summary="The caller left 555-121-2000.", outcome="booked",
        key_points=["Reach them at a@b.example"], extracted={"phone": "5551212", "n": 2},
    )  # fmt: skip
    redaction_request(row)
    return row


def noise(recording: Recording) -> None:
    """Sound without a silent sample."""
    file = recording.file
    header, size = file.read_bytes()[:HEADER_BYTES], file.stat().st_size - HEADER_BYTES
    samples = np.random.default_rng(3).integers(1, 30_000, size // 2).astype("<i2")
    file.write_bytes(header + samples.tobytes())
    recording_peaks(recording)


def sound(recording: Recording) -> np.ndarray:
    return np.frombuffer(recording.file.read_bytes()[HEADER_BYTES:], "<i2").reshape(-1, 2)


def silent_spans(before: np.ndarray, after: np.ndarray, channel: int) -> list[tuple[int, int]]:
    """Where the channel is zero now; everything else has to be as it was."""
    quiet = after[:, channel] == 0
    assert (after[~quiet, channel] == before[~quiet, channel]).all()
    edges = np.flatnonzero(np.diff(np.concatenate([[0], quiet.astype(int), [0]])))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def agent_span(item: Item, first: int, last: int) -> tuple[int, int]:
    """From the end of the word before to the end of the last word, with the margin."""
    start = item.started_ms + first * WORD_MS - AGENT_MARGIN_MS
    return start * MS, (item.started_ms + (last + 1) * WORD_MS + AGENT_MARGIN_MS) * MS


def test_exactly_the_span_is_silent(call):
    before, head = sound(call.recording).copy(), call.recording.file.read_bytes()[:HEADER_BYTES]
    assert redactions_work() == 1
    after = sound(call.recording)
    assert len(after) == len(before)
    assert call.recording.file.read_bytes()[:HEADER_BYTES] == head
    caller = ITEMS[1]
    start, end = (caller.started_ms - BEFORE_MS) * MS, (caller.ended_ms + AFTER_MS) * MS
    assert silent_spans(before, after, 0) == [(start, end)]
    assert silent_spans(before, after, 1) == [agent_span(ITEMS[2], 1, 2)]


def test_the_words_go_and_the_rest_stays(call):
    redactions_work()
    rows = {row.item_id: row for row in call.items.all()}
    assert rows[1].text == ITEMS[0].text
    assert rows[2].text == "it is [phone] thanks"
    assert (rows[3].text, rows[3].unheard) == ("So [phone] it is. Goodbye", " and call [phone]")
    marks = rows[3].domain().marks
    whole = rows[3].text + rows[3].unheard
    assert [whole[: mark.end_char] for mark in marks][3:5] == ["So [phone] it", "So [phone] it is."]
    assert marks[-1].end_char == len(whole)
    assert rows[4].arguments == '{"phone": "[phone]", "day": "Tuesday"}'
    assert rows[4].text == '{"ok": true, "email": "[email]"}'
    assert rows[5].text == "tuesday at ten"
    assert rows[6].text == "mail me at [email]"
    summary = Summary.objects.get(pk=call.pk)
    assert summary.title == "Call of [phone]"
    assert summary.summary == "The caller left [phone]."
    assert summary.key_points == ["Reach them at [email]"]
    assert summary.extracted == {"phone": "[phone]", "n": 2}
    redaction = Redaction.objects.get(pk=call.pk)
    assert (redaction.state, redaction.found) == ("done", 10)
    call.refresh_from_db()
    assert call.redacted_at is not None
    assert Conversation.objects.search("1212").count() == 0


def test_peaks_and_the_last_utterance_go_too(call):
    kept = call.recording.file.with_name(call.recording.file.name + ".peaks")
    debug_file(call.pk).parent.mkdir()
    debug_file(call.pk).write_bytes(b"x")
    assert kept.exists()
    redactions_work()
    assert not kept.exists()
    assert not debug_file(call.pk).exists()
    caller = ITEMS[1]
    at = 4 * ((caller.started_ms + 200) // 20)
    assert recording_peaks(call.recording)[at : at + 2] == b"\0\0"


def test_twice_is_once(call):
    redactions_work()
    once, rows = call.recording.file.read_bytes(), list(call.items.values())
    redaction_request(call)
    assert redactions_work() == 1
    assert call.recording.file.read_bytes() == once
    assert list(call.items.values()) == rows
    assert AuditEntry.objects.filter(call_id=call.pk, action="redacted").count() == 1


def test_an_older_revision_does_not_come_back(call):
    redactions_work()
    assert units_write([unit_item(call.pk, ITEMS[1])]) == []
    assert "five" not in ItemRow.objects.get(conversation=call, item_id=2).text


def test_a_recording_that_is_being_written_is_waited_for(call):
    Recording.objects.filter(pk=call.pk).update(state="writing")
    redactions_work()
    redaction = Redaction.objects.get(pk=call.pk)
    assert redaction.state == "pending"
    assert redaction.lease_until is not None


def test_without_a_recording_the_words_go(call):
    call.recording.file.unlink()
    redactions_work()
    assert Redaction.objects.get(pk=call.pk).state == "done"


def test_an_agent_that_redacts_has_it_done_before_the_summary(db):
    row = demo_conversation("auto", items=ITEMS, turns=(), uses=(), sound=False)
    Conversation.objects.filter(pk="auto").update(
        status="active", end_reason="", ended_at=None, duration_ms=None,
        agent_snapshot={**row.agent_snapshot, "redacted": True},
    )  # fmt: skip
    units_write([unit_finish("auto", EndReason.AGENT_ENDED, duration_ms=20_000)])
    assert Redaction.objects.get(pk="auto").state == "pending"
    assert Summary.objects.get(pk="auto").state == "pending"


class Listening:
    """A summarizer that keeps what it was sent."""

    name = "listening"

    def __init__(self):
        self.heard: list[str] = []

    async def summarize(self, items, *, language):
        self.heard.append(" ".join(item.text + item.unheard for item in items))
        return SummaryDraft(title="A call", summary="Something was said.", language="en")


@pytest.mark.django_db(transaction=True)
def test_the_model_is_sent_redacted_words_only():
    row = made("ordered")
    Summary.objects.filter(pk=row.pk).update(state="pending", title="", summary="")
    listening = Listening()
    summarizers = Summarizers(model=None, extractive=listening)
    assert asyncio.run(summaries_run_due(lambda agent: summarizers)) == 0
    assert redactions_work() == 1
    assert asyncio.run(summaries_run_due(lambda agent: summarizers)) == 1
    assert "[phone]" in listening.heard[0]
    assert "five" not in listening.heard[0]
    assert "555" not in listening.heard[0]


def test_a_summary_that_is_being_written_begins_anew(call):
    Summary.objects.filter(pk=call.pk).update(state="running", lease="theirs")
    redactions_work()
    summary = Summary.objects.get(pk=call.pk)
    assert (summary.state, summary.lease) == ("pending", "")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("point", range(2, 16, 4))
def test_killed_anywhere_it_finishes_the_next_time(point):
    row = made("killed")
    before = sound(row.recording).copy()
    status = in_a_process(redactions_work, kill_at=point)
    assert status == -signal.SIGKILL
    Redaction.objects.filter(pk=row.pk).exclude(state="done").update(
        lease_until=None, state="pending"
    )
    redactions_work()
    after = sound(row.recording)
    assert len(silent_spans(before, after, 0)) == 1
    assert len(silent_spans(before, after, 1)) == 1
    assert not row.items.filter(text__contains="five five").exists()
    assert AuditEntry.objects.filter(call_id=row.pk, action="redacted").count() == 1
    connection.close()


def test_silence_is_exact():
    pcm = np.arange(1, 21, dtype="<i2").tobytes()
    left = np.frombuffer(silenced(pcm, channels=2, channel=0), "<i2").reshape(-1, 2)
    assert (left[:, 0] == 0).all()
    assert left[:, 1].tolist() == list(range(2, 21, 2))
    with pytest.raises(ValueError, match="channel"):
        silenced(pcm, channels=2, channel=2)
    with pytest.raises(ValueError, match="torn"):
        silenced(pcm[:-1], channels=2, channel=0)
    assert joined([(5, 9), (1, 3), (3, 4), (8, 12), (7, 7)]) == [(1, 4), (5, 12)]


def test_what_stands_under_a_telling_name_goes_whole():
    given = {
        "first_name": "Ann", "filename": "x.txt", "phoneNumber": 5551212, "zip": "12",
        "wishes": ["call 555 123 4567", 7, None, True], "amount": 1250, "id": 1234567890,
    }  # fmt: skip
    assert json_redacted(given)[0] == {
        "first_name": "[name]", "filename": "x.txt", "phoneNumber": "[phone]", "zip": "[address]",
        "wishes": ["call [phone]", 7, None, True], "amount": 1250, "id": "[number]",
    }  # fmt: skip


def test_a_passage_over_the_cut_belongs_to_what_was_heard():
    item = answered(1, "call 555 12", 1, 0, unheard="34 567 now")
    kept = entry_redacted(item).item
    assert (kept.text, kept.unheard) == ("call [phone]", " now")
