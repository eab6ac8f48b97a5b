"""Whole calls in a likely world, watched at every step."""

from random import Random

from calls.domain import effects as do
from calls.domain import events as ev
from calls.domain.machine import step
from calls.domain.policy import Policy
from calls.domain.state import CallState, Link
from tests.doubles.watch import Watch
from tests.doubles.world import World

STEPS = 120
NEVER_MS = 1_000_000_000

Plan = tuple[Policy, Random, list[int], int]
"""An agent, chance, the pauses between events in milliseconds, and the share of surprises."""


class Run:
    """One call from its first event to its last."""

    def __init__(self, policy: Policy, world: World) -> None:
        self.state = CallState(policy=policy)
        self.world = world
        self.watch = Watch()
        self.events: list[ev.Event] = []
        self.effects: list[tuple[do.Effect, ...]] = []

    def happen(self, event: ev.Event) -> None:
        self.events.append(event)
        before = self.state
        self.state, effects = step(before, event)
        self.effects.append(effects)
        self.world.follow(effects)
        self.watch.step(before, event, effects, self.state, self.world.timers)

    def pass_time(self, ms: int) -> None:
        until_ms = self.world.now_ms + ms
        while not self.world.over and (timer := self.world.next_timer(until_ms)):
            self.happen(timer)
        self.world.now_ms = until_ms

    def play(self, pauses: list[int]) -> None:
        for pause_ms in pauses:
            self.pass_time(pause_ms)
            if self.world.over:
                return
            self.happen(self.world.next_event())

    def run_out(self) -> None:
        """The caller does nothing any more: all comes to its end, and then time goes by."""
        if self.state.link is Link.NEW:
            self.happen(ev.CallStarted(at_ms=self.world.now_ms))
        for _ in range(500):
            if self.world.over:
                return
            event = self.world.calm_event() or self.world.next_timer(NEVER_MS)
            assert event is not None, "the call waits for ever"
            self.happen(event)
        raise AssertionError("the call never ends")


def run(plan: Plan) -> Run:
    """Play the plan, let time run out, and play the same events again.

    Raises:
        AssertionError: something is wrong with the machine.
    """
    policy, chance, pauses, surprise = plan
    call = Run(policy, World(chance, surprise=surprise, led=not policy.answers))
    call.play(pauses)
    call.run_out()
    call.happen(ev.SpeechStarted(at_ms=call.world.now_ms))
    again = CallState(policy=policy)
    for event, effects in zip(call.events, call.effects, strict=True):
        again, effects_again = step(again, event)
        assert effects_again == effects, "the same events had other effects"
    assert again == call.state, "the same events gave another state"
    return call


def seeded(seed: int) -> Plan:
    """The same plan every time; a long call of an agent that can be interrupted."""
    chance = Random(seed)
    pauses = [chance.choice((0, 5, 20, 60, 200, 700)) for _ in range(STEPS)]
    policy = Policy(
        greets=seed % 4 != 0,
        answers=seed % 3 != 0,
        first_message="Hello." if seed % 2 else None,
        idle_ms=5_000,
        max_call_ms=90_000,
        resume_ms=10_000,
        response_wait_ms=5_000,
    )
    return policy, chance, pauses, 3
