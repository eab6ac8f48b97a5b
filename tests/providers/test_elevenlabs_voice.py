"""ElevenLabs' voice on sockets, against a server that enforces the service's rules."""

import asyncio
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from calls.domain.audio import AGENT
from calls.domain.items import Mark
from calls.ports.errors import ProviderError, ProviderFault
from calls.ports.speech import CallScoped
from calls.ports.usage import metered
from calls.providers.elevenlabs import piece as pieces
from calls.providers.elevenlabs.address import ElevenLabs
from calls.providers.elevenlabs.alignment import Timing
from calls.providers.elevenlabs.contexts import FORGET_MS, KEEP_ALIVE_MS, MOST_OPEN, SILENT_MS
from calls.providers.elevenlabs.request import DEFAULT_VOICE, Timbre
from calls.providers.elevenlabs.sound import Chunk
from calls.providers.elevenlabs.voice import MultiContextVoice
from tests.doubles.clock import FakeClock
from tests.doubles.providers.base import Fault, serving
from tests.doubles.providers.elevenlabs_tts import ElevenLabsSpeechDouble, error_body

SOCKET = "/multi-stream-input"
TEXT = "Your order is on its way."
MARKS = [Mark(end, end * 60) for end in (4, 10, 13, 16, 20, 25)]
LONG_MS = len(TEXT + " ") * 60


@pytest_asyncio.fixture
async def double():
    double = ElevenLabsSpeechDouble()
    async with serving(double):
        yield double
        await until(lambda: not double.busy)
        await until(lambda: len(asyncio.all_tasks()) == 1)


async def until(holds):
    """Wait until something holds that happens on the other side of the socket."""
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 - a stand-in's counters set no event
            await asyncio.sleep(0)


@asynccontextmanager
async def speaking(double, model="eleven_flash_v2_5", clock=None, **options):
    address = ElevenLabs("test-key", double.origin)
    async with MultiContextVoice(address, model, clock=clock or FakeClock(), **options) as voice:
        yield voice


def asked(voice, text=TEXT, *, language="en-GB", voice_id="", speed=1.0):
    return voice.speak(text, language=language, voice=voice_id, speed=speed)


async def said(voice, text=TEXT, **options):
    async with asked(voice, text, **options) as sound:
        made = [chunk async for chunk in sound]
    return b"".join(chunk.pcm for chunk in made), [mark for chunk in made for mark in chunk.marks]


async def refused(voice, **options):
    with pytest.raises(ProviderError) as caught:
        await said(voice, **options)
    return caught.value


@pytest.mark.asyncio
async def test_a_sentence_becomes_sound_with_marks_in_a_context_of_its_own(double):
    async with speaking(double) as voice:
        with metered() as meter:
            pcm, marks = await said(voice)

    assert isinstance(voice, CallScoped)
    assert voice.name == "elevenlabs:eleven_flash_v2_5"
    assert AGENT.ms(pcm) == LONG_MS
    assert marks == MARKS
    assert (meter.model, meter.usage) == ("eleven_flash_v2_5", {"characters": len(TEXT)})
    [handshake] = double.requests(SOCKET)
    assert handshake.path == f"/v1/text-to-speech/{DEFAULT_VOICE}{SOCKET}"
    assert handshake.query == {
        "model_id": "eleven_flash_v2_5",
        "output_format": "pcm_24000",
        "language_code": "en",
        "auto_mode": "true",
        "sync_alignment": "true",
        "apply_text_normalization": "auto",
        "inactivity_timeout": "30",
    }
    assert handshake.body == [
        {"text": " ", "context_id": "piece-1"},
        {"text": f"{TEXT} ", "context_id": "piece-1", "flush": True},
        {"context_id": "piece-1", "close_context": True},
    ]
    assert double.sockets[0].closed == ["piece-1"]


@pytest.mark.asyncio
async def test_every_chunk_is_whole_samples_though_they_come_in_odd_pieces(double):
    async with speaking(double) as voice, asked(voice) as sound:
        chunks = [chunk.pcm async for chunk in sound]

    assert len(chunks) > 1
    assert all(len(pcm) % 2 == 0 for pcm in chunks)
    assert b"".join(chunks) == await double.sound(f"{TEXT} ")


