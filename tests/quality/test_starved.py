"""What counts as a machine without processors for its tests."""

from dataclasses import replace

import pytest

from tests.starved import Figures


@pytest.mark.parametrize(
    ("stolen_s", "waited_s", "starved"),
    [(0, 0, False), (0, 10, False), (0, 60, True), (10_000, 0, True)],
    ids=["all there", "some waited a little", "some waited often", "taken away"],
)
def test_a_machine_is_starved_by_what_the_system_tells(stolen_s, waited_s, starved):
    now = Figures.now()
    before = replace(
        now,
        at_s=now.at_s - 100,
        stolen_s=now.stolen_s - stolen_s,
        waited_s=now.waited_s - waited_s,
    )
    assert before.starved_since() is starved
