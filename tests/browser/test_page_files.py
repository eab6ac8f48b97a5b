"""The files of the page, without a browser."""

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.template.loader import render_to_string

CALLS = Path(settings.BASE_DIR) / "static" / "calls"
IMPORT = re.compile(r'^import\b[^;]*?"\./([\w.-]+)";', re.MULTILINE)
MENTION = re.compile(r"""import\(["']\./([\w.-]+)["']\)""")
WORKLET = re.compile(r'new URL\("\.\./worklets/([\w.-]+)", import\.meta\.url\)')
MODULES = {path.name: path.read_text() for path in (CALLS / "js").glob("*.js")}
AGENT = {
    "slug": "demo",
    "name": 'A "quoted" <b>agent</b>',
    "language": "en",
    "consent_text": "& so",
}


def page(**context):
    given = {"agent": AGENT, "notice": "Offline.", "ws_path": "/ws/call/demo/"}
    return render_to_string("calls/call.html", given | context)


def reachable(name, found=None):
    found = set() if found is None else found
    if name not in found:
        found.add(name)
        for other in IMPORT.findall(MODULES[name]):
            reachable(other, found)
    return found


def test_every_module_is_used_and_loaded_at_once():
    assert reachable("define.js") == set(MODULES)
    preloaded = re.findall(r'rel="modulepreload" href="[^"]*/([\w-]+)[\w.]*\.js"', page())
    assert {f"{name}.js" for name in preloaded} == set(MODULES) - {"define.js"}


def test_no_module_knows_itself_over_others():
    """Hashed names of a circle cannot be settled; the storage counts the types' imports as well."""
    uses = {
        name: set(IMPORT.findall(text) + MENTION.findall(text)) for name, text in MODULES.items()
    }
    settled: set[str] = set()
    while ready := {name for name, others in uses.items() if others <= settled} - settled:
        settled |= ready
    assert set(uses) - settled == set()


def test_worklets_are_there():
    named = {name for text in MODULES.values() for name in WORKLET.findall(text)}
    assert named == {path.name for path in (CALLS / "worklets").iterdir()}


@pytest.mark.parametrize("forbidden", ["<style", "style=", "onclick=", "javascript:", "http://"])
def test_the_page_keeps_to_the_strict_policy(forbidden):
    assert forbidden not in page()
    markup = MODULES["markup.js"]
    assert forbidden not in markup


def test_what_the_agent_is_called_cannot_break_the_page():
    html = page()
    assert "<b>" not in html
    assert 'agent-name="A &quot;quoted&quot; &lt;b&gt;agent&lt;/b&gt;"' in html
    assert 'consent="&amp; so"' in html


def test_recording_is_announced_only_where_it_happens():
    assert " recorded" in page(recording=True)
    assert " recorded" not in page(recording=False)