@pytest.mark.asyncio
@pytest.mark.parametrize("spelling", ["camel", "snake", "plural"])
@pytest.mark.parametrize("alignment", ["relative", "absolute", "restarting"])
async def test_marks_are_right_however_the_sound_is_aligned(double, alignment, spelling):
    double.rules.alignment, double.rules.spelling = alignment, spelling
    async with speaking(double) as voice:
        _, marks = await said(voice)

    assert marks == MARKS


@pytest.mark.asyncio
@pytest.mark.parametrize("alignment", ["missing", "wrong"])
async def test_without_an_alignment_that_fits_there_is_sound_without_marks(double, alignment):
    double.rules.alignment = alignment
    async with speaking(double) as voice:
        pcm, marks = await said(voice)

    assert AGENT.ms(pcm) == LONG_MS
    assert marks == []


@pytest.mark.asyncio
async def test_where_every_second_chunk_is_silent_about_its_words_the_others_are_marked(double):
    double.rules.alignment = "null"
    async with speaking(double) as voice:
        _, marks = await said(voice)

    assert [mark.end_char for mark in marks] == [4, 10, 13, 16, 20]
    known = {mark.end_char: mark.at_ms for mark in MARKS}
    assert all(abs(mark.at_ms - known[mark.end_char]) <= 120 for mark in marks)


@pytest.mark.asyncio
async def test_words_that_are_spelled_out_are_marked_where_they_stand_in_the_text(double):
    double.rules.spelled = {"3": "three"}
    async with speaking(double) as voice:
        _, marks = await said(voice, "Room 3 is free.")

    assert marks == [Mark(end, end * 60) for end in (4, 6, 9, 15)]


@pytest.mark.asyncio
async def test_two_pieces_are_made_at_once_on_one_socket(double):
    async with speaking(double) as voice:
        double.rules.gate.clear()
        async with asyncio.TaskGroup() as group:
            one = group.create_task(said(voice, "One."))
            two = group.create_task(said(voice, "And two."))
            await until(lambda: double.sockets and double.sockets[0].open == 2)
            double.rules.gate.set()

    assert [AGENT.ms(task.result()[0]) for task in (one, two)] == [5 * 60, 9 * 60]
    assert len(double.sockets) == 1


@pytest.mark.asyncio
async def test_a_hundred_pieces_at_once_never_need_a_fifth_context(double):
    texts = [f"This is sentence number {number}." for number in range(100)]
    async with speaking(double) as voice, asyncio.TaskGroup() as group:
        tasks = [group.create_task(said(voice, text)) for text in texts]

    [socket] = double.sockets
    assert socket.most_open == MOST_OPEN == 4
    assert sorted(socket.closed) == sorted(socket.opened)
    assert sorted(socket.texts.values()) == sorted(f"{text} " for text in texts)
    for text, task in zip(texts, tasks, strict=True):
        assert AGENT.ms(task.result()[0]) == len(text + " ") * 60


@pytest.mark.asyncio
async def test_an_open_socket_is_kept_alive_while_nothing_is_said(double):
    clock = FakeClock()
    async with speaking(double, clock=clock) as voice:
        await said(voice)
        [socket] = double.sockets
        for times in (1, 2, 3):
            await clock.advance(KEEP_ALIVE_MS)
            await until(lambda times=times: socket.keep_alives == times)
        await said(voice)

    assert socket.opened == ["piece-1", "piece-2"]
    assert double.requests(SOCKET)[0].body[3] == {"text": ""}


@pytest.mark.asyncio
async def test_leaving_early_frees_the_context_and_what_still_comes_is_dropped(double):
    double.rules.late_audio = True
    async with speaking(double) as voice:
        async with asked(voice, TEXT * 10) as sound:
            await anext(sound)
        pcm, marks = await said(voice, "Something else.")

        assert AGENT.ms(pcm) == 16 * 60
        assert [mark.end_char for mark in marks] == [9, 15]
        await until(lambda: double.sockets[0].closed == ["piece-1", "piece-2"])


@pytest.mark.asyncio
async def test_what_is_left_before_it_was_sent_is_never_sent(double):
    async with speaking(double) as voice:
        await said(voice, "One.")
        async with asked(voice, "Two."):
            pass
        await said(voice, "Three.")

    assert list(double.sockets[0].texts.values()) == ["One. ", "Three. "]


