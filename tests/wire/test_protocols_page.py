"""The page that lists the protocols says what the code says."""

import re
from pathlib import Path

import pytest

from calls.conf import PROTOCOLS
from calls.ports.client import Playback
from calls.routing import routes
from calls.wire import browser, socketio, twilio
from calls.wire.avr import codec as avr_codec
from calls.wire.micdrop import codec as micdrop_codec
from calls.wire.realtime import codec as realtime_codec

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "protocols"
PAGE = (FOLDER / "README.md").read_text()
TERMS = {
    "browser": browser.Browser().terms,
    "micdrop": micdrop_codec.TERMS,
    "avr": avr_codec.TERMS,
    "socketio": socketio.TERMS,
    "realtime": realtime_codec.TERMS,
    "twilio": twilio.Twilio.terms,
}
PACES = {
    "browser": browser.REPORTING,
    "avr": avr_codec.PACE,
    "socketio": socketio.PACE,
    "realtime": realtime_codec.PACE,
    "twilio": twilio.PACE,
}


def table(title):
    """The rows below this headline, or the first of the page: names of protocols to their cells."""
    section = PAGE.partition(f"{title}\n")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| ")]
    named = {re.search(r"`(\w+)`", row[0]): row for row in rows}
    return {name[1]: [cell.strip() for cell in row[1:]] for name, row in named.items() if name}


TITLES = (
    "# Protocols",
    "## What is known of what was heard",
    "## Who may come in",
    "## Limits",
)


@pytest.mark.parametrize("title", TITLES)
def test_every_protocol_has_its_row(title):
    assert tuple(table(title)) == PROTOCOLS


def test_every_protocol_has_its_page():
    linked = re.findall(r"^\| \[`\w+`\]\(([a-z-]+\.md)\)", PAGE, re.MULTILINE)
    assert len(linked) == len(PROTOCOLS)
    assert sorted(linked) == sorted(path.name for path in FOLDER.glob("[a-z]*.md"))


def test_the_names_on_the_record():
    names = {protocol: cells[-1].strip("`") for protocol, cells in table("# Protocols").items()}
    assert names == {protocol: terms.name for protocol, terms in TERMS.items()}


def test_the_addresses_lead_to_their_protocols():
    for protocol, cells in table("# Protocols").items():
        for address in re.findall(r"`(/[^`]*)`", cells[0]):
            path = address.replace("<agent>", "demo")
            (route, *_) = [route for route in routes() if route.matches(path)]
            assert route.protocol == protocol


def test_the_longest_messages():
    said = {
        protocol: int(cells[0].removesuffix(" bytes").replace(",", ""))
        for protocol, cells in table("## Limits").items()
    }
    assert said == {protocol: terms.message_bytes for protocol, terms in TERMS.items()}
    taken = {route.protocol: route.message_bytes for route in routes()}
    assert all(taken[protocol] >= size for protocol, size in said.items())


def test_whose_calls_wait():
    for protocol, cells in table("## Limits").items():
        assert (cells[1] == "the call waits for it") is TERMS[protocol].resumes


def test_what_is_known_of_what_was_heard():
    rows = table("## What is known of what was heard")
    for protocol, pace in PACES.items():
        heard, sent = rows[protocol]
        assert heard.startswith(pace.playback.value)
        lead = "as it is made" if pace.lead_ms is None else f"at most {pace.lead_ms} ms ahead"
        assert sent.startswith(lead)
    assert rows["micdrop"][0].startswith(Playback.ASSUMED.value)


def test_the_example_is_as_long_as_the_page_says():
    counted = {
        path: int(lines)
        for path, lines in re.findall(r"^\| `([\w/.]+)` \| (\d+) \|", PAGE, re.MULTILINE)
        if path != "calls/routing.py"
    }
    assert len(counted) == 8
    for path, lines in counted.items():
        assert len((ROOT / path).read_text().splitlines()) == lines, path
