"""OpenAI's Python SDK, GA and beta, against the real server."""

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from openai import APIStatusError, AuthenticationError
from websockets import Origin, Subprotocol
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from tests.doubles.providers.base import serving_in_thread
from tests.doubles.providers.openai_http import OpenAIHttpDouble, says
from tests.interop.calls import Records, Seen, agree
from tests.interop.openai_sdk import BETA, GA, Talk, client_of, talking
from tests.server.callers import kept_server
from tests.servers import RealServer

pytestmark = [pytest.mark.interop, pytest.mark.asyncio, pytest.mark.timeout(120)]
both = pytest.mark.parametrize("dialect", [GA, BETA])

TRANSCRIBED = {"input": {"transcription": {"model": "whisper-1"}}}


@pytest.fixture(scope="module")
def mind() -> Iterator[OpenAIHttpDouble]:
    """The language model behind the agent."""
    double = OpenAIHttpDouble("test-key")
    with serving_in_thread(double):
        yield double


@pytest.fixture(autouse=True)
def by_itself_again(mind) -> Iterator[None]:
    """What one test puts into its mouth is not there for the next."""
    yield
    mind.answers.clear()
    mind.piece_delay_s = 0


@pytest.fixture(scope="module")
def server(installation, mind, tmp_path_factory) -> Iterator[RealServer]:
    """One server for the file; its agent asks the stand-in what to say."""
    place = tmp_path_factory.mktemp("openai_sdk") / "var"
    environment = {
        "LLM_BASE_URL": mind.base_url,
        "LLM_API_KEY": "test-key",
        "LLM_MODEL": "gpt-5.4-mini",
    }
    with kept_server(installation, place, **environment) as started:
        _add_agent(started.var_dir)
        yield started


def _add_agent(var_dir: Path) -> None:
    """One like the demo agent, without tools of its own.

    Summaries would take the answers that the tests put down for calls.
    """
    with closing(sqlite3.connect(var_dir / "db.sqlite3", timeout=10)) as database:
        database.execute("UPDATE calls_agent SET summarized = 0")
        columns = [row[1] for row in database.execute("PRAGMA table_info(calls_agent)")]
        values = {"id": "NULL", "slug": "'plain'", "tools": "'[]'"}
        chosen = ", ".join(values.get(name, name) for name in columns)
        database.execute(f"INSERT INTO calls_agent SELECT {chosen} FROM calls_agent")
        database.commit()


@pytest.fixture(scope="module")
def key(server, manage) -> str:
    return manage(server, "api_key", "create", "SDK").strip()


def settled(talk: Talk) -> None:
    """Nothing came that the SDK's types do not take, and nothing was wrong."""
    assert talk.strange == []
    assert talk.of("error") == []


@both
async def test_a_conversation_in_writing(server, key, records: Records, dialect):
    async with talking(server, key, dialect) as talk:
        session = await talk.configure(output_modalities=["text"])
        assert session["model"] == "gpt-realtime"
        await talk.writes("Good morning")
        done = await talk.answer()
        assert done["status"] == "completed"
        assert talk.text(done["id"]) == "You said: Good morning. I can help you with that."
        (item,) = done["output"]
        (part,) = item["content"]
        assert part["text"] == talk.text(done["id"])
        assert talk.of("response.output_audio.delta") == []
        settled(talk)
    record = records.only()
    agree(talk.seen(["Good morning"]), record)
    assert record.metadata == {"model": "gpt-realtime", "api_key": "SDK"}
    assert record.conversation["protocol"] == "openai-realtime"
    assert record.conversation["end_reason"] == "caller_hung_up"


# Speech