@pytest.mark.asyncio
async def test_pieces_that_nobody_listens_to_make_room_again_though_their_end_is_never_told(double):
    clock = FakeClock()
    double.rules.no_final = True
    async with speaking(double, clock=clock) as voice:
        for _ in range(MOST_OPEN):
            async with asked(voice) as sound:
                await anext(sound)
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(heard(voice))
            await clock.settle()
            assert not waiting.done()
            await clock.advance(FORGET_MS)

    assert waiting.result()


async def heard(voice):
    """The first sound of a piece."""
    async with asked(voice) as sound:
        return (await anext(sound)).pcm


@pytest.mark.asyncio
async def test_cancelling_the_one_who_listens_frees_the_context(double):
    async with speaking(double) as voice:
        double.rules.gate.clear()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(said(voice))
            await until(lambda: double.sockets and double.sockets[0].open == 1)
            task.cancel()
        double.rules.gate.set()
        await until(lambda: double.sockets[0].closed == ["piece-1"])
        await said(voice)


@pytest.mark.asyncio
@pytest.mark.parametrize(("waited_ms", "sockets"), [(SILENT_MS - 1, 1), (SILENT_MS, 2)])
async def test_a_socket_on_which_nothing_came_is_replaced_once_its_piece_is_left(
    double, waited_ms, sockets
):
    clock = FakeClock()
    async with speaking(double, clock=clock) as voice:
        double.rules.gate.clear()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(said(voice))
            await until(lambda: double.sockets and double.sockets[0].open == 1)
            await clock.advance(waited_ms)
            task.cancel()
        if sockets == 2:
            await double.asked[0].over.wait()
            assert double.asked[0].close_code == 1000
        double.rules.gate.set()
        await said(voice)
    assert len(double.sockets) == sockets


@pytest.mark.asyncio
async def test_who_is_too_far_behind_loses_the_piece_and_not_the_socket(double, monkeypatch):
    monkeypatch.setattr(pieces, "WAITING_BYTES", 50_000)
    async with speaking(double) as voice:
        async with asked(voice, TEXT * 4) as sound:
            await until(lambda: double.sockets and double.sockets[0].closed)
            with pytest.raises(ProviderError) as caught:
                await drained(sound)
        await said(voice, "Short.")

    assert caught.value.kind is ProviderFault.UNAVAILABLE
    assert len(double.sockets) == 1


@pytest.mark.asyncio
async def test_only_what_waits_counts_for_being_behind(monkeypatch):
    monkeypatch.setattr(pieces, "WAITING_BYTES", 10)
    piece = pieces.Piece("piece-1", pieces.Order("Long. ", {}), FakeClock())
    taken = piece.chunks()
    for _ in range(5):
        piece.put(Chunk(b"123456", Timing(None, None)))
        assert (await anext(taken)).pcm == b"123456"
    piece.finish()

    assert [chunk async for chunk in taken] == []


async def drained(sound):
    async for _ in sound:
        await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_settings_are_sent_first_and_only_then(double):
    async with speaking(double, timbre=Timbre(stability=0.4)) as voice:
        pcm, _ = await said(voice, speed=1.2)
        await said(voice, speed=3)
        await said(voice, speed=0.1)

    sent = [said for said in double.requests(SOCKET)[0].body if "voice_settings" in said]
    assert [(said["text"], said["voice_settings"]) for said in sent] == [
        (" ", {"stability": 0.4, "speed": 1.2}),
        (" ", {"stability": 0.4, "speed": 1.2}),
        (" ", {"stability": 0.4, "speed": 0.7}),
    ]
    assert AGENT.ms(pcm) == round(LONG_MS / 1.2)


@pytest.mark.asyncio
async def test_each_voice_and_language_has_a_socket_of_its_own(double):
    double.voices["other"] = "Other"
    async with speaking(double) as voice:
        await said(voice)
        await said(voice, language="de")
        await said(voice, voice_id="other")
        await said(voice, language="en-US")

    asked = double.requests(SOCKET)
    assert [request.path.split("/")[3] for request in asked] == [DEFAULT_VOICE] * 2 + ["other"]
    assert [request.query["language_code"] for request in asked] == ["en", "de", "en"]


@pytest.mark.asyncio
async def test_a_model_that_finds_out_the_language_is_not_told(double):
    async with speaking(double, "eleven_multilingual_v2") as voice:
        await said(voice, language="en")
        await said(voice, language="de")

    [request] = double.requests(SOCKET)
    assert "language_code" not in request.query


