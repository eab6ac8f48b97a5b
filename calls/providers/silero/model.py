"""The Silero network: how likely a window of sound holds speech."""

from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

WINDOW_SAMPLES = 512
"""32 ms at 16 kHz: what the network was trained on."""

CONTEXT_SAMPLES = 64
"""How much of the window before it wants to see again."""

MODEL = Path(__file__).with_name("vendor") / "silero_vad_16k_op15.onnx"

_STATE_SHAPE = (2, 128)
_RATE_HZ = np.array(16_000, np.int64)
_TO_UNIT = np.float32(1 / 32_768)
_ERRORS_ONLY = 3

State = NDArray[np.float32]
"""What the network remembers of one stream, 2 x 128."""


def blank_state() -> State:
    """The memory of a stream that has not begun."""
    return np.zeros(_STATE_SHAPE, np.float32)


class Network(Protocol):
    def judge(
        self, blocks: list[bytes], states: list[State]
    ) -> tuple[list[float], NDArray[np.float32]]:
        """Judge one block each of several streams; none affects another.

        Args:
            blocks: 64 samples of context and 512 new ones each, 16-bit PCM at 16 kHz.
            states: what is remembered of each stream, in the same order.

        Returns:
            The probabilities, 0 to 1, and the new memories, n x 2 x 128, both in that order.
        """
        ...


class SileroNetwork:
    """One onnxruntime session, shared by all calls of a process: 25 MB, one thread, no spinning.

    Args:
        path: the model, the 16 kHz edition.
    """

    def __init__(self, path: Path = MODEL) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = _ERRORS_ONLY
        self._session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )

    def judge(
        self, blocks: list[bytes], states: list[State]
    ) -> tuple[list[float], NDArray[np.float32]]:
        """See `Network`. Holds its thread for about 55 us a block, and 55 more."""
        samples = np.frombuffer(b"".join(blocks), "<i2").reshape(len(blocks), -1)
        probabilities, new_states = self._session.run(
            None,
            {
                "input": samples.astype(np.float32) * _TO_UNIT,
                "state": np.stack(states, axis=1),
                "sr": _RATE_HZ,
            },
        )
        return probabilities[:, 0].tolist(), new_states.swapaxes(0, 1)
