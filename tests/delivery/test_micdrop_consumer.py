"""micdrop's sockets: through the real routes, with calls of doubles behind them."""

import asyncio

import pytest
import pytest_asyncio
from channels.testing import WebsocketCommunicator

from calls.consumers import passing
from calls.domain import events as ev
from calls.domain.audio import CALLER
from calls.domain.events import Direction, Stage
from calls.ports.errors import ProviderError, ProviderFault
from tests.delivery.composition import HEADERS, Composition
from tests.doubles.voice import UseTool, Wait, Words
from tests.engine.bench import policy
from voiceapp.asgi import application

pytestmark = pytest.mark.asyncio

PIECE = bytes(CALLER.bytes(100))
WEBM = bytes.fromhex("1a45dfa3").ljust(1_455, b"\0")


class Files:
    """A decoder that knows one sound, or none."""

    def __init__(self):
        self.taken = []
        self.pcm = b"\1\0" * CALLER.samples(1_000)

    async def decode(self, data):
        self.taken.append(data)
        if self.pcm is None:
            raise ProviderError(
                ProviderFault.INVALID, "No sound.", provider="files", stage=Stage.STT
            )
        return self.pcm


@pytest.fixture
def files(monkeypatch):
    made = Files()
    monkeypatch.setattr(passing, "audio_files", lambda: made)
    return made


@pytest_asyncio.fixture
async def composition(monkeypatch):
    made = Composition()
    made.install(monkeypatch)
    yield made
    await made.close()


