"""`docs/api-keys.md` lists what the addresses answer."""

import re
from pathlib import Path

from calls import realtime_api
from calls.wire.realtime.refusal import INVALID_VALUE, MISSING, NOT_ALLOWED


def test_every_refusal_is_documented():
    source = Path(realtime_api.__file__).parent
    code = "".join(path.read_text() for path in source.glob("*.py"))
    refused = set(re.findall(r'RefusedError\((\d{3}), "(\w+)"', code))
    page = (Path(__file__).parents[2] / "docs" / "api-keys.md").read_text()
    rows = re.findall(r"^\| (\d{3}) \| ([^|]+) \|", page, re.MULTILINE)
    documented = {
        (status, name) for status, names in rows for name in re.findall(r"`(\w+)`", names)
    }
    assert len(refused) > 10
    assert refused <= documented
    of_sessions = {("400", INVALID_VALUE), ("400", MISSING), ("403", NOT_ALLOWED)}
    assert documented == refused | of_sessions
