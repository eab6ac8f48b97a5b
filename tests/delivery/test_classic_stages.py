"""AVR's single stages in process: what goes wrong, who goes, and where sound is cut."""

import asyncio
import json
from dataclasses import dataclass, field

import pytest

from calls.consumers import classic_ears
from calls.consumers.classic_ears import Ears
from calls.consumers.classic_http import (
    ClientGoneError,
    RefusedError,
    Reply,
    json_body,
    while_there,
)
from calls.domain.events import Stage
from calls.domain.policy import Policy
from calls.ports.errors import ProviderError, ProviderFault
from tests.doubles.detector import ScriptedDetector
from tests.doubles.speech import OnFeed, ScriptedRecogniser, Stall

pytestmark = pytest.mark.asyncio

LOUD = b"\x00\x40"
FAILED = ProviderError(ProviderFault.UNAVAILABLE, "No.", provider="x", stage=Stage.STT)


@dataclass
class Agent:
    """As much of an agent's settings as hearing takes."""

    policy: Policy = field(default_factory=Policy)
    language: str = "en"


class Bench:
    """A line, its detector, a recogniser, and what was written."""

    def __init__(self, **policy):
        self.detector = ScriptedDetector()
        self.stt = ScriptedRecogniser()
        self.written = []
        self.agent = Agent(Policy(**policy))
        self.body = asyncio.Queue()

    async def write(self, text):
        self.written.append(text)

    def says(self, ms):
        self._put(LOUD * (ms * 8))

    def is_silent(self, ms):
        self._put(bytes(ms * 16))

    def _put(self, pcm, *, more=True):
        self.body.put_nowait({"type": "http.request", "body": pcm, "more_body": more})

    def ends(self):
        self._put(b"", more=False)

    def goes(self):
        self.body.put_nowait({"type": "http.disconnect"})

    def listening(self):
        ears = Ears(self.detector, self.stt, self.agent, write=self.write)
        return ears.listen(self.body.get)


async def test_each_utterance_is_written_in_order():
    bench = Bench()
    bench.stt.scripts += [["one"], ["two"]]
    for _ in range(2):
        bench.says(500)
        bench.is_silent(1_000)
    bench.ends()
    await bench.listening()
    assert bench.written == ["one", "two"]
    assert all(heard.left for heard in bench.stt.utterances)
    assert bench.detector.detections[0].closed


async def test_a_short_pause_does_not_part_an_utterance():
    bench = Bench(endpoint_silence_ms=600)
    bench.stt.scripts += [["one"], ["two"]]
    bench.says(500)
    bench.is_silent(400)
    bench.says(500)
    bench.is_silent(1_000)
    bench.ends()
    await bench.listening()
    assert bench.written == ["one"]
    (heard,) = bench.stt.utterances
    assert 1_900 < len(heard.pcm) / 32 < 2_400, (
        "with what came before, and until the silence was long enough"
    )


async def test_an_utterance_that_takes_too_long_is_parted():
    bench = Bench(max_turn_ms=1_000)
    bench.stt.scripts += [["one"], ["two"], ["three"]]
    bench.says(2_500)
    bench.ends()
    await bench.listening()
    assert bench.written == ["one", "two", "three"]
    spoken = sum(len(heard.pcm) for heard in bench.stt.utterances)
    assert spoken > 32 * 2_400, "nothing is lost between them"


async def test_nothing_is_written_of_silence_or_of_noise():
    bench = Bench()
    bench.stt.scripts += [[""]]
    bench.is_silent(1_000)
    bench.says(300)
    bench.is_silent(1_000)
    bench.ends()
    await bench.listening()
    assert bench.written == []


@pytest.mark.parametrize("script", [[FAILED], [OnFeed(FAILED)]])
async def test_one_utterance_that_fails_costs_no_other(script, caplog):
    bench = Bench()
    bench.stt.scripts += [script, ["two"]]
    for _ in range(2):
        bench.says(500)
        bench.is_silent(1_000)
    bench.ends()
    await bench.listening()
    assert bench.written == ["two"]
    assert "An utterance was lost" in caplog.text


