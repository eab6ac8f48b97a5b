"""The sound of one response, kept from the last place known to be heard."""

from dataclasses import dataclass, field

from calls.domain.audio import AGENT

DRIFT_MS = 120
"""The recording follows the client's playhead when it strays further from even pace."""

DRAIN_SLACK_MS = 5
"""A client rounds its playhead down; so little missing at the end was heard."""


@dataclass(slots=True)
class Track:
    """Sound of one response, what was sent of it, and how far the ear has come."""

    response_id: int
    kept: bytearray = field(default_factory=bytearray)
    base_bytes: int = 0
    """How much of the response lies before `kept`."""
    sent_ms: int = 0
    played_ms: int = 0
    played_at_ms: int | None = None
    """When `played_ms` was reported, or sound left for a client that had none. It may lie ahead:
    the ear is still busy with something else. None: the ear has not begun."""
    reported: bool = False
    begun: bool = False
    recorded_ms: int = 0
    anchor_ms: int | None = None
    finished: bool = False
    end_told: bool = False
    cut: bool = False

    @property
    def total_ms(self) -> int:
        return AGENT.ms_of(self.base_bytes + len(self.kept))

    def slice(self, start_ms: int, end_ms: int) -> bytes:
        lo = AGENT.bytes(start_ms) - self.base_bytes
        return bytes(self.kept[max(0, lo) : AGENT.bytes(end_ms) - self.base_bytes])

    def forget_until(self, ms: int) -> None:
        size = AGENT.bytes(ms) - self.base_bytes
        if size > 0:
            del self.kept[:size]
            self.base_bytes += size

    @property
    def outstanding(self) -> bool:
        """Whether there is sound at the client of which it has not said that it was heard."""
        return self.sent_ms - self.played_ms > DRAIN_SLACK_MS

    @property
    def drained(self) -> bool:
        """Whether all there is was heard."""
        return self.played_ms >= self.total_ms - DRAIN_SLACK_MS or not self.total_ms

    def go_back(self) -> None:
        """Everything that is not known to be heard is to be sent again, to another client."""
        self.sent_ms = self.played_ms
        self.end_told = False
        self.reported = False
        self.anchor_ms = None

    def playhead_ms(self, now_ms: int, *, reported_ms: int | None) -> int:
        """Where the ear is: the last report carried on at even pace, never past what was sent.

        Args:
            reported_ms: for so long a report is carried on; None: the client reports nothing.
        """
        if self.played_at_ms is None or (reported_ms is not None and not self.reported):
            return self.played_ms
        since_ms = max(0, now_ms - self.played_at_ms)
        if reported_ms is not None:
            since_ms = min(since_ms, reported_ms)
        return min(self.sent_ms, self.played_ms + since_ms)

    def take_heard(self, until_ms: int, now_ms: int, *, steady: bool) -> tuple[int, bytes] | None:
        """What was newly heard, and when it was; it is let go of. None: nothing new.

        Args:
            now_ms: when the last of it was heard.
            steady: it was heard at even pace after what came before, whenever that is told: what
                comes after an interruption or from a client that was away is old news.
        """
        if until_ms <= self.recorded_ms:
            return None
        began_ms = now_ms - until_ms
        if self.anchor_ms is None or (abs(began_ms - self.anchor_ms) > DRIFT_MS and not steady):
            self.anchor_ms = began_ms
        placed = max(0, self.anchor_ms + self.recorded_ms), self.slice(self.recorded_ms, until_ms)
        self.recorded_ms = until_ms
        self.forget_until(until_ms)
        return placed
