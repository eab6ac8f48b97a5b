"""Fifty telephone calls at once, each with a sound and a number of its own: no call hears another."""

import asyncio
import json
import sqlite3
from contextlib import closing

import numpy as np
import pytest

from calls.audio.resample import Resampler
from calls.domain.audio import AGENT, CALLER
from calls.providers.cascade.speakable import speakable
from tests.doubles.providers.base import serving_in_thread
from tests.doubles.providers.openai_audio import OpenAIAudioDouble
from tests.doubles.providers.openai_http import OpenAIHttpDouble
from tests.interop.avr_client import FRAME_BYTES, FRAME_MS, RATE_HZ, AvrCore
from tests.interop.calls import pieces
from tests.server.callers import kept_server
from tests.server.stored import Stored

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(240)]

CALLS = 50
LOWEST_HZ = 400
APART_HZ = 50
FRAME = RATE_HZ * FRAME_MS // 1000
PERIOD_FRAMES = 10
OTHERS_HZ = 200
"""Of whatever else the agent says."""
LEVEL = 2_000
APART_S = 0.6
TRIES = 8
LATE = "The voice took too long."
"""To be had on a busy machine: then the number is pressed once more."""


def tone_of(number):
    """The sound of that call's line, frame by frame: a tone that no other line has.

    Tones lie on whole periods of a fifth of a second, so that a spectrum tells them apart exactly.
    """
    n = np.arange(PERIOD_FRAMES * FRAME)
    hz = LOWEST_HZ + number * APART_HZ
    period = (LEVEL * np.sin(2 * np.pi * hz * n / RATE_HZ)).astype("<i2").tobytes()
    frames = list(pieces(period, FRAME_BYTES))
    return lambda at: frames[at % PERIOD_FRAMES]


async def call(server, number, all_there):
    """One call: the greeting, a number on the keypad, what the agent says to it, the end.

    They begin one after another, but all of them are there from before the first number until after
    the last.
    """
    url = f"{server.ws_url}/avr?agent=demo&number={number}"
    await asyncio.sleep(number * APART_S)
    line = {"background": tone_of(number), "frame_bytes": 5 * FRAME_BYTES, "tick_ms": 100}
    async with AvrCore(url, uuid=f"call-{number}", **line) as core:
        assert await spoken_to(core) or core.errors() == [LATE]
        assert core.close_code is None, (number, core.told)
        await all_there.wait()
        await asyncio.sleep(number * APART_S)
        for core.asked in range(1, TRIES + 1):
            core.before_bytes = len(core.played)
            errors = len(core.errors())
            await core.presses(f"{number:02}#")
            if await spoken_to(core, core.before_bytes, errors):
                break
        await all_there.wait()
        await core.hangs_up()
    return core


async def spoken_to(core, before_bytes=0, errors=0):
    """Wait for the end of what the agent says; False: its voice was late.

    Args:
        before_bytes: what had been played before.
        errors: how many had been told before.
    """
    await core.until(lambda: len(core.played) > before_bytes or len(core.errors()) > errors, 90)
    heard = len(core.played) > before_bytes
    if heard:
        await core.hears_out(90, before=before_bytes)
    return heard


class Services:
    """A model that says what the caller said, and a voice that says each number as a tone."""

    def __init__(self):
        self.mind = OpenAIHttpDouble("test-key")
        self.voice = OpenAIAudioDouble("test-key")
        self.voice.synthesize = self._say
        self._numbers = {spoken(number): number for number in range(CALLS)}

    def _say(self, text):
        number = self._numbers.get(text.strip())
        length_ms = 1_000 if number is not None else 300
        n = np.arange(AGENT.samples(length_ms))
        hz = LOWEST_HZ + number * APART_HZ if number is not None else OTHERS_HZ
        return (4 * LEVEL * np.sin(2 * np.pi * hz * n / AGENT.rate_hz)).astype("<i2").tobytes()


def spoken(number):
    """The words of the answer to that number, as they reach the voice."""
    return speakable(f"You said: {number:02}. ").text.strip()


