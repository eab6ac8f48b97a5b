"""By which protocol a call came, what its client said, and what is known of what was heard."""

import pytest

from calls.conf import PROTOCOLS
from calls.domain.items import Item, Role, Source
from calls.models import Conversation
from calls.ports.client import Playback
from calls.store.wording import heard_words, protocol_name, protocols
from calls.wire import socketio
from calls.wire.avr import codec as avr
from calls.wire.browser import Browser
from calls.wire.micdrop import codec as micdrop
from calls.wire.realtime import codec as realtime
from calls.wire.twilio import Twilio
from tests.admin.test_review_page import ATTACK, Page, page_of
from tests.store.factories import demo_conversation

pytestmark = pytest.mark.django_db

LIST = "/admin/calls/conversation/"
NAMES = {
    "browser": "Browser page",
    "micdrop": "micdrop",
    "avr": "AVR",
    "socketio": "Socket.IO",
    "openai-realtime": "OpenAI Realtime",
    "twilio": "Twilio",
}


def text_of(client, call: Conversation) -> str:
    return " ".join(" ".join(Page(page_of(client, call)).text).split())


def one_of_each() -> None:
    for protocol in (*NAMES, "own-words"):
        demo_conversation(f"by-{protocol}", sound=False)
        Conversation.objects.filter(pk=f"by-{protocol}").update(protocol=protocol)


def test_every_protocol_has_a_name_for_people():
    assert dict(protocols()) == NAMES
    assert len(NAMES) == len(PROTOCOLS)
    on_record = {
        avr.TERMS.name,
        Browser().terms.name,
        micdrop.TERMS.name,
        realtime.TERMS.name,
        socketio.TERMS.name,
        Twilio.terms.name,
    }
    assert on_record == set(NAMES)
    assert protocol_name("own-words") == "own-words"


def test_the_list_names_the_protocol(boss):
    one_of_each()
    page = boss.get(LIST).content.decode()
    for name in (*NAMES.values(), "own-words"):
        assert f'<td class="field-reached_by">{name}</td>' in page


@pytest.mark.parametrize("value", [*NAMES, "others"])
def test_the_list_is_narrowed_down_by_protocol(boss, value):
    one_of_each()
    page = boss.get(f"{LIST}?protocol={value}")
    found = [row.protocol for row in page.context["cl"].result_list]
    assert found == ["own-words" if value == "others" else value]
    for name in NAMES.values():
        assert f">{name}</a>" in page.content.decode()


def test_the_list_may_be_asked_for_no_protocol_at_all(boss):
    one_of_each()
    assert boss.get(f"{LIST}?protocol=%00").context["cl"].result_count == len(NAMES) + 1


@pytest.mark.parametrize("protocol", NAMES)
def test_the_review_names_the_protocol(boss, protocol):
    call = demo_conversation(protocol, sound=False)
    call.protocol = protocol
    call.save()
    assert f"Protocol {NAMES[protocol]}" in text_of(boss, call)


@pytest.mark.parametrize(
    ("heard", "words"),
    [
        ("reported", "The client told how far it had played each answer."),
        ("paced", "The server sent the sound no faster than it is played"),
        ("assumed", "may have heard a little more or less than is shown"),
    ],
)
def test_the_review_says_what_is_known_of_what_was_heard(boss, heard, words):
    call = demo_conversation(heard, sound=False)
    call.heard = heard
    call.save()
    told = text_of(boss, call)
    # Where the client did not tell, the transcript says so as well: some of it was cut off.
    assert told.count(words) == (1 if heard == "reported" else 2)
    assert call.get_heard_display() in told


def test_there_are_words_for_all_that_may_be_known():
    assert all(heard_words(known) for known in Playback)


def test_the_transcript_is_not_qualified_where_nothing_was_cut_off(boss):
    call = demo_conversation("whole", turns=(), sound=False)
    call.heard = "assumed"
    call.save()
    assert text_of(boss, call).count("may have heard a little more or less") == 1


def test_what_the_client_said_is_told_as_its_own_words(boss):
    call = demo_conversation("told", sound=False)
    call.protocol = "avr"
    call.metadata = {"from": "2000", "to": "5001", "uuid": "0f7c2a44"}
    call.save()
    told = text_of(boss, call)
    assert "What the client said As it came with the call. Nobody has checked it." in told
    assert "from 2000" in told  # each database has an order of its own
    call.protocol, call.metadata = "openai-realtime", {"model": "demo", "api_key": "Front desk"}
    call.save()
    told = text_of(boss, call)
    assert "Only the API key has been checked. model demo" in told
    assert "api_key Front desk" in told
    call.metadata = {}
    call.save()
    assert "What the client said" not in text_of(boss, call)


def test_nothing_that_a_client_said_of_itself_runs(boss):
    call = demo_conversation("hostile", sound=False)
    call.protocol, call.heard = ATTACK[:32], "assumed"
    call.metadata = {ATTACK: ATTACK, "items": {ATTACK: [ATTACK]}, "keys": None}
    call.user_agent = call.caller = ATTACK
    call.save()
    clean = Page(page_of(boss, demo_conversation("clean", sound=False)))
    for html in (page_of(boss, call), boss.get(LIST).content.decode()):
        page = Page(html)
        assert page.inline() == clean.inline() == []
        assert not [attrs for tag, attrs in page.tags if tag == "img" and attrs["src"] == "x"]
    assert any("alert(1)" in text for text in Page(page_of(boss, call)).text)
    assert any("7*7" in text for text in Page(page_of(boss, call)).text)


def test_entries_of_clients_that_lead_are_named(boss):
    items = [
        Item(1, Role.SYSTEM, "Be brief.", 0, source=Source.CLIENT, ref="item_1"),
        Item(2, Role.USER, "42#", 1, source=Source.KEYPAD),
        Item(3, Role.USER, "Good morning", 1, source=Source.CLIENT, ref="item_2"),
    ]
    told = text_of(boss, demo_conversation("led", items=items, sound=False))
    assert "Instruction 0:00 by the client Be brief." in told
    assert "Caller 0:00 keys pressed 42#" in told
    assert "Caller 0:00 by the client Good morning" in told
