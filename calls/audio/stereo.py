"""Two mono tracks as one stereo track, and back; all of it 16-bit PCM."""

import numpy as np

from calls.domain.audio import SAMPLE_BYTES


def interleave(left: bytes, right: bytes) -> bytes:
    """Stereo of two tracks that begin together; the shorter one is silent to the end.

    Raises:
        ValueError: a track is an odd number of bytes.
    """
    samples = max(len(left), len(right)) // SAMPLE_BYTES
    both = np.zeros((samples, 2), "<i2")
    for channel, pcm in enumerate((left, right)):
        track = np.frombuffer(pcm, "<i2")
        both[: len(track), channel] = track
    return both.tobytes()


def split(stereo: bytes) -> tuple[bytes, bytes]:
    """Left and right of a stereo track.

    Raises:
        ValueError: not a whole number of stereo samples (4 bytes each).
    """
    both = np.frombuffer(stereo, "<i2").reshape(-1, 2)
    return both[:, 0].tobytes(), both[:, 1].tobytes()