@both
async def test_a_spoken_turn(server, key, records: Records, dialect):
    async with talking(server, key, dialect, "plain") as talk:
        await talk.configure(audio=TRANSCRIBED)
        await talk.speaks("callers/friday")
        done = (await talk.until("response.done"))["response"]
        heard = await talk.until("conversation.item.input_audio_transcription.completed")
        await talk.until("response.output_audio.done")
        assert done["status"] == "completed"
        order = talk.kinds()
        spoken = [name for name in order if name in map(talk.name, SPOKEN_TURN)]
        assert list(dict.fromkeys(spoken)) == [talk.name(name) for name in SPOKEN_TURN]
        started = await talk.until("input_audio_buffer.speech_started")
        stopped = await talk.until("input_audio_buffer.speech_stopped")
        committed = await talk.until("input_audio_buffer.committed")
        assert len({started["item_id"], stopped["item_id"], committed["item_id"]}) == 1
        assert heard["item_id"] == committed["item_id"]
        assert 0 <= started["audio_start_ms"] < stopped["audio_end_ms"] < 6_000
        words = talk.transcript(done["id"])
        assert words.startswith("You said:")
        sound_ms = len(talk.sound(done["id"])) / 48
        assert 40 * len(words) < sound_ms < 120 * len(words), "it is as long as its words"
        await asyncio.sleep(sound_ms / 1000)
        settled(talk)
    record = records.only()
    caller, agent = records.stored.sound(record.call_id)
    assert [max(memoryview(sound).cast("h")) > 3_000 for sound in (caller, agent)] == [True, True]
    agree(talk.seen([heard["transcript"]]), record)
    assert record.heard == record.agent, "all of it was sent and not cut"
    assert record.conversation["heard"] == "assumed"


SPOKEN_TURN = (
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "response.created",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_audio_transcript.delta",
    "response.output_audio.delta",
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.done",
)


@both
async def test_turns_that_the_client_ends(server, key, records: Records, dialect):
    async with talking(server, key, dialect, "plain") as talk:
        audio = {"input": TRANSCRIBED["input"] | {"turn_detection": None}}
        session = await talk.configure(audio=audio)
        shown = session if dialect == BETA else session["audio"]["input"]
        assert shown["turn_detection"] is None
        await talk.speaks("callers/friday", rest_ms=1_500)
        assert talk.of("input_audio_buffer.speech_started") == []
        assert talk.of("response.created") == [], "nobody asked"
        await talk.connection.input_audio_buffer.commit()
        committed = await talk.until("input_audio_buffer.committed")
        heard = await talk.until("conversation.item.input_audio_transcription.completed")
        assert heard["item_id"] == committed["item_id"]
        assert talk.of("response.created") == [], "a commit asks for no answer"
        done = await talk.answer()
        assert talk.transcript(done["id"]).startswith("You said:")
        await talk.append(bytes(20 * 48_000))
        await talk.connection.input_audio_buffer.clear()
        await talk.until("input_audio_buffer.cleared")
        settled(talk)
    agree(talk.seen([heard["transcript"]]), records.only())


async def test_turns_that_the_server_ends_and_the_client_answers(server, key, records: Records):
    detection = {"type": "server_vad", "silence_duration_ms": 400, "create_response": False}
    async with talking(server, key, model="plain") as talk:
        audio = {"input": TRANSCRIBED["input"] | {"turn_detection": detection}}
        session = await talk.configure(audio=audio)
        shown = session["audio"]["input"]["turn_detection"]
        assert detection.items() <= shown.items()
        await talk.speaks("callers/friday", rest_ms=2_000)
        heard = await talk.until("conversation.item.input_audio_transcription.completed")
        assert talk.of("response.created") == [], "nobody asked"
        done = await talk.answer()
        assert talk.transcript(done["id"]).startswith("You said:")
        settled(talk)
    agree(talk.seen([heard["transcript"]]), records.only())


async def test_calls_at_once_do_not_mix(server, key, records: Records):
    async def call(name: str) -> Seen:
        async with talking(server, key, dialect=BETA if name < "c" else GA) as talk:
            words = [f"Hello from {name}", f"Goodbye says {name}"]
            for text in words:
                await talk.writes(text)
                done = await talk.answer()
                assert talk.transcript(done["id"]).startswith(f"You said: {text}.")
            settled(talk)
            return talk.seen(words)

    seen = await asyncio.gather(*map(call, "abcdef"))
    calls = [records.ended(call_id) for call_id in records.new()]
    by_first = {record.user[0]: record for record in calls}
    assert len(by_first) == len(seen)
    for one in seen:
        agree(one, by_first[one.user[0]])


