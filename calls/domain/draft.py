"""The next state and the effects so far, while one event is being decided."""

from dataclasses import replace
from typing import Any

from calls.domain.effects import Effect, StoreTurn
from calls.domain.items import Item
from calls.domain.state import CallState, Response
from calls.domain.timings import Turn


class Draft:
    """Written by the handlers of one event, then thrown away; nobody else sees it."""

    __slots__ = ("at_ms", "effects", "state")

    def __init__(self, state: CallState, at_ms: int) -> None:
        self.state = state
        self.at_ms = at_ms
        self.effects: list[Effect] = []

    def do(self, *effects: Effect) -> None:
        self.effects.extend(effects)

    def set(self, **changes: Any) -> None:
        """Change fields of the state."""
        self.state = replace(self.state, **changes)

    def respond(self, **changes: Any) -> Response:
        """Change fields of the response, which exists; return it as it is then."""
        assert self.state.response is not None
        response = replace(self.state.response, **changes)
        self.set(response=response)
        return response

    def stamp(self, **stamps: int | None) -> None:
        """Set stamps of the response's turn that are not set yet."""
        response = self.state.response
        assert response is not None
        fresh = {k: v for k, v in stamps.items() if getattr(response.timings, k) is None}
        if fresh:
            self.respond(timings=replace(response.timings, **fresh))

    def item(self, item_id: int) -> Item:
        return self.state.items[item_id - 1]

    def record(self, turn: Turn) -> None:
        """Put a turn on the record, or what is now known of it in place of what was."""
        self.do(StoreTurn(turn))
        if turn.turn == self.state.turn:
            self.set(turn_recorded=True)

    def record_open_turn(self) -> None:
        """Put the latest turn on the record if nothing is there, and nothing under way will."""
        state = self.state
        under_way = {awaited.turn for awaited in state.awaiting}
        under_way |= {answer.turn for answer in (state.response, state.cut) if answer is not None}
        if not state.turn_recorded and state.turn not in under_way:
            self.record(Turn(state.turn, state.timings, stt=state.stt))
