"""The stand-in for OpenAI's Realtime API, asked by the real SDK."""

import asyncio
import base64

import pytest
import pytest_asyncio
from openai import AsyncOpenAI
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.doubles.providers.base import Fault, serving
from tests.doubles.providers.openai_realtime import (
    CallsTool,
    Fails,
    Hear,
    OpenAIRealtimeDouble,
    Says,
    Stalls,
    Stops,
)

LOUD = b"\1\1" * 24
QUIET = b"\0\0" * 24
CLOCK = {"type": "function", "name": "clock", "description": "", "parameters": {}}
LISTENS = {
    "type": "transcription",
    "audio": {"input": {"transcription": {"model": "gpt-live-transcribe"}}},
}


@pytest_asyncio.fixture
async def double():
    double = OpenAIRealtimeDouble()
    async with serving(double):
        yield double


@pytest_asyncio.fixture
async def client(double):
    async with await sdk(double, "test-key") as client:
        yield client


@pytest_asyncio.fixture
async def conversation(client):
    async with client.realtime.connect(model="gpt-realtime-2.1") as connection:
        yield connection


@pytest_asyncio.fixture
async def transcription(client):
    query = {"intent": "transcription"}
    async with client.realtime.connect(extra_query=query) as connection:
        yield connection


async def sdk(double, key):
    """Made beside the loop: it reads files, and asks the system what it is."""

    def made():
        client = AsyncOpenAI(api_key=key, base_url=double.base_url)
        assert client.default_headers
        return client

    return await asyncio.to_thread(made)


def b64(pcm):
    return base64.b64encode(pcm).decode()


async def until(connection, kind):
    """Events up to the first of that kind; each must be of the class that the SDK has for it."""
    events = []
    async for event in connection:
        events.append(event)
        assert event.event_id
        if event.type == kind:
            return events
    raise AssertionError(f"no {kind}")


async def answered(connection, **response):
    await connection.response.create(response=response)
    return await until(connection, "rate_limits.updated")


async def error_of(connection):
    return (await until(connection, "error"))[-1].error


def types(events):
    return [event.type for event in events]


def said(events):
    return "".join(e.delta for e in events if e.type == "response.output_audio_transcript.delta")


def pcm(events):
    deltas = [e.delta for e in events if e.type == "response.output_audio.delta"]
    return b"".join(map(base64.b64decode, deltas))


async def manual(connection, **session):
    await connection.session.update(
        session={"type": "realtime", "audio": {"input": {"turn_detection": None}}, **session}
    )
    return (await until(connection, "session.updated"))[-1]


@pytest.mark.asyncio
async def test_an_answer_has_every_event_of_its_kind_in_order(double, conversation):
    await manual(conversation)
    double.answers.append(Says("It is four. ", "Is that all?"))

    events = await answered(conversation)

    assert types(events) == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        *["response.output_audio_transcript.delta"] + ["response.output_audio.delta"] * 8,
        *["response.output_audio_transcript.delta"] + ["response.output_audio.delta"] * 8,
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "response.output_item.done",
        "conversation.item.done",
        "response.done",
        "rate_limits.updated",
    ]
    assert said(events) == "It is four. Is that all?"
    assert len(pcm(events)) == 24 * 60 * 48
    done = events[-2].response
    assert (done.status, done.usage.output_token_details.audio_tokens) == ("completed", 28)
    [item] = double.sessions[0].items
    assert item["audio_ms"] == 24 * 60


@pytest.mark.asyncio
async def test_the_sdk_has_a_class_for_every_event(double, conversation):
    """An unknown event would come out as another class, whose `type` it does not know."""
    await manual(conversation, tools=[CLOCK])
    double.answers.append([Says("One moment."), CallsTool("clock", '{"zone": "UTC"}')])

    events = await answered(conversation)

    for event in events:
        known = type(event).model_fields["type"].annotation
        assert event.type in known.__args__, event.type
    [done] = [e for e in events if e.type == "response.function_call_arguments.done"]
    assert (done.name, done.arguments) == ("clock", '{"zone": "UTC"}')
    assert [item.type for item in events[-2].response.output] == ["message", "function_call"]


