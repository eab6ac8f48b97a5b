"""The network in batches against the model run by itself."""

import numpy as np
import onnxruntime
import pytest

from calls.providers.silero.model import CONTEXT_SAMPLES, MODEL, WINDOW_SAMPLES, blank_state
from tests.audio.sounds import pcm, rumble, utterance, utterance_names

SOUNDS = {name: utterance(name) for name in utterance_names()} | {"rumble": rumble(1_500, -40)}


def blocks_of(sound):
    """Each window after the last samples of the one before, as the network wants them."""
    samples = np.frombuffer(bytes(2 * CONTEXT_SAMPLES) + pcm(sound), "<i2")
    last = len(samples) - CONTEXT_SAMPLES - WINDOW_SAMPLES
    starts = range(0, last + 1, WINDOW_SAMPLES)
    return [samples[at : at + CONTEXT_SAMPLES + WINDOW_SAMPLES].tobytes() for at in starts]


def by_itself(sound):
    """The model as its makers run it: one stream, one window at a time."""
    session = onnxruntime.InferenceSession(MODEL, providers=["CPUExecutionProvider"])
    state = np.zeros((2, 1, 128), np.float32)
    found = []
    for block in blocks_of(sound):
        window = np.frombuffer(block, "<i2").astype(np.float32)[np.newaxis] / 32_768
        probability, state = session.run(
            None, {"input": window, "state": state, "sr": np.array(16_000, np.int64)}
        )
        found.append(float(probability[0, 0]))
    return found


@pytest.fixture(scope="module")
def expected():
    return {name: by_itself(sound) for name, sound in SOUNDS.items()}


def test_alone_it_says_what_the_model_says(silero, expected):
    for name, sound in SOUNDS.items():
        state, found = blank_state(), []
        for block in blocks_of(sound):
            [probability], states = silero.judge([block], [state])
            state = states[0]
            found.append(probability)

        assert found == pytest.approx(expected[name], abs=1e-4)


def test_in_a_batch_each_stream_is_judged_as_if_it_were_alone(silero, expected):
    streams = {name: blocks_of(sound) for name, sound in SOUNDS.items()}
    states = {name: blank_state() for name in streams}
    found = {name: [] for name in streams}
    chance = np.random.default_rng(3)
    while left := [name for name in streams if len(found[name]) < len(streams[name])]:
        names = [name for name in chance.permutation(left) if chance.random() < 0.7]
        if not names:
            continue
        blocks = [streams[name][len(found[name])] for name in names]
        probabilities, new_states = silero.judge(blocks, [states[name] for name in names])
        for name, probability, state in zip(names, probabilities, new_states, strict=True):
            found[name].append(probability)
            states[name] = state.copy()

    for name in streams:
        assert found[name] == pytest.approx(expected[name], abs=1e-4)


def test_it_tells_speech_from_noise(silero, expected):
    assert max(expected["rumble"]) < 0.2
    assert all(max(expected[name]) > 0.9 for name in utterance_names())
