"""Whole calls on the real services: a real server process, and a caller who speaks and interrupts."""

import pytest

from tests import needs
from tests.e2e.hosted import agent_is
from tests.server.callers import Caller, pcm_of
from tests.server.stored import Stored

pytestmark = [pytest.mark.live, pytest.mark.asyncio, pytest.mark.timeout(240)]

PATIENCE_S = 40
TELL = "Please tell me at length, in five sentences, what the weather is like in spring."
CASCADE = {"session": "cascade"}
ELEVENLABS = CASCADE | {"stt_provider": "elevenlabs", "tts_provider": "elevenlabs"}
OPENAI = CASCADE | {"stt_provider": "openai-live", "tts_provider": "openai-realtime"}
ONE_MODEL = {"session": "openai-realtime", "turn_detection": "ours"}
ITS_TURNS = {"session": "openai-realtime", "turn_detection": "server_vad"}


@pytest.mark.parametrize(
    "agent",
    [ELEVENLABS, OPENAI, ONE_MODEL, ITS_TURNS],
    ids=["ElevenLabs", "OpenAI", "speech to speech", "with the provider's turns"],
)
async def test_a_call_is_understood_interrupted_and_on_record(start_server, keys, agent):
    server = start_server(**keys)
    agent_is(server, **agent)
    async with Caller(server.ws_url, hasty=False) as caller:
        ready = await caller.start()
        await caller.hears_out(PATIENCE_S)
        await speaks(caller, "she-sells")
        transcript = await final_transcript(caller)
        assert "sell" in transcript.lower()
        await caller.hears_out(PATIENCE_S)
        await interrupts(caller)
        await caller.hears_out(PATIENCE_S)
        assert caller.of("error") == []
        assert await caller.hangs_up() == "caller_hung_up"
        items = caller.items()
    the_record_is_the_same(server, ready["call_id"], items)
    assert not any(keys[name] in server.log() for name in needs.LIVE if name.endswith("KEY"))


async def speaks(caller: Caller, name: str) -> None:
    await caller.is_silent(400)
    await caller.speaks(pcm_of(name))
    await caller.is_silent(1_500)


async def final_transcript(caller: Caller) -> str:
    def final() -> list[str]:
        return [said["text"] for said in caller.of("transcript") if said["final"] and said["text"]]

    await caller.until(lambda: bool(final()), PATIENCE_S)
    return final()[0]


async def interrupts(caller: Caller) -> None:
    """Speak while a long answer is heard: it stops, and what was not heard is known."""
    before = {number for number, _, _ in caller.frames}
    await caller.types(TELL)
    await caller.until(lambda: bool({n for n, _, _ in caller.frames} - before), PATIENCE_S)
    [response_id] = {number for number, _, _ in caller.frames} - before
    await caller.is_silent(1_200)
    await caller.speaks(pcm_of("she-sells"))
    await caller.is_silent(1_500)
    assert response_id in caller.cleared

    def cut() -> list[dict]:
        return [i for i in caller.items().values() if i["status"] == "interrupted"]

    await caller.until(lambda: bool(cut()), PATIENCE_S)
    [item] = cut()
    assert item["response_id"] == response_id
    assert item["unheard"]


def the_record_is_the_same(server, call_id: str, items: dict) -> None:
    stored = Stored(server.var_dir)
    stored.ended(call_id)
    rows = stored.items(call_id)
    assert {number: (row["text"], row["status"]) for number, row in rows.items()} == {
        number: (item["text"], item["status"]) for number, item in items.items()
    }
    uses = stored.rows("SELECT * FROM calls_serviceuse WHERE conversation_id = ?", call_id)
    assert uses
    for use in uses:
        assert use["outcome"] in ("ok", "cancelled"), use
        assert use["model"], use
