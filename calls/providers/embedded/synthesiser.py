"""The espeak-ng library. Loaded in worker processes only: it is a program under the GPL."""

import ctypes
from collections.abc import Callable, Iterator, Sequence

import espeakng_loader

from calls.audio.resample import Resampler
from calls.domain.audio import AGENT, SAMPLE_BYTES
from calls.domain.items import Mark

SLOWEST_WPM = 80
FASTEST_WPM = 450

_CHUNK_MS = 60
_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000
_UTF8 = 1
_BY_CHARACTER = 1
_RATE = 1
_WORD_EVENT = 1

Heard = Callable[[bytes, tuple[Mark, ...]], bool]
"""Takes sound and marks as they are made; True: make no more."""


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_int64),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


class Synthesiser:
    """Speaks one text at a time. Sound is `audio.AGENT`."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        data_path = espeakng_loader.get_data_path().encode()
        self._rate_hz = self._library.espeak_Initialize(
            _SYNCHRONOUS, _CHUNK_MS, data_path, _DONT_EXIT
        )
        if self._rate_hz <= 0:
            raise RuntimeError("espeak-ng did not find its data")
        # The library keeps the pointer: the callback has to live as long as it does.
        self._callback = _Callback(self._on_sound)
        self._library.espeak_SetSynthCallback(self._callback)
        self._speech: _Speech | None = None

    def speak(self, text: str, voices: Sequence[str], speed_wpm: int, heard: Heard) -> None:
        """Say `text` with the first of `voices` that there is.

        Raises:
            ValueError: none of them exists.
            RuntimeError: the library would not speak.
        """
        if all(self._library.espeak_SetVoiceByName(voice.encode()) for voice in voices):
            raise ValueError("no such voice")
        speed_wpm = max(SLOWEST_WPM, min(FASTEST_WPM, speed_wpm))
        self._library.espeak_SetParameter(_RATE, speed_wpm, 0)
        self._speech = speech = _Speech(text, self._rate_hz, heard)
        encoded = text.encode()
        status = self._library.espeak_Synth(
            encoded, len(encoded) + 1, 0, _BY_CHARACTER, 0, _UTF8, None, None
        )
        self._speech = None
        if speech.error is not None:
            raise speech.error
        if status:
            raise RuntimeError("espeak-ng would not speak")
        speech.finish()

    def _on_sound(
        self,
        wave: "ctypes._Pointer[ctypes.c_short]",
        samples: int,
        events: "ctypes._Pointer[_Event]",
    ) -> int:
        return int(self._speech is None or self._speech.take(wave, samples, events))


class _Speech:
    """One text while it is being said."""

    def __init__(self, text: str, rate_hz: int, heard: Heard) -> None:
        self.error: Exception | None = None
        self._text = text
        self._rate_hz = rate_hz
        self._heard = heard
        self._resampler = Resampler(rate_hz, AGENT.rate_hz)
        self._samples = 0
        self._marked = 0
        self._stopped = False

    def take(
        self,
        wave: "ctypes._Pointer[ctypes.c_short]",
        samples: int,
        events: "ctypes._Pointer[_Event]",
    ) -> bool:
        """Pass on what was made; True: stop. Nothing may be raised into the library."""
        try:
            marks = tuple(self._marks(events))
            pcm = ctypes.string_at(wave, samples * SAMPLE_BYTES) if samples else b""
            self._samples += samples
            self._give(self._resampler.feed(pcm), marks)
        except Exception as error:  # noqa: BLE001 - raised again once the library has returned
            self.error, self._stopped = error, True
        return self._stopped

    def finish(self) -> None:
        """The text is said: what the resampler held back, and the mark of the last word."""
        if not self._stopped:
            end = Mark(len(self._text), self._samples * 1000 // self._rate_hz)
            self._give(self._resampler.flush(), (end,) if self._text.strip() else ())

    def _give(self, pcm: bytes, marks: tuple[Mark, ...]) -> None:
        if pcm or marks:
            self._stopped = self._heard(pcm, marks) or self._stopped

    def _marks(self, events: "ctypes._Pointer[_Event]") -> Iterator[Mark]:
        """A word that begins says that everything before it has been said."""
        at = 0
        while events[at].type:
            event, at = events[at], at + 1
            begun = event.text_position - 1
            if event.type == _WORD_EVENT and self._begins_word(begun):
                self._marked = begun
                yield Mark(len(self._text[:begun].rstrip()), event.audio_position)

    def _begins_word(self, begun: int) -> bool:
        """Whether a word as people write them begins here, further on than the last one."""
        within = self._marked < begun < len(self._text)
        return within and self._text[begun - 1].isspace() and not self._text[begun].isspace()