@pytest.mark.asyncio
async def test_speech_is_noticed_committed_and_answered(double, conversation):
    await conversation.session.update(
        session={
            "type": "realtime",
            "audio": {
                "input": {
                    "transcription": {"model": "gpt-transcribe"},
                    "turn_detection": {"type": "server_vad", "silence_duration_ms": 200},
                }
            },
        }
    )
    double.hears.append("what time is it")
    for sound in (QUIET * 500, LOUD * 500, QUIET * 300):
        await conversation.input_audio_buffer.append(audio=b64(sound))

    events = {event.type: event for event in await until(conversation, "rate_limits.updated")}

    started = events["input_audio_buffer.speech_started"]
    assert started.audio_start_ms == 200
    assert events["input_audio_buffer.speech_stopped"].audio_end_ms == 1200
    assert events["input_audio_buffer.committed"].item_id == started.item_id
    heard = events["conversation.item.input_audio_transcription.completed"]
    assert (heard.transcript, heard.usage.type) == ("what time is it", "tokens")
    [committed] = double.sessions[0].appended_pcm.values()
    assert committed == QUIET * 300 + LOUD * 500 + QUIET * 200
    assert "what time is it" in double.sessions[0].items[1]["content"][0]["transcript"]


@pytest.mark.asyncio
@pytest.mark.parametrize(("eagerness", "stops_ms"), [("high", 700), ("low", 1300)])
async def test_semantic_detection_waits_as_eagerly_as_it_is_told(conversation, eagerness, stops_ms):
    turns = {"type": "semantic_vad", "eagerness": eagerness, "create_response": False}
    await conversation.session.update(
        session={"type": "realtime", "audio": {"input": {"turn_detection": turns}}}
    )
    await conversation.input_audio_buffer.append(audio=b64(LOUD * 500 + QUIET * 1000))

    events = await until(conversation, "input_audio_buffer.speech_stopped")

    assert events[-1].audio_end_ms == stops_ms


@pytest.mark.asyncio
async def test_who_speaks_interrupts_the_answer(double, conversation):
    double.answers.append(Says("One. ", "Two.", held_after=1))
    await conversation.response.create()
    await until(conversation, "response.output_audio.delta")

    await conversation.input_audio_buffer.append(audio=b64(LOUD * 20))
    events = await until(conversation, "response.done")

    done = events[-1].response
    assert (done.status, done.status_details.reason) == ("cancelled", "turn_detected")
    assert done.output[0].status == "incomplete"
    assert done.usage.total_tokens > 0
    assert types(events)[-6:-1] == [
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "response.output_item.done",
        "conversation.item.done",
    ]


@pytest.mark.asyncio
async def test_responses_beside_the_conversation_run_in_parallel(double, conversation):
    await manual(conversation)
    double.answers.append(Stalls())
    double.readings.append(Says("First."))
    await conversation.response.create()
    for number in ("1", "2"):
        await conversation.response.create(
            response={
                "conversation": "none",
                "metadata": {"seg": number},
                "input": [
                    {
                        "type": "message",
                        "role": "user",
                        "content": [{"type": "input_text", "text": "Second, verbatim."}],
                    }
                ],
            }
        )

    events = await until(conversation, "rate_limits.updated")
    events += await until(conversation, "rate_limits.updated")

    created = [e.response for e in events if e.type == "response.created"][1:]
    assert [r.metadata for r in created] == [{"seg": "1"}, {"seg": "2"}]
    assert [r.conversation_id for r in created] == [None, None]
    transcripts = {
        e.response_id: e.transcript for e in events if e.type.endswith("transcript.done")
    }
    assert transcripts == {created[0].id: "First.", created[1].id: "Second, verbatim."}
    assert double.sessions[0].items == []


@pytest.mark.asyncio
async def test_only_one_response_is_active_and_only_an_active_one_is_cancelled(
    double, conversation
):
    await conversation.response.cancel()
    assert (await error_of(conversation)).code == "response_cancel_not_active"

    double.answers.append(Stalls())
    await conversation.response.create()
    await conversation.response.create()
    assert (await error_of(conversation)).code == "conversation_already_has_active_response"

    await conversation.response.cancel()
    done = (await until(conversation, "response.done"))[-1].response
    assert (done.status, done.status_details.reason) == ("cancelled", "client_cancelled")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("answer", "status", "detail"),
    [
        (Fails("server_error"), "failed", "server_error"),
        (Stops(), "incomplete", "max_output_tokens"),
    ],
)
async def test_an_answer_may_end_badly(double, conversation, answer, status, detail):
    double.answers.append(answer)

    done = (await answered(conversation))[-2].response

    assert done.status == status
    assert detail in done.status_details.to_json()