async def test_an_utterance_that_is_never_understood_is_given_up():
    bench = Bench(stt_wait_ms=50)
    bench.stt.scripts += [[Stall()], ["two"]]
    for _ in range(2):
        bench.says(500)
        bench.is_silent(1_000)
    bench.ends()
    await bench.listening()
    assert bench.written == ["two"]


async def test_who_goes_frees_everything():
    bench = Bench()
    bench.stt.scripts += [[Stall()]]
    bench.says(500)
    bench.is_silent(1_000)
    bench.says(500)
    bench.goes()
    with pytest.raises(ClientGoneError):
        await bench.listening()
    assert bench.written == []
    assert all(heard.left for heard in bench.stt.utterances)
    assert bench.detector.detections[0].closed


async def test_no_more_waits_for_the_detector_than_it_takes():
    bench = Bench()
    bench.detector.held = True
    bench.says(10_000)
    bench.ends()
    async with asyncio.TaskGroup() as group:
        group.create_task(bench.listening())
        for _ in range(20):
            await asyncio.sleep(0)
        assert bench.detector.most_waiting == classic_ears.ASKED_WINDOWS
        bench.detector.let_go()
    assert len(bench.stt.utterances) == 1


async def test_speech_that_nobody_takes_is_dropped_and_its_end_is_not(monkeypatch):
    monkeypatch.setattr(classic_ears, "WAITING_CHUNKS", 10)
    bench = Bench()
    bench.stt.scripts += [["one"], ["two"]]
    for _ in range(2):
        bench.says(2_000)
        bench.is_silent(1_000)
    bench.ends()
    await asyncio.wait_for(bench.listening(), 5)
    assert bench.written[0] == "one"


# Requests and answers


class Sent:
    """What a server is given to send."""

    def __init__(self):
        self.messages = []

    async def __call__(self, message):
        self.messages.append(message)

    @property
    def body(self):
        return b"".join(m.get("body", b"") for m in self.messages)


async def test_a_refusal_is_json_and_ends_the_answer():
    sent = Sent()
    await Reply(sent).refuse(403, "No.")
    assert sent.messages[0]["status"] == 403
    assert json.loads(sent.body) == {"message": "No."}
    assert sent.messages[-1]["more_body"] is False


async def test_an_answer_that_has_begun_can_only_end():
    sent = Sent()
    reply = Reply(sent)
    await reply.begin("audio/l16")
    await reply.write(b"12")
    await reply.refuse(502, "No.")
    await reply.end()
    assert [m["status"] for m in sent.messages if m["type"] == "http.response.start"] == [200]
    assert sent.body == b"12"
    assert [m["more_body"] for m in sent.messages[1:]].count(False) == 1


def pieces_of(*bodies, gone=False):
    queue = asyncio.Queue()
    for at, body in enumerate(bodies):
        more = gone or at < len(bodies) - 1
        queue.put_nowait({"type": "http.request", "body": body, "more_body": more})
    if gone:
        queue.put_nowait({"type": "http.disconnect"})
    return queue.get


async def test_a_body_may_come_in_pieces():
    assert await json_body(pieces_of(b'{"te', b'xt": "a"}'), most_bytes=100) == {"text": "a"}


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"{", 400), (b"[]", 400), (b"\xff", 400), (b"[" * 90, 400), (b" " * 101, 413)],
)
async def test_a_body_that_cannot_be_used(body, status):
    with pytest.raises(RefusedError) as refused:
        await json_body(pieces_of(body), most_bytes=100)
    assert refused.value.status == status


async def test_who_goes_before_the_body_is_there():
    with pytest.raises(ClientGoneError):
        await json_body(pieces_of(b"{", gone=True), most_bytes=100)


async def test_work_stops_when_the_client_goes():
    stopped = asyncio.Event()
    gone = asyncio.Queue()

    async def work():
        try:
            gone.put_nowait({"type": "http.disconnect"})
            await asyncio.Event().wait()
        finally:
            stopped.set()

    await asyncio.wait_for(while_there(gone.get, work()), 2)
    assert stopped.is_set()


async def test_what_work_raises_is_raised():
    async def work():
        raise FAILED

    with pytest.raises(ProviderError):
        await while_there(asyncio.Queue().get, work())
