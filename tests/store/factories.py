"""Conversations to test with."""

from datetime import UTC, datetime, timedelta

import numpy as np

from calls.domain.audio import AGENT, CALLER
from calls.domain.errors import EndReason
from calls.domain.items import Item, ItemStatus, Mark, Role, Source
from calls.domain.timings import Turn, TurnTimings
from calls.domain.usage import ServiceUse
from calls.models import Agent, Conversation, Recording, RecordingState, Summary
from calls.store.agents import agent_get, demo_agent_ensure
from calls.store.database import in_database
from calls.store.records import Opening, OrmCallRecords, conversation_open
from calls.store.tracks import CHANNELS, LEFT, RATE_HZ, RIGHT, StereoFile, Track
from calls.store.units import unit_finish, unit_item, unit_turn, unit_use
from calls.store.writing import units_write

STARTED_AT = datetime(2026, 11, 20, 9, 41, 7, tzinfo=UTC)
WORD_MS = 300


def used(number: int, stage: str, provider: str, turn: int = 2, **fields) -> ServiceUse:
    """A request that went well, unless `fields` say otherwise."""
    defaults = {
        "response_id": None if stage == "stt" else turn,
        "model": "",
        "outcome": "ok",
        "began_ms": 7_000 + 100 * number,
        "first_ms": 180,
        "duration_ms": 420,
        "request_id": "",
    }
    return ServiceUse(
        number=number, turn=turn, stage=stage, provider=provider, **(defaults | fields)
    )


async def opened(call_id: str = "call-1", **changes) -> OrmCallRecords:
    await in_database(demo_agent_ensure)
    agent = await in_database(agent_get, "demo")
    opening = {"call_id": call_id, "agent": agent, "protocol": "browser", "language": "en"}
    return await conversation_open(Opening(**(opening | changes)))


def said(item_id: int, text: str, turn: int, started_ms: int, **fields) -> Item:
    """Words of the caller, at an even pace."""
    ended_ms = started_ms + WORD_MS * len(text.split())
    return Item(
        item_id,
        Role.USER,
        text,
        turn,
        source=Source.VOICE,
        started_ms=started_ms,
        ended_ms=ended_ms,
        **fields,
    )


def answered(
    item_id: int, text: str, turn: int, started_ms: int, unheard: str = "", **fields
) -> Item:
    """Words of the agent, with a mark behind each of them."""
    whole = text + unheard
    marks = []
    for number, word in enumerate(whole.split(" ")):
        end = (marks[-1].end_char + 1 if marks else 0) + len(word)
        marks.append(Mark(end, (number + 1) * WORD_MS))
    return Item(
        item_id,
        Role.AGENT,
        text,
        turn,
        unheard=unheard,
        status=ItemStatus.INTERRUPTED if unheard else ItemStatus.COMPLETE,
        started_ms=started_ms,
        ended_ms=started_ms + WORD_MS * len(text.split()),
        response_id=item_id,
        marks=tuple(marks),
        **fields,
    )


def waited(turn: int, stopped_ms: int, *stages_ms: int, **fields) -> Turn:
    """A turn whose stages took so long: endpointing, stt, llm, tts, playout, delivery."""
    at_ms = [stopped_ms]
    for ms in stages_ms:
        at_ms.append(at_ms[-1] + ms)
    timings = TurnTimings(max(0, stopped_ms - 1_500), *at_ms, at_ms[-1] + 2_000)
    return Turn(turn, timings, stt="pocketsphinx", llm="script", tts="espeak-ng", **fields)


