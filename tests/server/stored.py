"""What a server has on the record, read past it."""

import sqlite3
import time
import wave
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

_POLL_S = 0.05


class Stored:
    """The database and the recordings of a server.

    Args:
        var_dir: where the server keeps them.
    """

    def __init__(self, var_dir: Path) -> None:
        self.var_dir = var_dir
        self.database = var_dir / "db.sqlite3"

    def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(query, values)]

    def conversation(self, call_id: str) -> dict[str, Any]:
        (row,) = self.rows("SELECT * FROM calls_conversation WHERE call_id = ?", call_id)
        return row

    def items(self, call_id: str) -> dict[int, dict[str, Any]]:
        query = "SELECT * FROM calls_item WHERE conversation_id = ? ORDER BY item_id"
        return {row["item_id"]: row for row in self.rows(query, call_id)}

    def recording(self, call_id: str) -> dict[str, Any]:
        (row,) = self.rows("SELECT * FROM calls_recording WHERE conversation_id = ?", call_id)
        return row

    def sound(self, call_id: str) -> tuple[bytes, bytes]:
        """Caller and agent, 16 kHz s16le; the file has to be a sound WAV file."""
        path = self.var_dir / "recordings" / self.recording(call_id)["path"]
        with wave.open(str(path), "rb") as wav:
            assert (wav.getnchannels(), wav.getframerate(), wav.getsampwidth()) == (2, 16_000, 2)
            both = memoryview(wav.readframes(wav.getnframes())).cast("h")
        return bytes(both[::2].tobytes()), bytes(both[1::2].tobytes())

    def until(self, condition: Callable[[], bool], timeout_s: float = 15) -> None:
        """Wait for something to come true of the record."""
        give_up_s = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < give_up_s, "the record never came to that"
            time.sleep(_POLL_S)

    def ended(self, call_id: str, timeout_s: float = 15) -> dict[str, Any]:
        """The conversation, once it is closed."""
        self.until(lambda: self.conversation(call_id)["status"] == "ended", timeout_s)
        return self.conversation(call_id)
