"""The review page in Chromium, under the strict policy: it plays, jumps, follows and shows."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, sync_playwright

from calls.models import Agent
from tests.admin.conftest import logged_in
from tests.store.factories import demo_conversation

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(120),
]

URL = "/admin/calls/conversation/demo-call/change/"
POSITION = "document.querySelector('audio').currentTime"
WHO = ("caller", "agent")
VALUED = "document.querySelector('.wave').getAttribute('aria-valuetext')"
NOW = "[...document.querySelectorAll('.now')].map((word) => word.textContent)"
INK = """() => {
  const canvas = document.querySelector('.wave canvas');
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  return data.filter((value, at) => at % 4 === 3 && value > 0).length / (data.length / 4);
}"""


def until(page: Page, condition: str) -> None:
    """Wait for it. Playwright's own way evaluates text in the page, which the policy forbids."""
    give_up_s = time.monotonic() + 20
    while not page.evaluate(condition):
        assert time.monotonic() < give_up_s, condition
        page.wait_for_timeout(30)


@pytest.fixture
def review(live_server, chromium, settings) -> Callable[[Callable[[Page], None]], list[str]]:
    """Runs a scenario on the page; returns what the browser complained of."""
    demo_conversation()
    session = logged_in(User.objects.create_superuser("boss")).cookies["sessionid"].value

    def scenario(act: Callable[[Page], None]) -> list[str]:
        complaints: list[str] = []
        with sync_playwright() as playwright:
            arguments = ["--no-sandbox", "--autoplay-policy=user-gesture-required"]
            browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
            try:
                context = browser.new_context(
                    viewport={"width": 1280, "height": 800},
                    permissions=["clipboard-read", "clipboard-write"],
                )
                context.add_cookies(
                    [{"name": "sessionid", "value": session, "url": live_server.url}]
                )
                page = context.new_page()
                page.on("pageerror", lambda error: complaints.append(str(error)))
                page.on(
                    "console",
                    lambda line: (
                        complaints.append(line.text)
                        if line.type == "error" and "favicon" not in line.location["url"]
                        else None
                    ),
                )
                page.goto(live_server.url + URL)
                page.wait_for_selector(".playable")
                act(page)
            finally:
                browser.close()
        return complaints

    def run(act: Callable[[Page], None]) -> list[str]:
        # In a thread of its own: Playwright runs a loop in its caller's, where the ORM refuses.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(scenario, act).result()

    return run


def test_a_click_on_a_word_plays_from_there_and_marks_what_is_said(review):
    def act(page: Page) -> None:
        page.click("#item-3 .words [data-ms]:nth-child(4)")
        until(page, f"{POSITION} > 9.7")
        assert page.evaluate(NOW)[0] in ("suits", "you?", "We")
        assert page.get_attribute(".play", "aria-label") == "Pause"
        assert page.locator("#item-3.current").count() == 1
        until(page, "document.querySelector('#item-3 + li .now') !== null")
        page.click(".play")
        until(page, "document.querySelector('audio').paused")

    assert review(act) == []


def test_the_waveform_is_drawn_and_leads_to_its_place(review):
    def act(page: Page) -> None:
        until(page, f"({INK})() > 0.05")
        box = page.locator(".wave").bounding_box()
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 20)
        assert page.evaluate(POSITION) == pytest.approx(13.7, abs=0.1)
        until(page, "document.querySelector('.now-at').textContent === '0:13'")

    assert review(act) == []


def test_it_is_worked_by_keys_alone(review):
    def act(page: Page) -> None:
        page.focus(".wave")
        page.keyboard.press("ArrowRight")
        until(page, f"{POSITION} === 5")
        page.keyboard.press("ArrowDown")
        until(page, f"{POSITION} === 8.3")
        page.keyboard.press("ArrowUp")
        until(page, f"{POSITION} === 4.6")
        page.keyboard.press("End")
        until(page, f"{POSITION} === 27.4")
        until(page, f"{VALUED} === '0:27 of 0:27'")
        page.keyboard.press("Home")
        page.keyboard.press(" ")
        until(page, f"{POSITION} > 0.2")
        page.keyboard.press(" ")
        until(page, "document.querySelector('audio').paused")

    assert review(act) == []


