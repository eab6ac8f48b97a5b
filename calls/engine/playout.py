"""Sending the agent's sound at the pace of the ear, and knowing what was heard."""

from collections.abc import Callable

from calls.domain import events as ev
from calls.engine.track import Track
from calls.ports.client import AudioEnd, AudioFrame, Pace, Playback
from calls.ports.clock import Clock
from calls.ports.records import RecordingSink

LEAD_MS = 400
"""The playhead is carried on from the last report for so long, and no longer: what a stalled
network holds back lies before the `clear` of an interruption.
"""

TELL_MS = 200
"""How often a client that reports nothing is taken to have reported."""

SILENT_MS = 8_000
"""A client that reports playback is gone when it says nothing for so long while sound is due."""

HIGH_WATER_MS = 10_000
LOW_WATER_MS = 5_000
"""Above the first no further sentence is begun, until below the second."""

FROM_END_MS = 120_000
"""A client that begins to play at the end of a response gets so much of it unheard; then it is
taken to have begun, so that the rest is made no faster than it is heard. It is 6 MB: what a
recording takes at once."""


class Playout:
    """One call's loudspeaker, seen from the server.

    A client that reports nothing plays at even pace from when it got the first sound, or from when
    it had all of it (`Pace.from_end`), or from when it is through with what it got before.

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
        self._tracks: dict[int, Track] = {}
        self._current: Track | None = None
        self._pace = Pace(playback=Playback.PACED)
        self._busy_until_ms = 0
        """So long the ear hears an earlier response that is settled already."""
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

    @property
    def _reports(self) -> bool:
        return self._pace.playback is Playback.REPORTED

    @property
    def _frame_ms(self) -> int:
        """No longer than the lead: it would never have room."""
        lead_ms = self._pace.lead_ms
        return self._pace.frame_ms if lead_ms is None else min(self._pace.frame_ms, lead_ms)

    def _playhead_ms(self, track: Track) -> int:
        reported_ms = LEAD_MS if self._reports else None
        return track.playhead_ms(self._now_ms(), reported_ms=reported_ms)

    def clear(self, response_id: int) -> None:
        """Send nothing more of it; what a client without reports heard is told at once."""
        self._busy_until_ms = 0
        track = self._tracks.get(response_id)
        if track is None:
            return
        heard_ms = self._playhead_ms(track)
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
        ahead_ms = 0 if self._reports else self._still_plays_ms(track, heard_ms)
        self._record(track, heard_ms, self._now_ms() + ahead_ms)
        if self._current is track:
            self._current = None
            self._stop_timer()
        self._follow_water()

    def _still_plays_ms(self, track: Track, heard_ms: int) -> int:
        """How long the ear is still busy with what is taken to be heard; all of it is sent."""
        if track.cut or self._held:
            return 0
        if heard_ms >= track.total_ms and track.finished:
            self._send_until(track, track.total_ms)
            self._tell_sent(track)
        left_ms = min(heard_ms, track.sent_ms) - self._playhead_ms(track)
        if left_ms <= 0:
            return 0
        began_ms = track.played_at_ms or 0
        self._busy_until_ms = max(self._now_ms(), began_ms) + left_ms
        return self._busy_until_ms - self._now_ms()

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
        self._pace = pace
        self._busy_until_ms = 0
        self._held = False
        if (track := self._current) is not None:
            track.go_back()
            track.played_at_ms = None if pace.from_end else self._now_ms()
        self._pump()

    # Reports

    def played(self, response_id: int, played_ms: int) -> None:
        """The client's playhead; reports that go back are ignored."""
        track = self._tracks.get(response_id)
        if track is None or track.cut or played_ms < track.played_ms:
            return
        self._report(track, min(played_ms, track.total_ms))
        self._pump()

    def _report(self, track: Track, played_ms: int) -> None:
        now_ms = self._now_ms()
        track.reported = True
        track.played_ms, track.played_at_ms = played_ms, now_ms
        track.sent_ms = max(track.sent_ms, played_ms)
        self._record(track, played_ms, now_ms)

    def _advance(self, track: Track) -> None:
        """Take time for a report, from a client that gives none."""
        played_ms = track.playhead_ms(self._now_ms(), reported_ms=None)
        if played_ms > track.played_ms:
            self._report(track, played_ms)
            self._post(ev.Played(response_id=track.response_id, played_ms=played_ms))

    # Sending

    def _track(self, response_id: int) -> Track:
        track = self._tracks.get(response_id)
        if track is None:
            track = self._tracks[response_id] = Track(response_id)
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

    def _waits_for_end(self, track: Track) -> bool:
        return self._pace.from_end and not self._reports and track.played_at_ms is None

    def _ear_begins(self, track: Track) -> None:
        track.played_at_ms = max(self._now_ms(), self._busy_until_ms)

    def _send_due(self, track: Track) -> None:
        while (length_ms := self._due_ms(track)) > 0:
            self._send_frame(track, track.sent_ms + length_ms)
        if self._waits_for_end(track) and track.sent_ms >= FROM_END_MS:
            self._ear_begins(track)

    def _send_until(self, track: Track, end_ms: int) -> None:
        """Send all of it up to there, whatever the ear has heard."""
        while track.sent_ms < end_ms:
            self._send_frame(track, min(track.sent_ms + self._frame_ms, end_ms))

    def _send_frame(self, track: Track, end_ms: int) -> None:
        frame = AudioFrame(track.response_id, track.sent_ms, track.slice(track.sent_ms, end_ms))
        if not track.outstanding and not self._waits_for_end(track):
            self._ear_begins(track)
        track.sent_ms = end_ms
        self._send(frame)
        if not track.begun:
            track.begun = True
            self._post(ev.AudioSent(response_id=track.response_id))

    def _due_ms(self, track: Track) -> int:
        """How much to send in the next frame; 0 while the window is full or nothing is there."""
        lead_ms, frame_ms = self._pace.lead_ms, self._frame_ms
        ready_ms = track.total_ms - track.sent_ms
        if lead_ms is None:
            return min(frame_ms, ready_ms)
        ahead_ms = track.sent_ms - self._playhead_ms(track)
        if ready_ms < frame_ms < ahead_ms and not track.finished and not self._reports:
            return 0  # the rest of the frame comes in time
        chunk_ms = min(frame_ms, ready_ms)
        return chunk_ms if lead_ms - ahead_ms >= chunk_ms else 0

    def _tell_sent(self, track: Track) -> None:
        if not track.end_told:
            track.end_told = True
            self._send(AudioEnd(track.response_id, track.total_ms))
            if self._waits_for_end(track):
                self._ear_begins(track)

    def _tell_end(self, track: Track) -> None:
        self._tell_sent(track)
        if track.drained:
            self._current = None
            drained = ev.PlayoutDrained(response_id=track.response_id, heard_ms=track.total_ms)
            self._post(drained)

    def _schedule(self, track: Track) -> None:
        """Look again when the window has room, or when a report is overdue."""
        self._stop_timer()
        if track.played_at_ms is None:
            return
        silent_ms = self._now_ms() - track.played_at_ms
        if self._reports and track.outstanding and silent_ms >= SILENT_MS:
            self._lost()
            return
        due_ms = self._clock.now_ms() + self._pause_ms(track)
        self._forget_timer = self._clock.call_at(due_ms, self._pump)

    def _pause_ms(self, track: Track) -> int:
        if track.sent_ms < track.total_ms:
            return self._frame_ms
        if self._reports or not track.finished:
            return TELL_MS
        # Nobody says when the last of it was heard but the clock.
        return max(1, min(TELL_MS, track.total_ms - self._playhead_ms(track)))

    def _stop_timer(self) -> None:
        if self._forget_timer is not None:
            self._forget_timer()
            self._forget_timer = None

    def _follow_water(self) -> None:
        track = self._current
        ahead_ms = 0 if track is None else track.total_ms - track.played_ms
        if track is not None and self._waits_for_end(track):
            ahead_ms = 0  # nothing of it is heard before all of it is made
        limit_ms = LOW_WATER_MS if self._voice_held else HIGH_WATER_MS
        if (ahead_ms > limit_ms) is not self._voice_held:
            self._voice_held = not self._voice_held
            self._hold_voice(self._voice_held)

    def _record(self, track: Track, until_ms: int, now_ms: int) -> None:
        heard = track.take_heard(until_ms, now_ms, steady=track.cut or self._held)
        if heard is not None and self._recording is not None:
            self._recording.agent(*heard)

    def close(self) -> None:
        self._stop_timer()
        self._current = None
        self._tracks.clear()
