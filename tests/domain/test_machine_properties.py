"""Anything, in any order: what is true of every call.

The generator is a `World`: it proposes what a well-behaved client, voice session and record
would do next, with a share of what nobody expects. `Watch` says what must hold after each step.
Both are put to the test by the mutants in `test_machine_mutants.py`.
"""

from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calls.domain.policy import Policy
from tests.doubles.runs import STEPS, Plan, run, seeded

policies = st.builds(
    Policy,
    greets=st.booleans(),
    answers=st.sampled_from([True, True, False]),
    first_message=st.sampled_from([None, "Hello."]),
    generate_first=st.booleans(),
    interruptible=st.sampled_from([True, True, True, False]),
    max_turn_ms=st.sampled_from([5_000, 30_000]),
    idle_ms=st.sampled_from([0, 5_000]),
    idle_prompts=st.integers(0, 2),
    max_call_ms=st.sampled_from([30_000, 90_000]),
    max_length_text=st.sampled_from(["", "Goodbye."]),
    resume_ms=st.sampled_from([0, 10_000]),
    max_tool_rounds=st.integers(0, 2),
    max_failures=st.integers(1, 3),
    stt_wait_ms=st.just(5_000),
    response_wait_ms=st.just(5_000),
)


@st.composite
def plans(draw) -> Plan:
    pauses = st.sampled_from([0, 0, 5, 20, 20, 60, 200, 700, 2_000])
    return (
        draw(policies),
        draw(st.randoms(use_true_random=False)),
        draw(st.lists(pauses, max_size=STEPS)),
        draw(st.sampled_from([0, 3, 15])),
    )


@given(plans())
@settings(
    max_examples=500, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
def test_what_is_true_of_every_call(plan):
    run(plan)


def test_the_generator_brings_about_what_matters():
    """A property test that never gets as far as an interrupted answer proves nothing."""
    seen: Counter[str] = Counter()
    for seed in range(100):
        seen += run(seeded(seed)).watch.seen
    for what in (
        "barge-in",
        "settled half way",
        "RunTool",
        "HoldAudio",
        "SendError",
        "ResetVoice",
        "another round",
        "answered as asked",
        "answered with entries",
        "dialled",
        "dropped",
        "entry removed",
        "made cancelled",
        "parted anew",
    ):
        assert seen[what] > 20, f"{what}: {seen[what]}"