def test_tracks_are_silenced_and_the_speed_changes(review):
    def act(page: Page) -> None:
        page.click(".track.caller")
        assert page.get_attribute(".track.caller", "aria-pressed") == "false"
        page.select_option(".speed select", "2")
        page.click(".play")
        until(page, f"{POSITION} > 0.5")
        assert page.evaluate("document.querySelector('audio').playbackRate") == 2

    assert review(act) == []


def test_what_was_not_heard_is_struck_and_said_so(review):
    def act(page: Page) -> None:
        unheard = page.locator("#item-3 del")
        assert unheard.inner_text().strip().endswith("in the evening.")
        struck = unheard.evaluate("(e) => getComputedStyle(e).textDecorationLine")
        assert struck == "line-through"
        assert "Not heard:" in unheard.text_content()

    assert review(act) == []


def test_services_unfold_by_keys_and_their_request_is_copied(review):
    def act(page: Page) -> None:
        opened = page.locator(".services[open]")
        assert opened.count() == 2, "those in which something failed"
        page.focus("#wait-3 .services summary")
        page.keyboard.press("Enter")
        copy = page.locator("#wait-3 .copy")
        copy.focus()
        page.keyboard.press(" ")
        until(page, "document.querySelector('#wait-3 .copy').textContent === 'Copied'")
        assert page.evaluate("navigator.clipboard.readText()") == "chatcmpl-BkQ82"
        assert page.evaluate("document.querySelector('audio').paused")
        until(page, "document.querySelector('#wait-3 .copy').textContent === 'Copy'")

    assert review(act) == []


def test_a_request_is_marked_where_the_clipboard_is_closed(review):
    def act(page: Page) -> None:
        page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject() }")
        page.locator("#wait-2 .copy").first.click()
        until(page, "getSelection().toString() === 'req_7f3a9c20d1e84b55'")

    assert review(act) == []


def test_the_track_names_stand_beside_the_waveform(review):
    def act(page: Page) -> None:
        page.set_viewport_size({"width": 360, "height": 740})
        canvas = page.locator(".wave canvas").bounding_box()
        caller, agent = (page.locator(f".track-name.{who}").bounding_box() for who in WHO)
        assert caller["y"] + caller["height"] <= canvas["y"]
        assert agent["y"] >= canvas["y"] + canvas["height"]

    assert review(act) == []


@pytest.mark.parametrize("width", [1280, 1440, 1600])
def test_the_list_shows_all_its_columns(review, width):
    def act(page: Page) -> None:
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(page.url.replace("demo-call/change/", ""))
        hidden = page.evaluate(
            "(() => { const { scrollWidth, clientWidth } ="
            " document.querySelector('#changelist .results'); return scrollWidth - clientWidth })()"
        )
        assert hidden <= 0

    assert review(act) == []


@pytest.mark.parametrize("unfolded", [False, True], ids=["folded", "unfolded"])
def test_nothing_overflows_on_a_phone(review, unfolded):
    def act(page: Page) -> None:
        page.set_viewport_size({"width": 360, "height": 740})
        page.evaluate(
            "(open) => document.querySelectorAll('details').forEach((one) => (one.open = open))",
            unfolded,
        )
        wide = page.evaluate(
            "[...document.querySelectorAll('.review *')].filter((e) =>"
            " e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.className)"
        )
        assert wide == []

    assert review(act) == []


@pytest.mark.parametrize("width", [390, 1280])
def test_the_form_of_an_agent_fits_and_is_worked_by_keys(review, width):
    def act(page: Page) -> None:
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(page.url.partition("conversation")[0] + "agent/add/")
        page.evaluate("() => document.querySelectorAll('details').forEach((d) => (d.open = true))")
        wide = page.evaluate(
            "[...document.querySelectorAll('#content *')].filter((e) =>"
            " e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.className)"
        )
        assert wide == []
        page.fill("#id_name", "Front desk")
        page.get_by_label("Speech to text: fallback 2").focus()
        page.keyboard.type("Embedded")
        page.get_by_label("ElevenLabs", exact=True).fill("voice-1")
        page.get_by_role("button", name="Save", exact=True).first.click()
        page.wait_for_selector(".messagelist .success")

    assert review(act) == []
    agent = Agent.objects.get(slug="front-desk")
    assert (agent.stt_fallbacks, agent.fallback_voices) == (
        ["embedded"],
        {"elevenlabs": "voice-1"},
    )
