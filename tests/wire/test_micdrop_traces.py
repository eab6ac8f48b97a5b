"""Calls of real clients, frame by frame, with what the call does between the frames.

A line is the client's (`>>`), the server's (`<<`), or what happens in the call. The server's text
frames are those of the recorded calls, to the byte; of sound, order and kind are.
"""

import pytest

from calls.domain import effects as do
from calls.domain.audio import AGENT
from calls.domain.effects import Outcome, Phase
from calls.domain.errors import EndReason
from calls.domain.items import Item, ItemStatus, Role
from calls.ports.client import AudioEnd, AudioFrame
from calls.wire.base import EncodedAudio, Knock
from calls.wire.micdrop.codec import Micdrop
from tests.wire.micdrop_rows import plain, shown

HELLO = "Hello, what can I do for you today?"
PARAMS = '{"authorization":"1234"}'
WEBM = bytes.fromhex("1a45dfa3")


class Call:
    """What the call has its client told, in the order in which the machine would."""

    def __init__(self, query):
        self.codec = Micdrop(Knock(query=query))
        self.item_id = self.response_id = 0

    def opens(self):
        if (hello := self.codec.greet()) is None:
            hello = self.codec.open(PARAMS)
        return hello

    def sends(self, *messages):
        return shown(frame for message in messages for frame in self.codec.send(message))

    def user(self, text):
        self.item_id += 1
        return self.sends(do.SendItem(Item(self.item_id, Role.USER, text, 1)))

    def text(self, text):
        self.response_id += 1
        self.words = text
        return self.sends(
            do.SendPhase(Phase.THINKING), do.SendResponseText(self.response_id, text, 0)
        )

    def sound(self, ms, *, end=True):
        pcm = b"\x10\x04" * AGENT.samples(60)
        frames = (AudioFrame(self.response_id, at, pcm) for at in range(0, ms, 60))
        made = do.SendResponseMade(self.response_id, 0, Outcome.COMPLETE)
        rest = (made, AudioEnd(self.response_id, ms)) if end else ()
        return self.sends(*frames, *rest)

    def stored(self, **metadata):
        """The whole answer is on the record, and none of it was heard yet."""
        self.item_id += 1
        item = Item(
            self.item_id,
            Role.AGENT,
            "",
            1,
            status=ItemStatus.IN_PROGRESS,
            unheard=self.words,
            response_id=self.response_id,
            metadata=metadata,
        )
        return self.sends(do.SendItem(item))

    def tool(self, name, *, output=None):
        if output is None:
            self.item_id += 1
        status = ItemStatus.IN_PROGRESS if output is None else ItemStatus.COMPLETE
        item = Item(
            self.item_id,
            Role.TOOL,
            output or "",
            1,
            status=status,
            tool_call_id="call_1",
            tool_name=name,
            arguments="{}",
            response_id=self.response_id + 1,
        )
        return self.sends(do.SendItem(item))

    def speaks(self, start, stop, chunks):
        """A turn: what it means, and what is answered at once."""
        heard = plain(self.codec.receive(start))
        for chunk in chunks:
            heard += plain(self.codec.receive(chunk))
        received = self.codec.receive(stop)
        return heard + plain(received), list(received.replies)


def file_of(sizes):
    """A recorder's pieces, the first with the file's beginning."""
    return [bytes(size) if at else WEBM.ljust(size, b"\0") for at, size in enumerate(sizes)]


def test_a_recorded_call_of_client_1_0_2():
    call = Call({"v": "1.0", "params": "1"})
    assert call.opens().token == "1234"
    assert call.text(HELLO) + call.sound(1_200) == []
    assert call.stored() == [f"assistantMessage {HELLO}", "an MP3"]
    assert call.sends(do.SendPhase(Phase.LISTENING)) == []
    first = file_of([8_601, *[8_063] * 6, 13])
    size = sum(map(len, first))
    assert (len(first), size) == (8, 56_992)
    turn, replies = call.speaks("startSpeaking", "stopSpeaking", first)
    assert (turn, replies) == (["speaks", {"file": size}, "has spoken"], [])
    assert call.user("User message one") == ["userMessage User message one"]
    assert call.text("The weather in Paris is mild today.") + call.sound(6_000) == []
    assert call.stored() == ["assistantMessage The weather in Paris is mild today.", "an MP3"]
    turn, _ = call.speaks("startSpeaking", "stopSpeaking", file_of([8_600] * 7))
    assert turn == ["speaks", {"file": 60_200}, "has spoken"]
    assert call.user("User message two") == ["userMessage User message two"]
    assert call.text("Goodbye.") + call.sound(1_200) == []
    assert call.stored() == ["assistantMessage Goodbye.", "an MP3"]
    assert call.sends(do.EndCall(EndReason.AGENT_ENDED)) == ["endInterview"]


