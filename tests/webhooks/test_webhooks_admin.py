"""Webhooks in the admin: made, looked at, sent again, and their secrets shown to those who may."""

import html

import pytest
from django.contrib.auth.models import User

from calls.models import Webhook, WebhookDelivery, WebhookTool
from calls.store.webhooks import deliveries_add, secrets_of
from tests.admin.conftest import logged_in, person
from tests.store.factories import demo_conversation

URL = "/admin/calls/webhook/"
DELIVERIES = "/admin/calls/webhookdelivery/"
TOOLS = "/admin/calls/webhooktool/"
FORM = {"url": "https://a.example/calls", "events": ["call.ended"], "active": "on"}
TOOL = {
    "name": "order_status",
    "description": "Where an order is.",
    "parameters": '{"type": "object"}',
    "url": "https://a.example/tools",
    "timeout_ms": 2_000,
    "active": "on",
}

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def only_the_world(settings):
    settings.CALLS = settings.CALLS | {"WEBHOOKS_TO_PRIVATE": False}


@pytest.fixture
def boss():
    return logged_in(User.objects.create_superuser("boss"))


@pytest.fixture
def hook() -> Webhook:
    return Webhook.objects.create(url="https://a.example/", events=["call.ended"])


def page(response) -> str:
    assert response.status_code == 200
    return html.unescape(response.content.decode())


def test_one_is_made(boss):
    boss.post(f"{URL}add/", FORM)
    row = Webhook.objects.get()
    assert (row.url, row.events, row.active) == ("https://a.example/calls", ["call.ended"], True)
    assert page(boss.get(f"{URL}{row.pk}/change/")).count("checked") == 2
    assert secrets_of(row)[0] not in page(boss.get(f"{URL}{row.pk}/change/"))


@pytest.mark.parametrize(
    "change",
    [
        {"url": "http://a.example/"},
        {"url": "https://127.0.0.1/"},
        {"url": "https://u:p@a.example/"},
        {"url": "javascript:alert(1)"},
        {"events": []},
        {"events": ["call.dropped"]},
    ],
)
def test_what_is_no_webhook(boss, change):
    assert "errorlist" in page(boss.post(f"{URL}add/", FORM | change))
    assert not Webhook.objects.exists()


def test_the_list_counts_deliveries(boss, hook):
    demo_conversation("call-1", sound=False)
    WebhookDelivery.objects.filter(event="call.ended").update(state="failed")
    deliveries_add("call.ended", {"call-1": "own"})
    listed = page(boss.get(URL))
    assert f"webhook__id__exact={hook.pk}&state__exact=failed" in listed
    assert "call.ended" in page(boss.get(DELIVERIES))


def test_one_is_sent_again(boss, hook):
    demo_conversation("call-1", sound=False)
    row = WebhookDelivery.objects.get()
    WebhookDelivery.objects.update(state="failed", attempts=5, error="status 500")
    form = {"action": "send_again", "_selected_action": [row.pk]}
    assert "sent again" in page(boss.post(DELIVERIES, form, follow=True))
    again = WebhookDelivery.objects.get()
    assert (again.state, again.attempts, again.event_id) == ("pending", 0, row.event_id)
    assert page(boss.get(f"{DELIVERIES}{row.pk}/change/"))


def test_those_who_may_only_look_send_nothing(hook):
    demo_conversation("call-1", sound=False)
    WebhookDelivery.objects.update(state="failed")
    looker = logged_in(person("view_webhookdelivery", "view_webhook"))
    assert "send_again" not in page(looker.get(DELIVERIES))
    row = WebhookDelivery.objects.get()
    looker.post(DELIVERIES, {"action": "send_again", "_selected_action": [row.pk]})
    assert WebhookDelivery.objects.get().state == "failed"


def test_secrets_are_for_those_who_may_change(boss, hook):
    form = {"action": "show_secrets", "_selected_action": [hook.pk]}
    shown = boss.post(URL, form)
    assert secrets_of(hook)[0] in page(shown)
    assert "no-store" in shown["Cache-Control"]
    looker = logged_in(person("view_webhook"))
    assert "show_secrets" not in page(looker.get(URL))
    assert secrets_of(hook)[0] not in looker.post(URL, form, follow=True).content.decode()


def test_deliveries_are_made_by_calls_alone(boss):
    assert boss.get(f"{DELIVERIES}add/").status_code == 403


def test_a_tool_is_made(boss):
    boss.post(f"{TOOLS}add/", TOOL)
    row = WebhookTool.objects.get()
    assert row.parameters == {"type": "object"}
    form = {"action": "show_secrets", "_selected_action": [row.pk]}
    assert secrets_of(row)[0] in page(boss.post(TOOLS, form))


@pytest.mark.parametrize(
    "change",
    [
        {"name": "two words"},
        {"parameters": "[]"},
        {"parameters": '{"type": "array"}'},
        {"parameters": '{"type": "object", "properties": 5}'},
        {"url": "https://10.0.0.1/"},
        {"timeout_ms": 100},
        {"timeout_ms": 60_000},
    ],
)
def test_what_is_no_tool(boss, change):
    assert "errorlist" in page(boss.post(f"{TOOLS}add/", TOOL | change))
    assert not WebhookTool.objects.exists()
