"""Sending the agent's sound at the pace of the ear, and knowing what was heard."""

from collections.abc import Callable
from dataclasses import dataclass, field

from calls.domain import events as ev
from calls.domain.audio import AGENT
from calls.ports.client import AudioEnd, AudioFrame, Pace, Playback
from calls.ports.clock import Clock
from calls.ports.records import RecordingSink

LEAD_MS = 400
"""At most so much is sent ahead of the playhead: what a client may hold at an interruption.

The playhead is carried on from the last report for so long, and no longer: what a stalled
network holds back lies before the `clear` of an interruption.
"""

CHUNK_MS = 60
"""The longest frame; each costs the server and the client a wake-up."""

TELL_MS = 200
"""How often a client that reports nothing is taken to have reported."""

SILENT_MS = 8_000
"""A client that reports playback is gone when it says nothing for so long while sound is due."""

DRAIN_SLACK_MS = 5
"""A client rounds its playhead down; so little missing at the end was heard."""

DRIFT_MS = 120
"""The recording follows the client's playhead when it strays further from even pace."""

HIGH_WATER_MS = 10_000
LOW_WATER_MS = 5_000
"""Above the first no further sentence is begun, until below the second."""


@dataclass(slots=True)
class _Track:
    """The sound of one response, kept from the last place known to be heard."""

    response_id: int
    kept: bytearray = field(default_factory=bytearray)
    base_bytes: int = 0
    """How much of the response lies before `kept`."""
    sent_ms: int = 0
    played_ms: int = 0
    played_at_ms: int | None = None
    """When `played_ms` was reported, or sound left for a client that had none."""
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

    def playhead_ms(self, now_ms: int, *, reports: bool) -> int:
        """Where the ear is: the last report carried on at even pace, never past what was sent."""
        if self.played_at_ms is None or (reports and not self.reported):
            return self.played_ms
        since_ms = max(0, now_ms - self.played_at_ms)
        if reports:
            since_ms = min(since_ms, LEAD_MS)
        return min(self.sent_ms, self.played_ms + since_ms)


