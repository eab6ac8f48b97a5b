"""Any frames whatever: nothing is raised but `WireError`, and nothing is sent that is not documented."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls.domain import effects as do
from calls.domain.audio import AGENT
from calls.domain.errors import EndReason
from calls.domain.items import Item, ItemStatus, Role
from calls.ports.client import AudioEnd, AudioFrame
from calls.ports.files import FILE_BYTES
from calls.wire.base import EncodedAudio, Knock, WireError
from calls.wire.micdrop.codec import Micdrop
from calls.wire.micdrop.hearing import Ear
from calls.wire.micdrop.words import CAMEL, PASCAL, WORDS

NAMES = {
    name for words in WORDS.values() for field in words.__slots__ if (name := getattr(words, field))
}
PLAIN_TEXT = {"userMessage", "assistantMessage"}

COMMANDS = st.sampled_from([*PASCAL, *CAMEL])
SOUND = st.one_of(
    st.binary(max_size=40),
    st.builds(
        lambda magic, rest: magic + rest,
        st.sampled_from([b"\x1a\x45\xdf\xa3", b"OggS", b"\0\0\0\x1cftyp", b"RIFF"]),
        st.binary(max_size=40),
    ),
)
FRAMES = st.one_of(COMMANDS, SOUND, st.text(max_size=30))

IDS = st.integers(1, 3)
WORDS_SAID = st.text(st.characters(), max_size=12)
ITEMS = st.builds(
    lambda item_id, role, text, status, unheard, metadata: Item(
        item_id,
        role,
        text,
        1,
        status=status,
        unheard=unheard,
        response_id=item_id if role is not Role.USER else None,
        tool_name="tool" if role is Role.TOOL else "",
        arguments=unheard,
        metadata=metadata,
    ),
    IDS,
    st.sampled_from(Role),
    WORDS_SAID,
    st.sampled_from(ItemStatus),
    WORDS_SAID,
    st.dictionaries(
        st.sampled_from(["classification", "b"]), st.dictionaries(WORDS_SAID, st.floats())
    ),
)
MESSAGES = st.one_of(
    st.builds(do.SendItem, ITEMS),
    st.builds(do.SendResponseText, IDS, WORDS_SAID, st.just(0)),
    st.builds(do.SendResponseMade, IDS, st.just(0), st.sampled_from(do.Outcome)),
    st.builds(do.SendPhase, st.sampled_from(do.Phase)),
    st.builds(do.ClearAudio, IDS),
    st.builds(lambda r, ms: AudioFrame(r, 0, bytes(AGENT.bytes(ms))), IDS, st.integers(1, 300)),
    st.builds(AudioEnd, IDS, st.just(0)),
    st.just(do.EndCall(EndReason.AGENT_ENDED)),
)
QUERIES = st.fixed_dictionaries(
    {},
    optional={
        "v": st.sampled_from(["1.0", "1.2", "1", "2", "9.9.9", "", "x"]),
        "audio": st.sampled_from(["files", "stream", ""]),
        "partials": st.just("1"),
        "classification": st.just("1"),
    },
)


def documented(codec, frame):
    """Whether this generation of clients knows what it is sent."""
    if isinstance(frame, bytes):
        return len(frame) > 0 and (codec.version != "2" or len(frame) % 2 == 0)
    frame.encode()  # or it could not be sent at all
    name, space, payload = frame.partition(" ")
    if name in PLAIN_TEXT or not space:
        return name in NAMES
    json.loads(payload, parse_constant=pytest.fail)
    return name in NAMES


@given(QUERIES, st.lists(st.one_of(FRAMES, MESSAGES), max_size=40))
def test_whatever_happens_only_documented_commands_are_sent(query, happenings):
    codec = Micdrop(Knock(query=query))
    codec.greet()
    for happening in happenings:
        if isinstance(happening, str | bytes):
            frames = codec.receive(happening).replies
        else:
            frames = codec.send(happening)
        assert all(documented(codec, frame) for frame in frames)


@given(st.one_of(FRAMES, st.from_regex(r"\{.*\}", fullmatch=True)))
def test_whatever_comes_first_is_params_or_refused(frame):
    codec = Micdrop(Knock(query={"params": "1"}))
    try:
        close_code = None if isinstance(codec.open(frame).metadata, dict) else 0
    except WireError as error:
        close_code = error.close_code
    assert close_code in (None, 4400)


@given(QUERIES, st.lists(st.one_of(COMMANDS, SOUND), max_size=30), st.data())
def test_a_client_that_waits_is_never_left_waiting(query, frames, data):
    """Its own state, kept as clients of 1.5 and later keep it, while nothing comes of its turns."""
    codec = Micdrop(Knock(query={**query, "v": data.draw(st.sampled_from(["1", "2"]))}))
    waits = True
    for frame in frames:
        received = codec.receive(frame)
        if isinstance(frame, str) and frame in PASCAL | CAMEL:
            waits = (PASCAL | CAMEL)[frame].value == "StopSpeaking"
        if "SkipAnswer" in received.replies:
            waits = False
    sent = codec.send(do.SendPhase(do.Phase.LISTENING))
    assert sent == (("SkipAnswer",) if waits else ())


def test_of_a_turn_that_is_too_long_the_beginning_is_kept():
    ear = Ear()
    ear.start()
    ear.take(b"OggS".ljust(1 << 20, b"a"))
    for _ in range(8):
        ear.take(bytes(1 << 20))
    ear.start()
    ear.take(b"OggS".ljust(1 << 20, b"a"))
    files = ear.stop()
    assert all(isinstance(file, EncodedAudio) for file in files)
    assert sum(len(file.data) for file in files) == FILE_BYTES
    assert files[0].data.startswith(b"OggSa")
    ear.start()
    assert ear.stop() == ()
