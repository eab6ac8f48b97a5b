"""Voices and noises through the whole detector: what begins, when, and what does not."""

import numpy as np
import pytest

from calls.audio.vad import SpeechBegan, SpeechEnded
from calls.providers.silero.detector import SileroDetector
from tests.audio.sounds import NOISES, silence, utterance, utterance_names, white
from tests.providers.silero.listeners import edges_in

SAMPLES_PER_MS = 16
BEFORE_MS = 2_000
AFTER_MS = 1_500
ROOMS = {
    "digital silence": lambda ms: silence(ms),
    "a quiet room": lambda ms: white(ms, -72),
    "a fan": lambda ms: white(ms, -50),
    "a street": lambda ms: NOISES["rumble"](ms, -45),
    "mains hum": lambda ms: NOISES["hum"](ms, -45),
    "typing": lambda ms: NOISES["clicks"](ms, -45),
}


def ends_of(voice):
    """Where speech begins and ends in a clean utterance, in ms: what is above -50 dBFS."""
    frames = voice[: len(voice) // 160 * 160].reshape(-1, 160)
    loud = np.flatnonzero(np.sqrt(np.mean(frames**2, axis=1)) > 32_768 * 10 ** (-50 / 20))
    return int(loud[0]) * 10, int(loud[-1]) * 10 + 10


def in_room(room, voice):
    length_ms = BEFORE_MS + len(voice) // SAMPLES_PER_MS + AFTER_MS
    sound = ROOMS[room](length_ms)
    sound[BEFORE_MS * SAMPLES_PER_MS :][: len(voice)] += voice
    return sound


@pytest.mark.asyncio
@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("name", utterance_names())
async def test_an_utterance_is_heard_from_its_first_syllable_to_its_last(silero, name, room):
    voice = utterance(name)
    began_ms, ended_ms = ends_of(voice)
    edges = await edges_in(SileroDetector(silero), in_room(room, voice))
    began = [edge for edge in edges if isinstance(edge, SpeechBegan)]
    ended = [edge for edge in edges if isinstance(edge, SpeechEnded)]
    heard_after_ms = began[0].heard_samples / SAMPLES_PER_MS - BEFORE_MS - began_ms
    placed_after_ms = ended[-1].last_samples / SAMPLES_PER_MS - BEFORE_MS - ended_ms

    assert 0 < heard_after_ms <= 200, "later, the pre-roll would not hold the first syllable"
    assert -200 <= placed_after_ms <= 200
    assert len(began) == len(ended)


@pytest.mark.asyncio
@pytest.mark.parametrize("dbfs", [-25, -45])
@pytest.mark.parametrize("name", NOISES)
async def test_noise_is_not_speech(silero, name, dbfs):
    assert await edges_in(SileroDetector(silero), NOISES[name](20_000, dbfs)) == []


@pytest.mark.asyncio
async def test_a_quiet_voice_is_heard(silero):
    voice = utterance("appointment") * 10 ** (-30 / 20)
    edges = await edges_in(SileroDetector(silero), in_room("a quiet room", voice))

    assert [type(edge) for edge in edges] == [SpeechBegan, SpeechEnded]