def test_a_recorded_call_of_client_1_9_0_with_whole_files():
    call = Call({"v": "1", "params": "1"})
    call.opens()
    greeting = 'Message {"role":"assistant","content":"Hello, what can I do for you today?"}'
    assert len(greeting) == 76
    assert call.text(HELLO) + call.sound(8_500) == []
    assert call.stored() == [greeting, "an MP3"]
    first = file_of([1_455, *[1_947] * 26, 1_945])
    size = sum(map(len, first))
    assert (len(first), size) == (28, 54_022)
    turn, replies = call.speaks("StartSpeaking", "StopSpeaking", first)
    assert (turn, replies) == (["speaks", {"file": size}, "has spoken"], [])
    # The recorder's last piece comes after the end of the turn.
    assert call.codec.receive(bytes(900)).inbound == ()
    assert call.user("User message one") == ['Message {"role":"user","content":"User message one"}']
    assert call.text("The weather in Paris is mild today.") + call.sound(6_000) == []
    assert call.stored() == [
        'Message {"role":"assistant","content":"The weather in Paris is mild today."}',
        "an MP3",
    ]
    call.speaks("StartSpeaking", "StopSpeaking", file_of([1_455, *[1_954] * 33]))
    assert call.user("User message two") == ['Message {"role":"user","content":"User message two"}']
    assert call.text("Once upon a time. Goodbye!") + call.sound(8_000) == []
    # The recorded one has `"commands":{"endCall":true}` as well, which `EndCall` says anyway.
    assert call.stored(mood="happy") == [
        'Message {"role":"assistant","content":"Once upon a time. Goodbye!","metadata":{"mood":"happy"}}',
        "an MP3",
    ]
    assert call.sends(do.EndCall(EndReason.AGENT_ENDED)) == ["EndCall"]


def test_a_recorded_call_of_client_1_9_0_streamed_and_interrupted():
    call = Call({"v": "1", "audio": "stream"})
    call.opens()
    message = 'Message {"role":"assistant","content":"Hello, what can I do for you today?"}'
    assert call.text(HELLO) + call.sound(600, end=False) == []
    assert call.stored() == [message, "EnableSpeakerStreaming", "an MP3"]
    assert set(call.sound(1_200, end=False)) == {"an MP3"}
    assert plain(call.codec.receive("StartSpeaking")) == ["speaks"]
    assert call.sends(do.ClearAudio(1)) == ["CancelLastAssistantMessage"]
    assert call.sound(1_200) == []
    for chunk in file_of([1_455, 1_954]):
        call.codec.receive(chunk)
    received = call.codec.receive("StopSpeaking")
    assert isinstance(received.inbound[0], EncodedAudio)
    assert call.user("Wait.") == ['Message {"role":"user","content":"Wait."}']
    assert call.text("Yes?") + call.sound(600) == []
    assert call.stored() == ['Message {"role":"assistant","content":"Yes?"}', "an MP3"]


def test_a_recorded_call_of_client_2_2_2():
    call = Call({"v": "2", "params": "1"})
    call.opens()
    assert call.text(HELLO) == []
    assert call.stored() == [
        'Message {"role":"assistant","content":"Hello, what can I do for you today?"}'
    ]
    greeting = call.sound(8_520)
    assert sum(frame["pcm"] for frame in greeting) == 8_520 * 32
    assert {frame["pcm"] for frame in greeting[:-1]} == {7_680}
    assert call.sends(do.SendPhase(Phase.LISTENING)) == []
    turn, replies = call.speaks("StartSpeaking", "StopSpeaking", [bytes(3_250)] * 33)
    assert (turn, replies) == (["speaks", *[{"pcm": 3_250}] * 33, "has spoken"], [])
    assert call.user("User message one") == ['Message {"role":"user","content":"User message one"}']
    words = "The weather in Paris is mild today, with some clouds."
    assert call.text(words) == []
    before = call.sound(720, end=False)
    assert before == [{"pcm": 7_680}] * 2
    assert call.stored() == [f'Message {{"role":"assistant","content":"{words}"}}']
    after = call.sound(5_160)
    assert sum(frame["pcm"] for frame in before + after) == (720 + 5_160) * 32
    call.speaks("StartSpeaking", "StopSpeaking", [bytes(3_250)] * 40)
    assert call.user("User message two") == ['Message {"role":"user","content":"User message two"}']
    assert call.tool("end_call") == [
        'Message {"role":"tool_call","toolCallId":"call_1","toolName":"end_call","parameters":"{}"}'
    ]
    # `ToolCall` for every tool, and `EndCall` after the goodbye: the page says why.
    assert call.tool("end_call", output="null") == [
        'Message {"role":"tool_result","toolCallId":"call_1","toolName":"end_call","output":"null"}',
        'ToolCall {"name":"end_call","parameters":{},"output":null}',
    ]
    assert call.sends(do.EndCall(EndReason.AGENT_ENDED)) == ["EndCall"]


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_call_without_its_version_is_served_once_the_client_has_spoken(version):
    call = Call({})
    call.opens()
    assert call.codec.version == "2"
    chunks = file_of([1_455, 1_954]) if version == "1" else [bytes(3_250)] * 2
    call.speaks("StartSpeaking", "StopSpeaking", chunks)
    assert call.codec.version == version
    call.user("Hello.")
    call.text("Yes?")
    sound = call.sound(600)
    assert call.stored()[0] == 'Message {"role":"assistant","content":"Yes?"}'
    assert bool(sound) is (version == "2")
