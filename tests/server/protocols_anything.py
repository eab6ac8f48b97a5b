"""Messages that no client of a protocol should send: noise, any JSON, and what is nearly right."""

import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.server.protocols import Frame

VECTORS = Path(__file__).resolve().parents[1] / "vectors"

_scalars = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=30)
)
_anything = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


def _examples(name: str) -> list[Any]:
    """The messages of the protocol's table that a client sends: objects, texts."""
    files = {"browser": ["browser-v1"], "realtime": ["realtime-ga", "realtime-beta"]}
    rows: list[dict[str, Any]] = []
    for file in files.get(name, [name]):
        vectors = json.loads((VECTORS / f"{file}.json").read_text())
        rows += vectors.get("client_to_server", []) + vectors.get("from_twilio", [])
    if name == "socketio":
        return [[row["event"], row["payload"]] for row in rows if "payload" in row]
    found = [row.get("message", row.get("frame")) for row in rows]
    return [message for message in found if isinstance(message, dict | str)]


@st.composite
def _changed(draw: Any, examples: list[Any]) -> Any:
    """A message of the protocol, one part of which is something else."""
    message = json.loads(json.dumps(draw(st.sampled_from(examples))))
    place = message
    while isinstance(place, dict | list) and place:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = draw(st.sampled_from(keys))
        inner = place[key]
        if not isinstance(inner, dict | list) or not inner or draw(st.booleans()):
            place[key] = draw(_anything)
            break
        place = inner
    return message


def anything_whatever(name: str, count: int) -> list[Frame]:
    """So many frames, the same every time: noise, any JSON, and messages that are nearly right."""
    examples = _examples(name)
    lead = "42" if name == "socketio" else ""

    def words(message: Any) -> str:
        return message if isinstance(message, str) else lead + json.dumps(message)

    near = _changed(examples).map(words)
    noise = st.binary(max_size=200) | st.text(max_size=100).map(lambda text: lead + text)
    frames: list[Frame] = []

    @hypothesis_settings(
        max_examples=count, derandomize=True, database=None, phases=[Phase.generate],
        deadline=None, suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(near | near | noise | _anything.map(words))
    def collect(frame: Frame) -> None:
        frames.append(frame)

    collect()
    return [frame for frame in frames if _sendable(frame)][:count]


def _sendable(frame: Frame) -> bool:
    """A client's library sends no text that is no UTF-8."""
    try:
        return isinstance(frame, bytes) or bool(frame.encode())
    except UnicodeEncodeError:
        return False
