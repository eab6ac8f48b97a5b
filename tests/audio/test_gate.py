"""The gate: open for what stands out of the room, closed for the room itself."""

import pytest

from calls.audio.framing import Framer
from calls.audio.gate import HANG_WINDOWS, LevelGate
from calls.audio.level import band_levels
from tests.audio.sounds import (
    hum,
    pcm,
    rumble,
    silence,
    utterance,
    utterance_names,
    white,
)

QUIET = (-65.0, -70.0)
LOUD = (-30.0, -35.0)
SILENT = (-100.0, -100.0)


def opened(gate, sound, *, probability=0.0):
    """Whether the gate is open, window by window; the detector always says `probability`."""
    states = []
    for window in Framer(1024).feed(pcm(sound)):
        levels = band_levels(window)
        states.append(gate.take(levels))
        if states[-1]:
            gate.judged(levels, probability)
    return states


def test_it_begins_open_and_closes_in_silence():
    states = opened(LevelGate(), silence(1_000))

    assert states == [True] * HANG_WINDOWS + [False] * (len(states) - HANG_WINDOWS)


@pytest.mark.parametrize("dbfs", [-20, -40, -60])
@pytest.mark.parametrize("noise", [white, hum])
def test_a_steady_noise_closes_it(noise, dbfs):
    states = opened(LevelGate(), noise(10_000, dbfs))

    assert not any(states[len(states) // 2 :])


def test_a_noise_that_wavers_closes_it_for_the_greater_part():
    states = opened(LevelGate(), rumble(30_000, -40))

    assert sum(states[100:]) < len(states[100:]) / 2


@pytest.mark.parametrize("name", utterance_names())
@pytest.mark.parametrize("room", [white, rumble, hum])
def test_speech_opens_it_at_once(name, room):
    gate = LevelGate()
    before_ms, voice = 5_000, utterance(name)
    sound = room(before_ms + len(voice) // 16, -50)
    sound[before_ms * 16 :][: len(voice)] += voice[: len(sound) - before_ms * 16]
    windows = before_ms // 32

    states = opened(gate, sound, probability=0.1)

    assert any(states[windows : windows + 3])


def test_it_stays_open_for_as_long_as_the_detector_hears_speech():
    gate = LevelGate()
    gate.take(LOUD)
    for _ in range(100):
        gate.judged(SILENT, 0.4)
        assert gate.take(SILENT)
    gate.judged(SILENT, 0.1)

    assert [gate.take(SILENT) for _ in range(HANG_WINDOWS + 1)] == [
        *[True] * HANG_WINDOWS,
        False,
    ]


def test_a_noise_that_ceases_is_forgotten_at_once():
    gate = LevelGate()
    opened(gate, white(5_000, -30))
    opened(gate, silence(200))

    assert any(opened(gate, white(64, -45)))


def test_treble_alone_opens_it():
    gate = LevelGate()
    opened(gate, hum(5_000, -25))

    assert any(opened(gate, hum(5_000, -25)[:3_200] + white(200, -45)))


def test_however_a_noise_wavers_a_sound_well_above_it_opens():
    gate = LevelGate()
    for db in [-57.0, -51.0] * 200:
        opened_by_noise = gate.take((db, db))
        gate.judged((db, db), 0.0)

    assert not opened_by_noise
    assert gate.take((-49.0, -49.0))


def test_speech_does_not_become_the_room():
    gate = LevelGate()
    for _ in range(300):
        gate.take(LOUD)
        gate.judged(LOUD, 0.9)
    for _ in range(HANG_WINDOWS + 1):
        gate.judged(QUIET, 0.0)
        gate.take(QUIET)

    assert gate.take(LOUD)


def test_without_a_detector_a_voice_is_what_stands_out_clearly():
    gate = LevelGate()
    assert {gate.guess(QUIET) for _ in range(200)} == {0.0}

    assert gate.guess((-60.0, -66.0)) == 0.0, "a little louder is no voice"
    assert gate.guess(LOUD) == 1.0


def test_without_a_detector_nothing_is_a_voice_for_ever():
    gate = LevelGate()
    guesses = [gate.guess(LOUD) for _ in range(1_200)]

    assert guesses[300] == 1.0, "a sentence of ten seconds is one"
    assert guesses[-1] == 0.0