GREETING = answered(
    1, "Hello, this is the demo practice. How can I help you?", 1, 400, source=Source.FIXED
)
ITEMS = (
    GREETING,
    said(2, "hi I would like to book an appointment please", 2, 4_600),
    answered(3, "Of course. Which day suits you? We are open from Monday", 2, 8_300,
             unheard=" to Friday, from eight in the morning until six in the evening."),
    said(4, "tuesday at ten", 3, 11_400),
    Item(5, Role.TOOL, '{"booked": true, "day": "Tuesday", "time": "10:00"}', 3,
         source=Source.TOOL, started_ms=13_250, ended_ms=13_420, response_id=6,
         tool_call_id="tool-1", tool_name="book_appointment",
         arguments='{"day": "Tuesday", "time": "10:00"}'),
    answered(6, "Done: Tuesday at ten o'clock. Is there anything else?", 3, 13_700,
             metadata={"confidence": 0.93}),
    Item(7, Role.USER, "Can you send me the address?", 4, source=Source.TEXT, started_ms=18_000,
         ended_ms=18_000),
    answered(8, "We are at 12 Mill Lane, opposite the station. You will get it by message.", 4,
             18_900),
    said(9, "thank you goodbye", 5, 24_800),
    answered(10, "Goodbye!", 5, 26_600),
)  # fmt: skip
TURNS = (
    waited(2, 7_300, 600, 280, 30, 60, 10, 20, interrupted=True, heard_ms=3_300, spoken_ms=6_600),
    waited(3, 12_300, 600, 310, 340, 90, 20, 40, heard_ms=2_700, spoken_ms=2_700),
    waited(5, 25_700, 600, 220, 5, 55, 5, 15, heard_ms=300, spoken_ms=300),
)
USES = (
    used(1, "stt", "elevenlabs", model="scribe_v2_realtime", outcome="timeout", first_ms=None,
         duration_ms=1_500, request_id="req_7f3a9c20d1e84b55"),
    used(2, "stt", "openai", model="gpt-transcribe", usage={"audio_ms": 2_400}),
    used(3, "llm", "openai", model="gpt-5.4-mini", outcome="cancelled", request_id="chatcmpl-BkQ81",
         usage={"input_tokens": 412, "output_tokens": 38}, estimated=True),
    used(4, "tts", "elevenlabs", model="eleven_flash_v2_5", outcome="cancelled",
         usage={"characters": 96, "spoken_ms": 6_600}),
    used(5, "stt", "elevenlabs", 3, model="scribe_v2_realtime", began_ms=12_950,
         usage={"audio_ms": 1_100}),
    used(6, "llm", "openai", 3, model="gpt-5.4-mini", began_ms=13_210, request_id="chatcmpl-BkQ82",
         usage={"input_tokens": 1_480, "cached_tokens": 1_280, "output_tokens": 52}),
    used(7, "llm", "openai", 4, model="gpt-5.4-mini", began_ms=18_020, outcome="busy",
         first_ms=None, duration_ms=90),
    used(8, "llm", "openai", 4, model="gpt-5.4-mini", began_ms=18_300,
         usage={"input_tokens": 1_530, "output_tokens": 44}),
)  # fmt: skip
EXTRACTED = {
    "name": None,
    "confirmed": True,
    "appointment": {"day": "Tuesday", "time": "10:00"},
    "wishes": ["the address by message"],
}
SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}}
LENGTH_MS = 27_400


def demo_conversation(
    call_id: str = "demo-call",
    *,
    items=ITEMS,
    turns=TURNS,
    uses=USES,
    started_at=STARTED_AT,
    sound=True,
) -> Conversation:
    """A finished call with everything that a call can leave behind."""
    demo_agent_ensure()
    agent = agent_get("demo")
    row = Conversation.objects.create(
        call_id=call_id,
        agent=Agent.objects.get(slug="demo"),
        agent_slug="demo",
        agent_snapshot={**agent.snapshot(), "extraction_schema": SCHEMA},
        protocol="browser",
        language="en",
        started_at=started_at,
        heartbeat_at=started_at + timedelta(milliseconds=LENGTH_MS),
        metadata={"page": "/pricing"},
        user_agent="Mozilla/5.0 (X11; Linux x86_64) Chrome/156.0",
    )
    units = [unit_item(call_id, item) for item in items]
    units += [unit_turn(call_id, turn) for turn in turns]
    units += [unit_use(call_id, use) for use in uses]
    units.append(unit_finish(call_id, EndReason.AGENT_ENDED, duration_ms=LENGTH_MS))
    assert units_write(units) == []
    Summary.objects.filter(pk=call_id).update(
        state="done",
        title="Appointment booked for Tuesday at ten",
        summary="The caller booked an appointment and asked for the address of the practice.",
        key_points=["Appointment on Tuesday at 10:00", "Address asked for"],
        next_steps=["Send the address by message"],
        outcome="booked",
        extracted=EXTRACTED,
        language="en",
        method="extractive",
        provider="embedded",
        done_at=started_at,
    )
    if sound:
        demo_recording(row, items)
    row.refresh_from_db()
    return row


def demo_recording(row: Conversation, items=ITEMS) -> Recording:
    """A recording in which something like speech is heard where it stands in the items."""
    recording = Recording(
        conversation=row, path=f"de/{row.pk}.wav", rate_hz=RATE_HZ, channels=CHANNELS
    )
    file = StereoFile(recording.file)
    tracks = (Track(CALLER.rate_hz), Track(AGENT.rate_hz))
    for item in items:
        channel = LEFT if item.role is Role.USER else RIGHT
        rate_hz = (CALLER, AGENT)[channel].rate_hz
        if item.role is Role.TOOL or item.ended_ms == item.started_ms:
            continue
        sound = babble(rate_hz, item.ended_ms - item.started_ms, (118, 190)[channel])
        for run in tracks[channel].place(item.started_ms, sound):
            file.place(channel, run)
    file.pad(LENGTH_MS)
    file.checkpoint()
    file.close()
    recording.state = RecordingState.COMPLETE
    recording.duration_ms, recording.size_bytes = file.duration_ms, file.size_bytes
    recording.save()
    return recording


def babble(rate_hz: int, ms: int, pitch_hz: int) -> bytes:
    """Syllables without words: harmonics that swell and fade."""
    t = np.arange(rate_hz * ms // 1000) / rate_hz
    swell = np.maximum(0, np.sin(2 * np.pi * t * 2.5)) * (0.55 + 0.45 * np.sin(t * 5.1))
    voice = sum(np.sin(2 * np.pi * pitch_hz * k * t) / k for k in range(1, 6))
    return (9_000 * swell * voice / 1.6).astype("<i2").tobytes()