@pytest.mark.asyncio
async def test_warming_opens_the_socket_that_is_used_then(double):
    async with speaking(double, voice=DEFAULT_VOICE, language="en") as voice:
        voice.warm()
        await until(lambda: double.sockets)
        voice.warm()
        await said(voice)

    assert len(double.sockets) == 1


@pytest.mark.asyncio
async def test_warming_without_knowing_what_for_does_nothing(double):
    async with speaking(double) as voice:
        voice.warm()
        await FakeClock().settle()

    assert double.asked == []


@pytest.mark.asyncio
async def test_what_fails_while_warming_is_told_by_a_second_try(double):
    double.fail(SOCKET, Fault(status=500))
    async with speaking(double, language="en") as voice:
        voice.warm()
        await until(lambda: double.asked and double.asked[0].over.is_set())
        await FakeClock().settle()
        pcm, _ = await said(voice)

    assert pcm


HANDSHAKES = [
    (Fault(status=401, body=error_body("invalid_api_key")), ProviderFault.AUTH),
    (Fault(status=401, body=error_body("quota_exceeded")), ProviderFault.QUOTA),
    (Fault(status=400, body=error_body("quota_exceeded")), ProviderFault.QUOTA),
    (Fault(status=404, body=error_body("voice_not_found")), ProviderFault.NOT_FOUND),
    (Fault(status=422, body={"detail": [{"msg": "wrong"}]}), ProviderFault.REFUSED),
    (Fault(status=429, body=error_body("too_many_concurrent_requests")), ProviderFault.BUSY),
    (Fault(status=503, body=error_body("system_busy")), ProviderFault.BUSY),
    (Fault(status=500, body=error_body("internal_server_error")), ProviderFault.UNAVAILABLE),
    (Fault(status=502, body="<html>Bad gateway</html>"), ProviderFault.UNAVAILABLE),
    (Fault(drop_before_headers=True), ProviderFault.UNAVAILABLE),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(("fault", "kind"), HANDSHAKES)
async def test_a_refused_handshake_is_told_and_the_next_piece_tries_again(double, fault, kind):
    double.fail(SOCKET, fault)
    async with speaking(double) as voice:
        error = await refused(voice)
        assert (await said(voice))[0]

    assert (error.kind, error.provider) == (kind, "elevenlabs")
    assert "test-key" not in str(error)


MIDWAY = [
    # what happens                                    before any sound            after some
    (Fault(drop=True), ProviderFault.UNAVAILABLE, ProviderFault.TRUNCATED),
    (Fault(ws_close=(1000, "")), ProviderFault.UNAVAILABLE, ProviderFault.TRUNCATED),
    (Fault(ws_close=(1011, "oops")), ProviderFault.UNAVAILABLE, ProviderFault.TRUNCATED),
    (Fault(ws_close=(1008, "quota_exceeded")), ProviderFault.QUOTA, ProviderFault.QUOTA),
    (Fault(ws_close=(1008, "Words of theirs.")), ProviderFault.REFUSED, ProviderFault.REFUSED),
    (
        Fault(ws_close=(1008, "max_active_conversations")),
        ProviderFault.BUSY,
        ProviderFault.BUSY,
    ),
    (Fault(ws_garbage="{"), ProviderFault.INVALID, ProviderFault.INVALID),
    (Fault(ws_garbage="[]"), ProviderFault.INVALID, ProviderFault.INVALID),
    (
        Fault(event={"error": "quota_exceeded", "message": "Theirs."}),
        ProviderFault.QUOTA,
        ProviderFault.QUOTA,
    ),
    (
        Fault(event={"error": "oops", "contextId": "piece-1"}),
        ProviderFault.UNAVAILABLE,
        ProviderFault.TRUNCATED,
    ),
    (
        Fault(event={"audio": "?", "contextId": "piece-1"}),
        ProviderFault.INVALID,
        ProviderFault.INVALID,
    ),
    (
        Fault(event={"audio": {"no": "text"}, "contextId": "piece-1"}),
        ProviderFault.INVALID,
        ProviderFault.INVALID,
    ),
]


@pytest.mark.asyncio
@pytest.mark.parametrize("after", [0, 2])
@pytest.mark.parametrize(("fault", "early", "late"), MIDWAY)
async def test_what_breaks_midway_is_told_and_the_next_piece_is_said(
    double, fault, early, late, after
):
    fault.after = after
    double.fail(SOCKET, fault)
    async with speaking(double) as voice:
        error = await refused(voice)
        assert (await said(voice))[0]

    assert error.kind is (late if after else early)
    assert "heirs" not in str(error)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "noise",
    [
        {"audio": "AAAA", "contextId": "of-someone-else"},
        {"audio": "AAAA", "contextId": ["no", "id"]},
        {"audio": "AAAA"},
        {"what": "is this"},
        {"contextId": "piece-1", "audio": None, "alignment": "nonsense"},
    ],
)
async def test_messages_that_mean_nothing_are_passed_over(double, noise):
    double.fail(SOCKET, Fault(after=1, event=noise))
    async with speaking(double) as voice:
        pcm, _ = await said(voice)

    assert AGENT.ms(pcm) == LONG_MS


