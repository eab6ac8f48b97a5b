"""The agent's sound as micdrop's clients get it, and what is kept meanwhile."""

import io

import av
import numpy as np
import pytest

from calls.audio.resample import Resampler
from calls.domain import effects as do
from calls.domain.audio import AGENT
from calls.domain.items import Item, ItemStatus, Role
from calls.ports.client import AudioEnd, AudioFrame
from calls.wire.base import Knock
from calls.wire.micdrop.codec import Micdrop
from calls.wire.micdrop.speaking import ANSWERS_KEPT, Mp3Voice
from calls.wire.micdrop.story import ENTRIES_KEPT, Story
from calls.wire.micdrop.versions import Version
from calls.wire.micdrop.words import WORDS

V2 = WORDS[Version.V2]


def tone(ms, hz=440):
    at = np.arange(AGENT.samples(ms)) / AGENT.rate_hz
    return (8_000 * np.sin(2 * np.pi * hz * at)).astype("<i2").tobytes()


def codec(version, **query):
    return Micdrop(Knock(query={"v": version, **query}))


def answer(text="Hello.", number=1):
    return Item(
        number, Role.AGENT, "", 1, status=ItemStatus.IN_PROGRESS, unheard=text, response_id=number
    )


def said(codec, pcm, number=1, *, frame_ms=60):
    """All frames of an answer with this sound."""
    frames = list(codec.send(do.SendResponseText(number, "Hello.", 0)))
    for at in range(0, len(pcm), AGENT.bytes(frame_ms)):
        sound = AudioFrame(number, 0, pcm[at : at + AGENT.bytes(frame_ms)])
        frames += codec.send(sound)
    frames += codec.send(AudioEnd(number, 0))
    frames += codec.send(do.SendItem(answer(number=number)))
    return [frame for frame in frames if isinstance(frame, bytes)]


def decoded_ms(mp3):
    with av.open(io.BytesIO(mp3), format="mp3") as container:
        stream = container.streams.audio[0]
        return sum(f.samples for f in container.decode(stream)) * 1_000 // stream.rate


@pytest.mark.parametrize("ms", [20, 240, 1_010])
def test_pcm_is_the_whole_answer_at_the_clients_rate(ms):
    pcm = tone(ms)
    resampler = Resampler(AGENT.rate_hz, 16_000)
    frames = said(codec("2"), pcm)
    assert b"".join(frames) == resampler.feed(pcm) + resampler.flush()
    assert {len(frame) for frame in frames[:-1]} <= {7_680}
    assert 0 < len(frames[-1]) <= 7_680


def test_every_answer_begins_its_pcm_anew():
    client = codec("2")
    first, second = said(client, tone(310), 1), said(client, tone(310), 2)
    assert first == second


def test_nothing_of_an_interrupted_answer_comes_with_the_next():
    client = codec("2")
    client.send(AudioFrame(1, 0, tone(100)))
    client.send(do.ClearAudio(1))
    assert said(client, tone(310), 2) == said(codec("2"), tone(310))


@pytest.mark.parametrize("version", ["1.0", "1.2", "1"])
def test_an_answer_is_one_whole_file(version):
    (file,) = said(codec(version), tone(1_000))
    assert 1_000 <= decoded_ms(file) < 1_150


def test_a_stream_is_the_answers_one_after_the_other():
    client = codec("1", audio="stream")
    pieces = said(client, tone(1_000), 1) + said(client, tone(500), 2)
    assert 1_500 <= decoded_ms(b"".join(pieces)) < 1_800


def test_sound_whose_words_never_come_is_not_kept_for_ever():
    voice = Mp3Voice(streams=False)
    for number in range(1, 3 * ANSWERS_KEPT):
        voice.feed(number, tone(100))
        voice.rest(number)
    latest = 3 * ANSWERS_KEPT - 1
    assert [bool(voice.told(number)) for number in (1, latest)] == [False, True]


def test_words_that_never_come_are_not_kept_for_ever():
    story = Story()
    for number in range(1, 2 * ENTRIES_KEPT):
        story.add(number, "Hello.")
    assert story.round_of(V2, 1) == ()
    assert story.round_of(V2, 2 * ENTRIES_KEPT - 1)


def test_a_tool_after_an_interruption_tells_no_words_that_were_not_heard():
    story = Story()
    story.add(1, "Let me see.")
    story.cut(1)
    tool = Item(2, Role.TOOL, "null", 1, tool_name="book", tool_call_id="c", response_id=1)
    frames = story.item(V2, tool)
    assert [frame.partition('"role":')[2][:12] for frame in frames[:2]] == [
        '"tool_call",',
        '"tool_result',
    ]


def test_words_that_changed_after_they_were_told_are_not_told_again():
    story = Story()
    story.add(1, "Let me see. ")
    story.round_of(V2, 1)
    assert story.item(V2, answer("It is different.")) == ()


def test_numbers_that_json_does_not_know_are_null():
    item = Item(1, Role.AGENT, "Hello.", 1, response_id=1, metadata={"n": float("nan")})
    (frame,) = Story().item(V2, item)
    assert frame == 'Message {"role":"assistant","content":"Hello.","metadata":{"n":null}}'


def test_instructions_to_the_model_are_not_told():
    entry = Item(1, Role.SYSTEM, "Be brief.", 1)
    assert Story().item(V2, entry) == ()