LONG = (
    "Well, that is a long story, and I will tell you all of it from the beginning. "
    "It began many years ago in a small town by the sea, where nobody had a telephone yet. "
    "Then one day a stranger came, and he carried a heavy box under his arm."
)


HEARD_MS = 1_500


@both
@pytest.mark.parametrize("made", [False, True])
async def test_an_interruption_and_what_was_heard(
    server, key, mind, records: Records, dialect, made
):
    """While the answer is being made, and when only the client's loudspeaker is still busy."""
    mind.answers.append(says(*(f"{word} " for word in LONG.split())))
    mind.piece_delay_s = 0 if made else 0.25
    async with talking(server, key, dialect) as talk:
        await talk.writes("Tell me a story")
        await talk.connection.response.create()
        delta = await talk.until("response.output_audio.delta")
        await asyncio.sleep(2.5)
        if made:
            await talk.until("response.done")
        else:
            assert talk.of("response.done") == []
        await talk.speaks("appointment")
        await talk.until("input_audio_buffer.speech_started")
        cut = (await talk.until("response.done"))["response"]
        if made:
            assert cut["status"] == "completed"
        else:
            assert (cut["status"], cut["status_details"]["reason"]) == (
                "cancelled",
                "turn_detected",
            )
        await talk.connection.conversation.item.truncate(
            item_id=delta["item_id"], content_index=0, audio_end_ms=HEARD_MS
        )
        truncated = await talk.until("conversation.item.truncated")
        assert (truncated["item_id"], truncated["audio_end_ms"]) == (delta["item_id"], HEARD_MS)
        await talk.until("response.done", count=2)
        settled(talk)
    item = records.only().interrupted()[0]
    assert 10 < len(item["text"]) < 60, "a second and a half of words"
    assert LONG.startswith(item["text"].strip())


@both
async def test_a_cancelled_answer(server, key, mind, records: Records, dialect):
    mind.piece_delay_s = 0.15  # it still thinks when the client has had enough
    mind.answers.append(says(*(f"{word} " for word in LONG.split())))
    async with talking(server, key, dialect) as talk:
        await talk.writes("Tell me a story")
        await talk.connection.response.create()
        await talk.until("response.output_audio.delta")
        await talk.connection.response.cancel()
        done = (await talk.until("response.done"))["response"]
        assert done["status"] == "cancelled"
        assert done["status_details"]["reason"] == "client_cancelled"
        mind.piece_delay_s = 0
        since = len(talk.events)
        again = await talk.answer()
        assert again["status"] == "completed"
        assert talk.of("response.output_audio.delta", since, response_id=done["id"]) == []
        settled(talk)
    assert len(records.only().agent) == 2


@both
async def test_g711_in_both_directions(server, key, records: Records, dialect):
    form = {"format": {"type": "audio/pcmu"}}
    async with talking(server, key, dialect) as talk:
        await talk.configure(audio={"input": TRANSCRIBED["input"] | form, "output": form})
        await talk.speaks("callers/friday", form="g711")
        done = (await talk.until("response.done"))["response"]
        heard = await talk.until("conversation.item.input_audio_transcription.completed")
        words = talk.transcript(done["id"])
        sound_ms = len(talk.sound(done["id"])) / 8
        assert 40 * len(words) < sound_ms < 120 * len(words), "a byte a sample"
        settled(talk)
    agree(talk.seen([heard["transcript"]]), records.only())


# Functions, answers beside the conversation, items


BOOKING = {
    "type": "function",
    "name": "book_table",
    "description": "Books a table.",
    "parameters": {
        "type": "object",
        "properties": {"people": {"type": "integer"}},
        "required": ["people"],
    },
}


