"""Where the sound of clients lies that count no samples, and send nothing while nobody speaks."""

from calls.engine.timeline import PAUSE_MS, SETTLE_MS, Timeline

SECOND = 16_000


class Clock:
    def __init__(self):
        self.ms = 0

    def now_ms(self):
        return self.ms


def spoken(timeline, clock, length_ms, *, counted, piece_ms=20):
    """Sound as it is spoken; when it began, piece by piece."""
    began = []
    for _ in range(length_ms // piece_ms):
        clock.ms += piece_ms
        began.append(timeline.take(piece_ms * 16, counted=counted))
    return began


def test_after_a_pause_sound_lies_where_it_came():
    clock = Clock()
    timeline = Timeline(clock.now_ms)
    spoken(timeline, clock, 1_000, counted=False)
    clock.ms += 6_000
    began = spoken(timeline, clock, 3_000, counted=False)
    assert began == list(range(7_000, 10_000, 20))


def test_the_count_of_samples_goes_on_through_the_pause():
    clock = Clock()
    timeline = Timeline(clock.now_ms)
    spoken(timeline, clock, 1_000, counted=False)
    clock.ms += 6_000
    spoken(timeline, clock, 1_000, counted=False)
    assert timeline.samples == 2 * SECOND


def test_a_whole_file_ends_when_it_came():
    clock = Clock()
    timeline = Timeline(clock.now_ms)
    spoken(timeline, clock, 1_000, counted=False)
    clock.ms = 10_000
    assert timeline.take(3 * SECOND, counted=False) == 7_000


def test_a_short_delay_is_no_pause():
    clock = Clock()
    timeline = Timeline(clock.now_ms)
    spoken(timeline, clock, 1_000, counted=False)
    clock.ms += PAUSE_MS - 100
    # What was late comes at once, and lies where it was spoken.
    began = [timeline.take(320, counted=False) for _ in range((PAUSE_MS - 100) // 20)]
    assert began == list(range(1_000, 1_000 + PAUSE_MS - 100, 20))


def test_who_counts_is_believed_through_any_outage():
    clock = Clock()
    timeline = Timeline(clock.now_ms)
    spoken(timeline, clock, 1_000, counted=True)
    clock.ms += 6_000
    began = spoken(timeline, clock, SETTLE_MS - 100, counted=True)
    assert began[0] == 1_000