@pytest.mark.asyncio
@pytest.mark.parametrize("fault", [Fault(event={"error": "system_busy"}), Fault(drop=True)])
async def test_nothing_of_a_lost_socket_lives_on(double, fault):
    double.fail(SOCKET, fault)
    async with speaking(double) as voice:
        await refused(voice)
        await until(lambda: double.asked[0].over.is_set())
        await until(lambda: len(asyncio.all_tasks()) == 1)


@pytest.mark.asyncio
async def test_silence_is_broken_off_in_the_end(double):
    clock = FakeClock()
    double.fail(SOCKET, Fault(after=1, stall=True))
    async with speaking(double, clock=clock) as voice, asyncio.TaskGroup() as group:
        task = group.create_task(refused(voice))
        await until(lambda: double.requests(SOCKET) and double.requests(SOCKET)[0].sent == 1)
        await clock.settle()
        while not task.done():
            await clock.advance(pieces.STALL_MS)

    assert task.result().kind is ProviderFault.TIMEOUT


@pytest.mark.asyncio
async def test_no_sound_at_all_is_a_failure(double):
    double.synthesize = lambda text: b""
    async with speaking(double) as voice:
        error = await refused(voice)

    assert error.kind is ProviderFault.TRUNCATED


@pytest.mark.asyncio
async def test_after_the_service_has_hung_up_for_silence_the_next_piece_has_a_new_socket(double):
    double.rules.inactivity_s = 0.05
    async with speaking(double) as voice:
        await said(voice)
        await until(lambda: double.asked[0].over.is_set())
        await FakeClock().settle()
        pcm, _ = await said(voice)

    assert AGENT.ms(pcm) == LONG_MS
    assert [socket.opened for socket in double.sockets] == [["piece-1"], ["piece-1"]]


@pytest.mark.asyncio
async def test_an_unknown_voice_is_not_found(double):
    async with speaking(double) as voice:
        error = await refused(voice, voice_id="../nobody?")

    assert error.kind is ProviderFault.NOT_FOUND
    assert not error.retryable
    assert len(double.requests(f"/v1/text-to-speech/../nobody?{SOCKET}")) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize("model", ["eleven_v3", "eleven_v4_turbo"])
async def test_models_that_the_sockets_do_not_know_are_not_asked_for(double, model):
    async with speaking(double, model, language="en") as voice:
        voice.warm()
        error = await refused(voice)

    assert error.kind is ProviderFault.UNSUPPORTED
    assert double.asked == []


@pytest.mark.asyncio
async def test_outside_a_call_nothing_is_said(double):
    voice = MultiContextVoice(ElevenLabs("test-key", double.origin), clock=FakeClock())

    assert (await refused(voice)).kind is ProviderFault.UNAVAILABLE
    assert "test-key" not in repr(vars(voice))


@pytest.mark.asyncio
async def test_the_end_of_the_call_ends_what_is_being_said_within_a_second(double):
    double.rules.deaf = True
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as group, speaking(double) as voice:
        task = group.create_task(refused(voice))
        await until(lambda: double.sockets)
        await FakeClock().settle()
        began = loop.time()

    assert loop.time() - began < 1
    assert task.result().kind is ProviderFault.UNAVAILABLE


@pytest.mark.asyncio
async def test_the_end_of_the_call_does_not_wait_for_a_handshake(double):
    double.fail(SOCKET, Fault(stall_headers=True))
    loop = asyncio.get_running_loop()
    async with speaking(double, language="en") as voice:
        voice.warm()
        await until(lambda: double.asked)
        began = loop.time()

    assert loop.time() - began < 1
    await double.asked[0].over.wait()
