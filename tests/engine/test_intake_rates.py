"""Callers at the rates of telephones and of models: heard alike, and each by itself."""

import asyncio

import numpy as np
import pytest

from calls.audio import alaw, ulaw
from calls.audio.resample import Resampler
from calls.domain import events as ev
from calls.domain.audio import CALLER
from calls.engine.intake import Intake
from calls.providers.silero.detector import SileroDetector
from tests.audio.sounds import silence, tone, utterance, utterance_names
from tests.doubles.clock import FakeClock
from tests.engine.test_intake import Bench

pytestmark = pytest.mark.asyncio

BEFORE_MS, AFTER_MS = 500, 1_000
WINDOW_MS = 32
LINES = {
    "as it is": (16_000, bytes),
    "a model's": (24_000, bytes),
    "a telephone's": (8_000, bytes),
    "mu-law": (8_000, lambda pcm: ulaw.decode(ulaw.encode(pcm))),
    "A-law": (8_000, lambda pcm: alaw.decode(alaw.encode(pcm))),
}


def pcm_of(*sounds):
    return np.concatenate(sounds).round().astype("<i2").tobytes()


async def edges(detector, pcm, rate_hz):
    """Where speech began and ended, in milliseconds of what was sent in frames of 20 ms."""
    clock, told = FakeClock(0), []
    intake = Intake(detector=detector, post=told.append, now_ms=clock.now_ms, recording=None)
    intake.use_rate(rate_hz)
    step = rate_hz // 50 * 2
    for at in range(0, len(pcm), step):
        intake.take(intake.position, pcm[at : at + step])
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        while not any(isinstance(event, ev.SpeechStopped) for event in told):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    intake.close()
    kinds = ev.SpeechStarted | ev.SpeechStopped
    found = [event.position_ms for event in told if isinstance(event, kinds)]
    return found[0], found[-1]


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("name", utterance_names())
async def test_speech_is_found_where_it_is_whatever_the_line(name, line):
    detector = SileroDetector()
    pcm = pcm_of(silence(BEFORE_MS), utterance(name), silence(AFTER_MS))
    wanted = await edges(detector, pcm, CALLER.rate_hz)
    rate_hz, through = LINES[line]
    resampler = Resampler(CALLER.rate_hz, rate_hz)
    narrow = through(resampler.feed(pcm) + resampler.flush())
    assert await edges(detector, narrow, rate_hz) == pytest.approx(wanted, abs=2 * WINDOW_MS)


@pytest.mark.parametrize("rate_hz", [8_000, 24_000])
async def test_calls_at_once_are_heard_as_each_would_be_alone(rate_hz):
    sounds = [pcm_of(tone(200 + 60 * n, 400, rate_hz=rate_hz)) for n in range(12)]

    async def heard(*indices):
        benches = [Bench(detected=False) for _ in indices]
        for bench in benches:
            bench.intake.use_rate(rate_hz)
        for at in range(0, len(sounds[0]), 330):
            for bench, index in zip(benches, indices, strict=True):
                bench.intake.take(bench.intake.position, sounds[index][at : at + 330])
        return [bench.sound() for bench in benches]

    together = await heard(*range(12))
    alone = [(await heard(index))[0] for index in range(12)]
    assert together == alone
    assert len(set(together)) == 12