@both
async def test_a_function_that_the_client_answers(server, key, records: Records, dialect):
    async with talking(server, key, dialect, "plain") as talk:
        await talk.configure(tools=[BOOKING])
        await talk.writes("Please book a table")
        done = await talk.answer()
        (call,) = [item for item in done["output"] if item["type"] == "function_call"]
        assert (call["name"], call["arguments"], call["status"]) == (
            "book_table",
            '{"people": 1}',
            "completed",
        )
        arguments = await talk.until("response.function_call_arguments.done")
        assert (arguments["call_id"], arguments["arguments"]) == (
            call["call_id"],
            call["arguments"],
        )
        output = {
            "type": "function_call_output",
            "call_id": call["call_id"],
            "output": "Table nine",
        }
        await talk.connection.conversation.item.create(item=output)
        answered = await talk.answer()
        assert talk.transcript(answered["id"]) == "Here is what I found: Table nine"
        settled(talk)
    record = records.only()
    assert record.tools == [("book_table", {"people": 1})]
    agree(talk.seen(["Please book a table"]), record)


@both
async def test_an_answer_beside_the_conversation(server, key, records: Records, dialect):
    async with talking(server, key, dialect) as talk:
        await talk.writes("Good morning")
        await talk.answer()
        since = len(talk.events)
        content = [{"type": "input_text", "text": "Sum it up"}]
        modalities = {"output_modalities" if dialect == GA else "modalities": ["text"]}
        done = await talk.answer(
            conversation="none",
            metadata={"topic": "summary"},
            input=[{"type": "message", "role": "user", "content": content}],
            **modalities,
        )
        assert done["conversation_id"] is None
        assert done["metadata"] == {"topic": "summary"}
        assert talk.text(done["id"]) == "You said: Sum it up. I can help you with that."
        (created,) = talk.of("response.created", since)
        assert created["response"]["metadata"] == {"topic": "summary"}
        assert talk.of("conversation.item.added", since) == []
        settled(talk)
    agree(talk.seen(["Good morning"]), records.only())


@both
async def test_items_are_shown_and_deleted(server, key, mind, records: Records, dialect):
    async with talking(server, key, dialect) as talk:
        await talk.configure(output_modalities=["text"])
        wrong = await talk.writes("Forget this sentence")
        kept = await talk.writes("Good morning")
        await talk.connection.conversation.item.retrieve(item_id=wrong)
        shown = (await talk.until("conversation.item.retrieved"))["item"]
        assert shown["content"][0]["text"] == "Forget this sentence"
        await talk.connection.conversation.item.delete(item_id=wrong)
        deleted = await talk.until("conversation.item.deleted")
        assert deleted["item_id"] == wrong != kept
        await talk.answer()
        asked = str(mind.asked[-1].body["messages"])
        assert "Good morning" in asked
        assert "Forget this sentence" not in asked
        settled(talk)


@both
async def test_a_mistake_names_its_event_and_disturbs_nothing(server, key, dialect):
    mistakes = [
        ({"type": "conversation.item.delete", "item_id": "nobody"}, "item_not_found"),
        ({"type": "input_audio_buffer.commit"}, "input_audio_buffer_commit_empty"),
        ({"type": "response.cancel"}, "response_cancel_not_active"),
        ({"type": "session.update", "session": {"type": "realtime", "instructions": 5}},
         "invalid_value"),
        ({"type": "conversation.item.create"}, "missing_required_parameter"),
        ({"type": "no.such.event"}, "unknown_event"),
    ]  # fmt: skip
    async with talking(server, key, dialect) as talk:
        for number, (event, code) in enumerate(mistakes):
            await talk.connection.send(event | {"event_id": f"mine_{number}"})
            error = (await talk.until("error", count=number + 1))["error"]
            assert (error["event_id"], error["code"]) == (f"mine_{number}", code)
        await talk.writes("Good morning")
        assert (await talk.answer())["status"] == "completed"
        assert talk.strange == []
        assert len(talk.of("error")) == len(mistakes)


# Keys and secrets


async def test_a_secret_bought_by_the_sdk_begins_as_configured(server, key, records: Records):
    async with client_of(server, key) as client:
        bought = await client.realtime.client_secrets.create(
            expires_after={"anchor": "created_at", "seconds": 60},
            session={
                "type": "realtime",
                "model": "gpt-realtime",
                "instructions": "Be brief.",
                "output_modalities": ["text"],
            },
        )
    assert bought.value.startswith("ek_")
    type(bought).model_validate(bought.model_dump())
    async with talking(server, bought.value) as talk:
        session = (await talk.until("session.created"))["session"]
        assert (session["instructions"], session["output_modalities"]) == ("Be brief.", ["text"])
        await talk.writes("Good morning")
        done = await talk.answer()
        assert talk.text(done["id"])
        settled(talk)
    agree(talk.seen(["Good morning"]), records.only())