@pytest.mark.asyncio
async def test_text_alone(double, conversation):
    double.answers.append(Says("Four."))

    events = await answered(conversation, output_modalities=["text"])

    assert [e.text for e in events if e.type == "response.output_text.done"] == ["Four."]
    assert pcm(events) == b""


@pytest.mark.asyncio
async def test_a_tool_gives_its_result_and_is_answered(double, conversation):
    await manual(conversation, tools=[CLOCK])
    double.answers.append(CallsTool("clock", call_id="call_x"))
    await answered(conversation)
    output = {"type": "function_call_output", "call_id": "call_y", "output": "16:00"}
    await conversation.conversation.item.create(item=output)
    assert (await error_of(conversation)).code == "invalid_tool_call_id"
    await conversation.conversation.item.create(item={**output, "call_id": "call_x"})

    events = await answered(conversation)

    assert "16:00" in said(events)


@pytest.mark.asyncio
async def test_truncation_has_bounds_and_takes_the_words(double, conversation):
    await manual(conversation)
    double.answers.append(Says("It is four."))
    item_id = (await answered(conversation))[-2].response.output[0].id
    [item], heard_ms = double.sessions[0].items, 11 * 60

    async def truncate(end_ms, item_id=item_id):
        await conversation.conversation.item.truncate(
            item_id=item_id, content_index=0, audio_end_ms=end_ms
        )

    await truncate(heard_ms + 1)
    assert (await error_of(conversation)).message == (
        f"Audio content of {heard_ms}ms is already shorter than {heard_ms + 1}ms"
    )
    await truncate(300)
    truncated = (await until(conversation, "conversation.item.truncated"))[-1]
    assert (truncated.item_id, truncated.audio_end_ms) == (item_id, 300)
    assert item["audio_ms"] == 300
    assert "transcript" not in item["content"][0]
    await truncate(10, "nobody")
    assert (await error_of(conversation)).code == "item_truncate_invalid_item_id"


@pytest.mark.asyncio
async def test_only_what_the_model_said_is_truncated(double, conversation):
    await conversation.conversation.item.create(
        item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}
    )
    item_id = (await until(conversation, "conversation.item.done"))[-1].item.id

    await conversation.conversation.item.truncate(item_id=item_id, content_index=0, audio_end_ms=0)

    message = (await error_of(conversation)).message
    assert message == "Only model output audio messages can be truncated"


@pytest.mark.asyncio
async def test_items_are_put_in_place_retrieved_and_deleted(double, conversation):
    def message(item_id, role, kind):
        content = [{"type": kind, "text": "Hello"}]
        return {"id": item_id, "type": "message", "role": role, "content": content}

    items = conversation.conversation.item
    await items.create(item=message("b", "user", "input_text"))
    await items.create(item=message("a", "system", "input_text"), previous_item_id="root")
    await items.create(item=message("c", "assistant", "output_text"), previous_item_id="b")
    await items.retrieve(item_id="c")
    await items.delete(item_id="b")
    events = await until(conversation, "conversation.item.deleted")

    assert [item["id"] for item in double.sessions[0].items] == ["a", "c"]
    added = [(e.item.id, e.previous_item_id) for e in events if e.type.endswith("item.added")]
    assert added == [("b", None), ("a", None), ("c", "b")]
    assert events[-2].item.content[0].text == "Hello"
    await items.create(item=message("d", "assistant", "input_text"))
    assert (await error_of(conversation)).param == "item.content[0].type"
    await items.delete(item_id="b")
    assert (await error_of(conversation)).code == "item_delete_invalid_item_id"
    await items.create(item=message("e", "user", "input_text"), previous_item_id="nobody")
    assert (await error_of(conversation)).param == "previous_item_id"