class Socket(WebsocketCommunicator):
    """A client's socket; sound is noted as `sound`, or an MP3 as `mp3`."""

    def __init__(self, composition, query):
        super().__init__(application, f"/ws/micdrop/demo/?{query}", headers=HEADERS)
        self.composition = composition
        self.got = []
        self.close_code = None

    async def open(self):
        connected, _ = await self.connect()
        assert connected
        await self.settle()

    @property
    def bench(self):
        return self.composition.calls[0]

    async def settle(self):
        """Let happen what can happen without time passing; take what was sent."""
        for _ in range(60):
            await asyncio.sleep(0)
        while not self.output_queue.empty():
            self._take(self.output_queue.get_nowait())

    async def after(self, ms):
        """Let time pass."""
        for _ in range(ms // 100):
            await self.bench.clock.advance(100)
            await self.settle()

    async def says(self, *frames):
        for frame in frames:
            kind = "bytes_data" if isinstance(frame, bytes) else "text_data"
            await self.send_to(**{kind: frame})
        await self.settle()

    async def speaks(self, *, ms=1_000):
        """A turn of clients of 1 and 2, sound in their way."""
        await self.says("StartSpeaking")
        await self.after(ms)
        await self.says(*(self.pieces or [PIECE] * (ms // 100)), "StopSpeaking")

    pieces = ()

    def _take(self, output):
        if output["type"] == "websocket.close":
            self.close_code = output["code"]
        elif output.get("bytes") is not None:
            sound = "mp3" if output["bytes"][0] == 0xFF else "sound"
            if self.got[-1:] != [sound]:
                self.got.append(sound)
        else:
            self.got.append(output["text"])

    def new(self):
        got, self.got = self.got, []
        return got


@pytest.fixture
def begun(composition, files):
    """A call of that version, greeted and listening."""

    async def begin(version, *, query="", **changes):
        composition.policy = policy(**({"first_message": None} | changes))
        socket = Socket(composition, f"v={version}{query}")
        if version == "1":
            socket.pieces = [WEBM, bytes(1_954)]
        await socket.open()
        return socket

    return begin


def user(text):
    return f'Message {{"role":"user","content":"{text}"}}'


def agent(text):
    return f'Message {{"role":"assistant","content":"{text}"}}'


# The opening


@pytest.mark.parametrize(
    ("version", "told"),
    [
        ("1.0", ["assistantMessage Hello.", "mp3"]),
        ("1", [agent("Hello."), "mp3"]),
        ("2", [agent("Hello."), "sound"]),
    ],
)
async def test_the_agent_speaks_first(begun, version, told):
    socket = await begun(version, first_message="Hello.")
    await socket.after(1_000)
    assert sorted(socket.got, key=told.index) == told
    assert version == "2" or socket.got == told


@pytest.mark.parametrize(
    ("version", "told"), [("1.0", []), ("1", ["SkipAnswer"]), ("2", ["SkipAnswer"])]
)
async def test_who_has_nothing_to_say_first_says_so(begun, version, told):
    socket = await begun(version)
    assert socket.got == told


# A turn


@pytest.mark.parametrize("version", ["1", "2"])
class TestTurns:
    async def test_a_turn_is_answered(self, begun, version, files):
        socket = await begun(version)
        socket.bench.voice.hears.append("What time is it?")
        socket.bench.voice.answers.append((Words("Noon."),))
        socket.new()
        await socket.speaks()
        await socket.after(1_000)
        told = socket.new()
        assert told[0] == user("What time is it?")
        assert sorted(told[1:]) == sorted([agent("Noon."), "mp3" if version == "1" else "sound"])
        assert [len(file) for file in files.taken] == ([1_455 + 1_954] if version == "1" else [])
        assert CALLER.ms(socket.bench.voice.utterances[-1]) == 1_000

    async def test_what_is_not_understood_is_skipped(self, begun, version):
        socket = await begun(version)
        socket.new()
        await socket.speaks(ms=300)
        assert socket.new() == ["SkipAnswer"]

    async def test_an_answer_without_a_voice_is_skipped_after_its_words(self, begun, version):
        socket = await begun(version)
        socket.bench.voice.hears.append("Hello.")
        socket.bench.voice.answers.append((Words("Hi.", 0),))
        socket.new()
        await socket.speaks()
        await socket.after(500)
        assert socket.new() == [user("Hello."), agent("Hi."), "SkipAnswer"]

    async def test_an_agent_that_chooses_to_say_nothing(self, begun, version):
        socket = await begun(version)
        socket.bench.voice.hears.append("I think that")
        socket.bench.voice.answers.append(
            (ev.ResponseDirected(response_id=0, direction=Direction.SKIP_ANSWER),)
        )
        socket.new()
        await socket.speaks()
        await socket.after(300)
        assert socket.new() == [user("I think that"), "SkipAnswer"]

    async def test_a_noise_is_taken_back(self, begun, version):
        socket = await begun(version)
        socket.bench.voice.hears.append("Er.")
        socket.bench.voice.answers.append(
            (
                ev.ResponseDirected(response_id=0, direction=Direction.CANCEL_LAST_USER),
                ev.ResponseDirected(response_id=0, direction=Direction.SKIP_ANSWER),
            )
        )
        socket.new()
        await socket.speaks()
        await socket.after(300)
        first, *rest = socket.new()
        assert first == user("Er.")
        assert "CancelLastUserMessage" in rest

    async def test_a_failure_is_no_reason_to_wait(self, begun, version):
        socket = await begun(version, apology_text="Sorry.")
        failed = ev.VoiceFailed(stage=Stage.STT, message="It broke.")
        socket.bench.voice.hears.append(failed)
        socket.new()
        await socket.speaks()
        await socket.after(1_000)
        assert sorted(socket.new()) == [agent("Sorry."), "mp3" if version == "1" else "sound"]

    async def test_a_transcript_that_is_pending_at_a_pause_is_not_answered(self, begun, version):
        socket = await begun(version)
        socket.bench.voice.commit = nothing
        socket.new()
        await socket.speaks()
        await socket.says("Mute")
        socket.bench.voice.emit(ev.TranscriptFinal(text="Hello."))
        await socket.after(1_000)
        assert socket.new() == [user("Hello.")]
        assert "respond" not in socket.bench.voice.whats()

    async def test_an_interrupted_answer_is_silent(self, begun, version):
        socket = await begun(version)
        socket.bench.voice.hears.extend(["Tell me.", "Stop."])
        socket.bench.voice.answers.append((Words("Once upon a time. ", 2_000), Wait()))
        socket.new()
        await socket.speaks()
        await socket.after(500)
        await socket.says("StartSpeaking")
        await socket.after(300)
        told = socket.new()
        # Of 2 it was heard in part, and is told so far; of 1 its words never came.
        assert told[0] == user("Tell me.")
        assert ("sound" in told) is (version == "2")
        assert "mp3" not in told
        assert [frame for frame in told[1:] if frame.startswith("Message")] == (
            [agent("Once")] if version == "2" else []
        )

    async def test_the_end_is_told_and_the_client_closes(self, begun, version):
        socket = await begun(version)
        socket.bench.voice.hears.append("Bye.")
        socket.bench.voice.answers.append(
            (Words("Goodbye."), ev.ResponseDirected(response_id=0, direction=Direction.END_CALL))
        )
        socket.new()
        await socket.speaks()
        await socket.after(2_000)
        assert socket.new()[-1] == "EndCall"
        assert socket.close_code is None


async def nothing():
    """The ears take their time."""


async def test_a_tool_is_told(begun):
    socket = await begun("2")
    socket.bench.voice.hears.append("Book it.")
    socket.bench.voice.answers.extend(
        [(Words("Let me see. "), UseTool("unknown", '{"day": "Monday"}')), (Words("Done."),)]
    )
    socket.new()
    await socket.speaks()
    await socket.after(2_000)
    told = [frame for frame in socket.new() if frame != "sound"]
    call = '{"role":"tool_call","toolCallId":"t1","toolName":"unknown","parameters":"{\\"day\\":\\"Monday\\"}"}'
    assert told[:3] == [user("Book it."), agent("Let me see."), f"Message {call}"]
    assert told[3].startswith('Message {"role":"tool_result","toolCallId":"t1"')
    assert told[-1] == agent("Done.")


# Files


async def test_a_file_that_cannot_be_decoded_was_silence(begun, files):
    socket = await begun("1")
    files.pcm = None
    socket.new()
    await socket.speaks(ms=300)
    assert socket.new() == ["SkipAnswer"]


async def test_a_turn_in_a_file_may_be_longer_than_turns_are(begun, files):
    """Its sound comes when it is over: nothing can be cut off before."""
    socket = await begun("1", max_turn_ms=5_000)
    socket.bench.voice.hears.append("A long story.")
    socket.new()
    await socket.speaks(ms=8_000)
    await socket.after(500)
    assert socket.new()[0] == user("A long story.")
    assert socket.bench.voice.whats().count("commit") == 1


async def test_the_longest_turn_holds_where_sound_comes_as_it_is_spoken(begun):
    socket = await begun("2", max_turn_ms=5_000)
    socket.bench.voice.hears.append("A long story.")
    socket.bench.voice.answers.append((Words("Enough.", 500),))
    socket.new()
    await socket.says("StartSpeaking", *[PIECE] * 5)
    await socket.after(8_000)
    assert socket.new()[0] == user("A long story.")
    await socket.says("StopSpeaking")
    await socket.after(1_000)
    assert {"sound", "SkipAnswer"} & set(socket.new())


# The socket


async def test_the_closed_socket_is_the_hang_up(begun):
    socket = await begun("2", first_message="Hello.")
    await socket.send_input({"type": "websocket.disconnect", "code": 1005})
    await socket.wait(2)
    await socket.bench.clock.advance(5_000)
    assert socket.bench.runner.over
