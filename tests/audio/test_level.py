"""Levels against sounds whose level is known."""

import math

import numpy as np
import pytest

from calls.audio import level
from tests.audio.sounds import hum, pcm, silence, tone, white


@pytest.mark.parametrize("dbfs", [-3.1, -12, -30, -60])
def test_a_tone_has_the_level_it_was_made_with(dbfs):
    sound = pcm(tone(1_000, 100, dbfs=dbfs))

    assert level.dbfs(sound) == pytest.approx(dbfs, abs=0.1)
    assert level.rms(sound) == pytest.approx(10 ** (dbfs / 20), rel=0.02)
    assert level.peak(sound) == pytest.approx(math.sqrt(2) * 10 ** (dbfs / 20), rel=0.02)


def test_full_scale_is_nothing_below_nothing():
    square = np.tile([-32_768, -32_768], 100).astype("<i2").tobytes()

    assert level.dbfs(square) == 0
    assert level.peak(square) == 1


@pytest.mark.parametrize("sound", [b"", pcm(silence(20))], ids=["no samples", "zeros"])
def test_silence(sound):
    assert level.rms(sound) == 0
    assert level.peak(sound) == 0
    assert level.dbfs(sound) == level.SILENT_DBFS


def test_the_treble_is_the_level_of_the_differences():
    sound = pcm(white(64, -20))
    samples = np.frombuffer(sound, "<i2").astype(float)
    differences = np.diff(samples)
    power = np.sum(differences**2) / len(samples) / 32_768**2

    whole_db, treble_db = level.band_levels(sound)

    assert whole_db == pytest.approx(level.dbfs(sound), abs=0.001)
    assert treble_db == pytest.approx(10 * math.log10(power), abs=0.05)


def test_hum_has_hardly_any_treble():
    whole_db, treble_db = level.band_levels(pcm(hum(64, -20)))

    assert treble_db < whole_db - 15


def test_bands_of_silence_and_of_what_does_not_change():
    assert level.band_levels(pcm(silence(32))) == (level.SILENT_DBFS, level.SILENT_DBFS)
    assert level.band_levels(pcm(silence(32) + 1000))[1] == level.SILENT_DBFS