@pytest.fixture(scope="module")
def server(installation, tmp_path_factory):
    """A server whose agent does not mind waiting."""
    place = tmp_path_factory.mktemp("fifty") / "var"
    services = Services()
    with (
        serving_in_thread(services.mind, services.voice) as origin,
        kept_server(installation, place, **variables(f"{origin}/v1")) as started,
    ):
        with closing(sqlite3.connect(place / "db.sqlite3", timeout=10)) as database:
            database.execute("UPDATE calls_agent SET idle_ms = 0, summarized = 0")
            database.commit()
        yield started


def variables(base_url):
    stages = {"LLM": "gpt-5.4-mini", "TTS": "gpt-4o-mini-tts"}
    return {
        f"{stage}_{name}": value
        for stage, model in stages.items()
        for name, value in (("BASE_URL", base_url), ("API_KEY", "test-key"), ("MODEL", model))
    }


@pytest.fixture(scope="module")
def cores(server):
    """All calls, over; made once for all that is asked of them."""

    async def all_of_them():
        all_there = asyncio.Barrier(CALLS)
        async with asyncio.TaskGroup() as group:
            running = [
                group.create_task(call(server, number, all_there)) for number in range(CALLS)
            ]
        return [task.result() for task in running]

    return asyncio.run(all_of_them())


@pytest.fixture(scope="module")
def on_record(server, cores):
    """The record of each call, by its number, and its two sides of sound at 16 kHz."""
    stored = Stored(server.var_dir)
    ids = [row["call_id"] for row in stored.rows("SELECT call_id FROM calls_conversation")]
    found = {}
    for call_id in ids:
        conversation = stored.ended(call_id)
        number = int(json.loads(conversation["metadata"])["number"])
        stored.until(lambda: stored.recording(call_id)["state"] == "complete")  # noqa: B023 - used at once
        sides = [np.frombuffer(side, "<i2").astype(float) for side in stored.sound(call_id)]
        found[number] = (conversation, list(stored.items(call_id).values()), sides)
    return found


async def test_each_agent_answers_its_own_caller(cores, on_record):
    assert sorted(on_record) == list(range(CALLS))
    for number, core in enumerate(cores):
        _, items, _ = on_record[number]
        said = [item["text"] for item in items if item["role"] == "user"]
        assert said == [f"{number:02}"] * core.asked
        greeting, *answers = core.transcripts("agent")
        assert all(f"{number:02}" in answer for answer in answers), answers
        on_paper = [item["text"] + item["unheard"] for item in items if item["role"] == "agent"]
        assert [greeting, *answers] == [text.strip() for text in on_paper]


async def test_each_call_hears_its_own_line_only(on_record):
    for number, (_, _, (caller, _)) in on_record.items():
        levels = levels_of(caller)
        assert int(np.argmax(levels)) == number
        others = np.delete(levels, number)
        assert others.max() < levels[number] / 100, (number, int(np.argmax(others)))


def levels_of(sound):
    """How loud each number's tone is in a sound of 16 kHz, from its first sample to its last."""
    window = CALLER.samples(200)
    loud = np.flatnonzero(sound)
    sound = sound[loud[0] : loud[-1] + 1] if loud.size else sound
    middle = sound[len(sound) // 10 : -len(sound) // 10]
    blocks = middle[: len(middle) // window * window].reshape(-1, window) * np.hanning(window)
    spectrum = np.abs(np.fft.rfft(blocks, axis=1)).mean(axis=0)
    bins = [(LOWEST_HZ + number * APART_HZ) * window // CALLER.rate_hz for number in range(CALLS)]
    return spectrum[bins]


async def test_each_line_carries_its_own_agents_sound(cores, on_record):
    """To the core, and into the recording."""
    for number, core in enumerate(cores):
        resampler = Resampler(RATE_HZ, CALLER.rate_hz)
        played = resampler.feed(bytes(core.played[core.before_bytes :]))
        _, items, (_, agent) = on_record[number]
        # Fifty voices on a busy machine have gaps, and are over later than they are long.
        begun = CALLER.samples(items[-1]["started_ms"])
        for sound in (np.frombuffer(played, "<i2").astype(float), agent[begun:]):
            levels = levels_of(sound)
            assert int(np.argmax(levels)) == number
            # Another line's sound would be as loud; a gap in a tone is heard beside it as well.
            assert np.delete(levels, number).max() < levels[number] / 4