async def test_a_beta_secret(server, key, records: Records):
    async with client_of(server, key) as client:
        made = await client.beta.realtime.sessions.create(
            model="gpt-4o-realtime-preview", modalities=["text"], instructions="Be brief."
        )
    type(made).model_validate(made.model_dump())
    async with talking(server, made.client_secret.value, BETA) as talk:
        session = (await talk.until("session.created"))["session"]
        assert (session["instructions"], session["modalities"]) == ("Be brief.", ["text"])
        settled(talk)
    assert records.only().metadata["api_key"] == "SDK"


@both
@pytest.mark.parametrize("token", ["sk-voice-guess", "ek_guess"])
async def test_a_wrong_key_is_refused(server, records: Records, dialect, token):
    with pytest.raises(InvalidStatus) as refused:
        async with talking(server, token, dialect):
            pass
    assert refused.value.response.status_code == 403
    async with client_of(server, token) as client:
        with pytest.raises(AuthenticationError, match="API key"):
            await client.realtime.client_secrets.create()
    assert records.new() == []


async def test_a_secret_that_has_expired_is_refused(server, key, records: Records):
    async with client_of(server, key) as client:
        bought = await client.realtime.client_secrets.create()
    with closing(sqlite3.connect(server.var_dir / "db.sqlite3", timeout=10)) as database:
        database.execute("UPDATE calls_realtimesecret SET expires_at = '2020-01-01 00:00:00'")
        database.commit()
    with pytest.raises(InvalidStatus):
        async with talking(server, bought.value):
            pass
    assert records.new() == []


@pytest.mark.parametrize("with_secret", [False, True])
async def test_a_page_of_another_origin_shows_it_among_the_subprotocols(
    server, key, records: Records, with_secret
):
    if with_secret:
        async with client_of(server, key) as client:
            key = (await client.realtime.client_secrets.create()).value
    offered = [Subprotocol(name) for name in ("realtime", f"openai-insecure-api-key.{key}")]
    origin = Origin("https://elsewhere.example")
    url = f"{server.ws_url}/v1/realtime?model=gpt-realtime"
    async with connect(url, subprotocols=offered, origin=origin) as socket:
        assert socket.subprotocol == "realtime"
        assert json.loads(await socket.recv())["type"] == "session.created"
    records.only()


async def test_a_browser_is_told_what_is_wrong(server, records: Records):
    offered = [Subprotocol("realtime"), Subprotocol("openai-insecure-api-key.ek_guess")]
    async with connect(f"{server.ws_url}/v1/realtime", subprotocols=offered) as socket:
        assert json.loads(await socket.recv())["error"]["code"] == "invalid_api_key"
        with pytest.raises(ConnectionClosedError):
            await socket.recv()
        assert socket.close_code == 4401
    assert records.new() == []


async def test_the_socket_is_no_page(server):
    async with client_of(server, "none") as client:
        with pytest.raises(APIStatusError) as refused:
            await client.get("/realtime", cast_to=object)
    assert refused.value.status_code == 426
    assert refused.value.code == "websocket_required"


async def test_a_model_may_be_an_agent(server, key, records: Records):
    async with talking(server, key, model="plain") as talk:
        settled(talk)
    assert records.only().conversation["agent_slug"] == "plain"


async def test_a_revoked_key_is_refused(server, manage, records: Records):
    other = manage(server, "api_key", "create", "Revoked").strip()
    manage(server, "api_key", "revoke", "Revoked")
    with pytest.raises(InvalidStatus):
        async with talking(server, other):
            pass


async def test_nothing_of_keys_is_in_the_log(server, key):
    log = server.log()
    assert key not in log
    assert "ek_" not in log
    assert "Good morning" not in log
