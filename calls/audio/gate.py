"""A cheap gate before a dear detector: does this window rise above the room at all?

It learns the room's noise, how loud it is and how much that wavers, and opens for whatever
stands out of it, in the whole or in the treble. What a detector makes of the windows it then
hears tells the gate whether that was noise: it learns from those windows too, and a lasting
noise closes it again. It opens too often rather than too late.
"""

Levels = tuple[float, float]
"""Of a window, as `level.band_levels` measures them: the whole and the treble, in dBFS."""

UNHEARD_DBFS = -72.0
"""What is quieter than this is silence in any room: eight steps of the last bit."""

HANG_WINDOWS = 8
"""How long the gate stays open after the last sound or likely speech (256 ms at 32 ms each).

Longer than it takes to decide that speech has ended, which is the detector's to say.
"""

_SPEECHLIKE = 0.35
_NOISE = 0.2
_RATE = 0.05
_FALL_RATE = 0.5
_FALL_DB = 6.0
_STRAY_DB = 4.0
_MARGIN_DB = (1.0, 4.0)
_MARGIN_BASE_DB = 0.5
_MARGIN_STRAYS = 2.5
_VOICE_DB = 9.0
_CREEP_DB = 0.05


class _Noise:
    """The noise of one band: its mean level, and how far it strays from that."""

    __slots__ = ("level_db", "stray_db")

    def __init__(self) -> None:
        self.level_db = UNHEARD_DBFS
        self.stray_db = 0.0

    def excess_db(self, level_db: float) -> float:
        """How far a level stands out of the noise; positive opens the gate."""
        lowest, highest = _MARGIN_DB
        margin = _MARGIN_BASE_DB + _MARGIN_STRAYS * self.stray_db
        return level_db - self.level_db - min(highest, max(lowest, margin))

    def learn(self, level_db: float) -> None:
        """Take a window that held no speech. A noise that ceases is forgotten at once."""
        change = max(level_db, UNHEARD_DBFS) - self.level_db
        self.level_db += change * (_FALL_RATE if change < -_FALL_DB else _RATE)
        self.stray_db += (min(abs(change), _STRAY_DB) - self.stray_db) * _RATE


class LevelGate:
    """Decides, window by window, whether a detector needs to run."""

    def __init__(self) -> None:
        self._whole = _Noise()
        self._treble = _Noise()
        self._quiet_windows = 0
        self._speechlike = False

    def take(self, levels: Levels) -> bool:
        """Take the next window.

        Returns:
            Open or not. It begins open, so that the detector has heard the room once.
        """
        heard = self._excess_db(levels) > 0 or self._speechlike
        self._quiet_windows = 0 if heard else self._quiet_windows + 1
        opened = self._quiet_windows <= HANG_WINDOWS
        if not opened:
            self._learn(levels)
        return opened

    def judged(self, levels: Levels, probability: float) -> None:
        """Learn what the detector made of a window that the gate let through."""
        self._speechlike = probability >= _SPEECHLIKE
        if probability < _NOISE:
            self._learn(levels)

    def guess(self, levels: Levels) -> float:
        """What the level alone says of such a window: 1 for a likely voice, or 0.

        For want of a detector. Whatever lasts becomes noise little by little, so that nothing
        counts as speech for ever.
        """
        voiced = float(self._excess_db(levels) > _VOICE_DB)
        if voiced:
            self._whole.level_db += _CREEP_DB
            self._treble.level_db += _CREEP_DB
        self.judged(levels, voiced)
        return voiced

    def _excess_db(self, levels: Levels) -> float:
        whole_db, treble_db = levels
        return max(self._whole.excess_db(whole_db), self._treble.excess_db(treble_db))

    def _learn(self, levels: Levels) -> None:
        whole_db, treble_db = levels
        self._whole.learn(whole_db)
        self._treble.learn(treble_db)