INPUT = {"transcription": {"model": "gpt-live-transcribe"}}
UPDATES = [
    # code                          session
    ("missing_required_parameter",  {"instructions": "Be brief."}),
    ("invalid_parameter",           {"type": "transcription"}),
    ("invalid_parameter",           {"type": "realtime", "model": "another"}),
    ("unknown_parameter",           {"type": "realtime", "modalities": ["audio"]}),
    ("invalid_value",               {"type": "realtime", "output_modalities": ["audio", "text"]}),
    ("invalid_value",               {"type": "realtime", "audio": {"output": {"voice": "nobody"}}}),
    ("decimal_above_max_value",     {"type": "realtime", "audio": {"output": {"speed": 1.6}}}),
    ("invalid_value",               {"type": "realtime", "audio": {"input": {"format": {"type": "audio/pcm", "rate": 16000}}}}),
    ("invalid_value",               {"type": "realtime", "audio": {"input": {**INPUT, "turn_detection": {"type": "server_vad"}}}}),
]  # fmt: skip


@pytest.mark.asyncio
@pytest.mark.parametrize(("code", "session"), UPDATES)
async def test_a_session_takes_only_what_it_knows(double, conversation, code, session):
    before = double.sessions[0].session

    await conversation.send({"type": "session.update", "event_id": "mine", "session": session})
    error = await error_of(conversation)

    assert (error.code, error.event_id) == (code, "mine")
    assert double.sessions[0].session == before


@pytest.mark.asyncio
async def test_updates_add_up_and_turn_detection_is_replaced(conversation):
    turns = {"type": "server_vad", "silence_duration_ms": 900}
    await conversation.session.update(
        session={"type": "realtime", "audio": {"input": {"turn_detection": turns}}}
    )
    await until(conversation, "session.updated")
    updated = await manual(conversation, instructions="Be brief.")

    assert updated.session.instructions == "Be brief."
    assert updated.session.audio.input.turn_detection is None
    assert updated.session.audio.output.voice == "marin"


@pytest.mark.asyncio
async def test_the_voice_stays_once_it_was_heard(conversation):
    await manual(conversation, audio={"output": {"voice": "cedar"}})
    await answered(conversation)

    await conversation.session.update(
        session={"type": "realtime", "audio": {"output": {"voice": "marin"}}}
    )

    assert (await error_of(conversation)).code == "cannot_update_voice"


@pytest.mark.asyncio
async def test_unknown_events_and_broken_ones_are_refused_and_harm_nothing(conversation):
    await conversation.send({"type": "session.destroy", "event_id": "mine"})
    error = await error_of(conversation)
    assert (error.code, error.param, error.event_id) == ("invalid_value", "type", "mine")
    await conversation.input_audio_buffer.append(audio="not base64!")
    assert (await error_of(conversation)).param == "audio"
    await conversation.input_audio_buffer.append(audio=b64(LOUD * 99))
    await conversation.input_audio_buffer.commit()
    assert (await error_of(conversation)).code == "input_audio_buffer_commit_empty"
    await conversation.input_audio_buffer.clear()
    await until(conversation, "input_audio_buffer.cleared")


@pytest.mark.asyncio
async def test_transcription_hears_while_the_caller_speaks(double, transcription):
    await transcription.session.update(session=LISTENS)
    double.hears.append(Hear("What time is it?", partials=("What", " time")))
    double.usage_by_duration = True
    for sound in (QUIET * 100, LOUD * 100, LOUD * 100):
        await transcription.input_audio_buffer.append(audio=b64(sound))
    early = await until(transcription, "conversation.item.input_audio_transcription.delta")
    assert early[-1].delta == "What"

    await transcription.input_audio_buffer.commit()
    kind = "conversation.item.input_audio_transcription.completed"
    events = await until(transcription, kind)

    assert types(events) == [
        "conversation.item.input_audio_transcription.delta",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        kind,
    ]
    assert {e.item_id for e in (early[-1], events[0], events[1], events[4])} == {early[-1].item_id}
    assert (events[4].transcript, events[4].usage.seconds) == ("What time is it?", 0.3)


@pytest.mark.asyncio
async def test_completions_may_overtake_each_other_or_fail(double, transcription):
    await transcription.session.update(session=LISTENS)
    late = asyncio.Event()
    double.hears += [
        Hear("first", after=late),
        "second",
        Hear("third", fails="audio_unintelligible"),
    ]
    for _ in range(3):
        await transcription.input_audio_buffer.append(audio=b64(LOUD * 200))
        await transcription.input_audio_buffer.commit()

    events = await until(transcription, "conversation.item.input_audio_transcription.failed")
    late.set()
    kind = "conversation.item.input_audio_transcription.completed"
    events += await until(transcription, kind)

    committed = [e.item_id for e in events if e.type == "input_audio_buffer.committed"]
    completed = [(committed.index(e.item_id), e.transcript) for e in events if e.type == kind]
    assert completed == [(1, "second"), (0, "first")]
    [failed] = [e for e in events if e.type.endswith("failed")]
    assert (failed.item_id, failed.error.code) == (committed[2], "audio_unintelligible")