class Playout:
    """One call's loudspeaker, seen from the server.

    Args:
        post: tells the call what was heard.
        send: puts a frame on the client's lane; never waits.
        hold: asks the voice session to begin no further sentence, or to go on.
        lost: the client has fallen silent while sound was due.
        now_ms: milliseconds since the call began.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        now_ms: Callable[[], int],
        post: Callable[[ev.Event], None],
        send: Callable[[AudioFrame | AudioEnd], None],
        hold: Callable[[bool], None],
        lost: Callable[[], None],
        recording: RecordingSink | None,
    ) -> None:
        self._clock = clock
        self._now_ms = now_ms
        self._post = post
        self._send = send
        self._hold_voice = hold
        self._lost = lost
        self._recording = recording
        self._tracks: dict[int, _Track] = {}
        self._current: _Track | None = None
        self._reports = False
        self._held = True
        self._voice_held = False
        self._forget_timer: Callable[[], None] | None = None

    # Effects

    def push(self, response_id: int, pcm: bytes) -> None:
        track = self._track(response_id)
        track.kept += pcm
        self._pump()

    def finish(self, response_id: int) -> None:
        track = self._track(response_id)
        track.finished = True
        self._pump()

    def clear(self, response_id: int) -> None:
        """Send nothing more of it; what a client without reports heard is told at once."""
        track = self._tracks.get(response_id)
        if track is None:
            return
        heard_ms = track.playhead_ms(self._now_ms(), reports=self._reports)
        track.cut = True
        if self._current is track:
            self._current = None
        self._stop_timer()
        self._follow_water()
        if not self._reports:
            self._post(ev.PlaybackCut(response_id=response_id, played_ms=heard_ms))

    def settle(self, response_id: int, heard_ms: int) -> None:
        """`heard_ms` were heard, and that is final: the recording gets them, the rest goes."""
        track = self._tracks.pop(response_id, None)
        if track is None:
            return
        self._record(track, heard_ms, self._now_ms())
        if self._current is track:
            self._current = None
            self._stop_timer()
        self._follow_water()

    def hold(self) -> None:
        """The client is away: its playhead stands still."""
        if self._current is not None and not self._reports:
            self._advance(self._current)
        self._held = True
        self._stop_timer()

    def release(self, *, pace: Pace) -> None:
        """A client is there; go on from the last place known to be heard."""
        if not self._held:
            self.hold()
        self._reports = pace.playback is Playback.REPORTED
        self._held = False
        if (track := self._current) is not None:
            track.sent_ms = track.played_ms
            track.end_told = False
            track.reported = False
            track.anchor_ms = None
            track.played_at_ms = self._now_ms()
        self._pump()

    # Reports

    def played(self, response_id: int, played_ms: int) -> None:
        """The client's playhead; reports that go back are ignored."""
        track = self._tracks.get(response_id)
        if track is None or track.cut or played_ms < track.played_ms:
            return
        self._report(track, min(played_ms, track.total_ms))
        self._pump()

    def _report(self, track: _Track, played_ms: int) -> None:
        now_ms = self._now_ms()
        track.reported = True
        track.played_ms, track.played_at_ms = played_ms, now_ms
        track.sent_ms = max(track.sent_ms, played_ms)
        self._record(track, played_ms, now_ms)

    def _advance(self, track: _Track) -> None:
        """Take time for a report, from a client that gives none."""
        played_ms = track.playhead_ms(self._now_ms(), reports=False)
        if played_ms > track.played_ms:
            self._report(track, played_ms)
            self._post(ev.Played(response_id=track.response_id, played_ms=played_ms))

    # Sending

    def _track(self, response_id: int) -> _Track:
        track = self._tracks.get(response_id)
        if track is None:
            track = self._tracks[response_id] = _Track(response_id)
            self._current = track
        return track

    def _pump(self) -> None:
        track = self._current
        if track is None or self._held:
            return
        if not self._reports:
            self._advance(track)
        self._send_due(track)
        self._follow_water()
        if track.finished and track.sent_ms >= track.total_ms:
            self._tell_end(track)
        if self._current is track:
            self._schedule(track)

    def _send_due(self, track: _Track) -> None:
        while (length_ms := self._due_ms(track)) > 0:
            end_ms = track.sent_ms + length_ms
            frame = AudioFrame(track.response_id, track.sent_ms, track.slice(track.sent_ms, end_ms))
            if not track.outstanding:
                track.played_at_ms = self._now_ms()
            track.sent_ms = end_ms
            self._send(frame)
            if not track.begun:
                track.begun = True
                self._post(ev.AudioSent(response_id=track.response_id))

    def _due_ms(self, track: _Track) -> int:
        """How much to send in the next frame; 0 while the window is full or nothing is there."""
        ready_ms = track.total_ms - track.sent_ms
        playhead_ms = track.playhead_ms(self._now_ms(), reports=self._reports)
        room_ms = playhead_ms + LEAD_MS - track.sent_ms
        chunk_ms = min(CHUNK_MS, ready_ms)
        return chunk_ms if room_ms >= chunk_ms else 0

    def _tell_end(self, track: _Track) -> None:
        if not track.end_told:
            track.end_told = True
            self._send(AudioEnd(track.response_id, track.total_ms))
        if track.played_ms >= track.total_ms - DRAIN_SLACK_MS or not track.total_ms:
            self._current = None
            drained = ev.PlayoutDrained(response_id=track.response_id, heard_ms=track.total_ms)
            self._post(drained)

    def _schedule(self, track: _Track) -> None:
        """Look again when the window has room, or when a report is overdue."""
        self._stop_timer()
        if track.played_at_ms is None:
            return
        silent_ms = self._now_ms() - track.played_at_ms
        if self._reports and track.outstanding and silent_ms >= SILENT_MS:
            self._lost()
            return
        pause_ms = CHUNK_MS if track.sent_ms < track.total_ms else TELL_MS
        self._forget_timer = self._clock.call_at(self._clock.now_ms() + pause_ms, self._pump)

    def _stop_timer(self) -> None:
        if self._forget_timer is not None:
            self._forget_timer()
            self._forget_timer = None

    def _follow_water(self) -> None:
        track = self._current
        ahead_ms = 0 if track is None else track.total_ms - track.played_ms
        limit_ms = LOW_WATER_MS if self._voice_held else HIGH_WATER_MS
        if (ahead_ms > limit_ms) is not self._voice_held:
            self._voice_held = not self._voice_held
            self._hold_voice(self._voice_held)

    # Recording

    def _record(self, track: _Track, until_ms: int, now_ms: int) -> None:
        """Place what was newly heard where it was heard, and let go of it.

        What comes after an interruption or from a client that was away is old news: it was
        heard at even pace after the last report.
        """
        if until_ms <= track.recorded_ms:
            return
        began_ms = now_ms - until_ms
        strayed = track.anchor_ms is None or abs(began_ms - track.anchor_ms) > DRIFT_MS
        if track.anchor_ms is None or (strayed and not track.cut and not self._held):
            track.anchor_ms = began_ms
        if self._recording is not None:
            pcm = track.slice(track.recorded_ms, until_ms)
            self._recording.agent(max(0, track.anchor_ms + track.recorded_ms), pcm)
        track.recorded_ms = until_ms
        track.forget_until(until_ms)

    def close(self) -> None:
        self._stop_timer()
        self._current = None
        self._tracks.clear()