@pytest.mark.asyncio
async def test_a_transcription_session_does_not_converse(transcription):
    await transcription.session.update(session={"type": "realtime"})
    assert (await error_of(transcription)).code == "invalid_parameter"
    await transcription.response.create()
    assert (await error_of(transcription)).code == "invalid_value"


@pytest.mark.asyncio
async def test_hooks_hear_and_speak(double, conversation):
    double.transcribe = lambda pcm: f"{len(pcm) // 32} ms"
    double.synthesize = lambda text: b"\2\0" * len(text)
    await manual(conversation)
    await conversation.input_audio_buffer.append(audio=b64(LOUD * 500))
    await conversation.input_audio_buffer.commit()

    events = await answered(conversation)

    assert said(events) in [f"You said: {ms} ms. What else?" for ms in (499, 500, 501)]
    assert pcm(events) == b"\2\0" * len(said(events))


@pytest.mark.asyncio
async def test_older_servers_have_other_names(double, conversation):
    double.old_names = True
    double.answers.append(Says("Four."))
    kinds = []
    await conversation.response.create()
    while not kinds or kinds[-1] != "rate_limits.updated":
        kinds.append((await conversation.recv()).type)

    assert "response.audio.delta" in kinds
    assert "response.audio_transcript.done" in kinds
    assert "conversation.item.created" in kinds
    assert not any("output_audio" in kind or kind == "conversation.item.done" for kind in kinds)


@pytest.mark.asyncio
@pytest.mark.parametrize("code", [1000, 1001, 1006])
async def test_a_session_may_be_cut(double, conversation, code):
    await until(conversation, "session.created")
    double.cut_session(code, event={"type": "error", "error": {"code": "session_expired"}})

    assert (await conversation.recv()).error.code == "session_expired"
    with pytest.raises(ConnectionClosed) as closed:
        await conversation.recv()
    assert (closed.value.rcvd.code if closed.value.rcvd else 1006) == code
    await double.asked[0].over.wait()
    assert not double.sessions[0].open


@pytest.mark.asyncio
async def test_a_session_ends_when_its_time_is_over(double, client):
    double.session_limit_s = 0.01
    async with client.realtime.connect(model="gpt-realtime-2.1") as connection:
        assert [event.type async for event in connection] == ["session.created", "error"]
    assert double.busy == 0


@pytest.mark.asyncio
async def test_a_session_ends_with_its_client(double, client):
    async with client.realtime.connect(model="gpt-realtime-2.1") as connection:
        await until(connection, "session.created")
        assert double.sessions[0].open
        assert double.busy == 1
    await double.asked[0].over.wait()
    assert double.asked[0].close_code == 1000
    assert (double.busy, double.sessions[0].open) == (0, False)


@pytest.mark.asyncio
async def test_who_may_connect(double):
    async with await sdk(double, "wrong") as stranger:
        with pytest.raises(InvalidStatus) as refusal:
            await stranger.realtime.connect(model="m").enter()
    assert refusal.value.response.status_code == 401
    assert b"invalid_api_key" in refusal.value.response.body


@pytest.mark.asyncio
async def test_a_secret_opens_a_session(double, client):
    session = {"type": "realtime", "model": "gpt-realtime-2.1", "instructions": "Be brief."}
    secret = await client.realtime.client_secrets.create(session=session)
    assert secret.session.instructions == "Be brief."

    async with (
        await sdk(double, secret.value) as browser,
        browser.realtime.connect(model="gpt-realtime-2.1") as connection,
    ):
        await until(connection, "session.created")


@pytest.mark.asyncio
async def test_faults_strike_a_session(double, client):
    double.fail("/realtime", Fault(after=1, ws_garbage="{"), Fault(after=1, ws_close=(4000, "no")))
    for broken in (ValueError, ConnectionClosed):
        async with client.realtime.connect(model="gpt-realtime-2.1") as connection:
            await until(connection, "session.created")
            await connection.input_audio_buffer.clear()
            with pytest.raises(broken):
                await connection.recv()
