"""What strangers write stays text on every page of the admin: in Chromium, under the policy.

Every text and JSON column that a client, a provider or a model can fill holds hostile markup; every
page of the app's admin is opened. A dialog, a script that ran, an element that the markup made, or
a violation of the content policy fails the test.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import models
from django.urls import NoReverseMatch, reverse
from playwright.sync_api import Page, sync_playwright

from calls.models import (
    AuditEntry,
    Erasure,
    Price,
    Redaction,
    Site,
    Summary,
    Webhook,
    WebhookDelivery,
    WebhookTool,
)
from calls.store.keys import key_create
from tests.admin.conftest import logged_in
from tests.store.factories import demo_conversation

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(180),
]

MARK = "zxq"
PAYLOAD = (
    f"{MARK}<script>window.ran=1</script><img src=x onerror=window.ran=2>"
    f"\"'><svg/onload=window.ran=3><a href=javascript:window.ran=4>{{{{7*7}}}}</a>"
)
VALIDATED = (models.SlugField, models.URLField, models.UUIDField)
"""Nobody can put markup there: a form or an address refuses it."""

OURS = {"call_id", "path", "prefix", "hash", "nonce", "event_id", "lease", "owner", "figure"}
"""Made by this server, or chosen from a list."""


def hostile(field: models.Field) -> object:
    if isinstance(field, models.JSONField):
        return (
            None
            if field.name in ("scopes", "events", "origins", "marks", "call_ids")
            else {f"k{PAYLOAD}": [PAYLOAD, {"deep": PAYLOAD}]}
        )
    free = isinstance(field, models.CharField | models.TextField) and not field.choices
    if not free or isinstance(field, VALIDATED) or field.primary_key or field.unique:
        return None
    return PAYLOAD[: field.max_length] if field.max_length else PAYLOAD


def poison() -> set[str]:
    """Fill every row of the app's tables; which columns were filled."""
    filled = set()
    for model in apps.get_app_config("calls").get_models():
        values = {
            field.name: value
            for field in model._meta.concrete_fields
            if field.name not in OURS and (value := hostile(field)) is not None
        }
        for name, value in values.items():
            model._default_manager.update(**{name: value})
            filled.add(f"{model.__name__}.{name}")
    return filled


def rows_of_every_kind() -> None:
    call = demo_conversation()
    site = Site.objects.create(slug="s", name="S", origins=["https://s.example"])
    key_create("key")
    hook = Webhook.objects.create(site=site, url="https://s.example/?%3Cscript%3E", events=[])
    WebhookDelivery.objects.create(
        webhook=hook, conversation=call, event="call.ended", event_id="e1", error="x"
    )
    WebhookTool.objects.create(name="look_up", description="d", url="https://s.example/t")
    Price.objects.create(provider="p", figure="input_tokens", amount=1, valid_from="2026-01-01")
    AuditEntry.objects.create(actor="a", action="viewed", call_id=call.pk, detail="d")
    Erasure.objects.create(actor="a", caller="c")
    Redaction.objects.get_or_create(conversation=call)
    Summary.objects.get_or_create(conversation=call)


def kinds() -> list[type[models.Model]]:
    return [model for model in admin.site._registry if model._meta.app_label == "calls"]


def pages() -> Iterator[str]:
    """The list, the form, the history and the question before deletion of every kind of row."""
    for model in kinds():
        name = f"admin:calls_{model._meta.model_name}"
        yield reverse(f"{name}_changelist")
        for row in model._default_manager.all()[:1]:
            for view in ("change", "history", "delete"):
                try:
                    yield reverse(f"{name}_{view}", args=[row.pk])
                except NoReverseMatch:
                    continue
    yield reverse("admin:index")


def test_what_strangers_write_stays_text(live_server, chromium):
    rows_of_every_kind()
    filled = poison()
    assert {"Item.text", "Item.unheard", "Conversation.caller", "Conversation.user_agent",
            "Conversation.metadata", "Summary.title", "Turn.error"} <= filled  # fmt: skip
    session = logged_in(User.objects.create_superuser("boss")).cookies["sessionid"].value
    wanted = [live_server.url + path for path in pages()]

    def visit() -> tuple[list[str], dict[str, str], list[str]]:
        complaints: list[str] = []
        texts: dict[str, str] = {}
        made: list[str] = []
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            try:
                context = browser.new_context()
                context.add_cookies(
                    [{"name": "sessionid", "value": session, "url": live_server.url}]
                )
                page = context.new_page()
                listen(page, complaints)
                for url in wanted:
                    answer = page.goto(url)
                    refused = answer is not None and answer.status == 403
                    if answer is None or not (answer.ok or (refused and "/delete/" in url)):
                        complaints.append(f"{url}: {answer and answer.status}")
                    if page.evaluate("window.ran !== undefined"):
                        complaints.append(f"{url}: a script ran")
                    if page.locator("a[href^='javascript:'], img[src='x'], svg[onload]").count():
                        made.append(url)
                    texts[url] = page.inner_text("body") + "".join(
                        page.eval_on_selector_all(
                            "input,textarea", "all => all.map((one) => one.value)"
                        )
                    )
            finally:
                browser.close()
        return complaints, texts, made

    with ThreadPoolExecutor(1) as thread:  # Playwright's loop must not meet the ORM
        complaints, texts, made = thread.submit(visit).result()
    assert complaints == []
    assert made == []
    shown = [url for url, text in texts.items() if MARK in text]
    assert len(shown) > len(wanted) / 2, shown
    review = next(url for url in texts if url.endswith("/conversation/demo-call/change/"))
    assert "<script>window.ran=1</script>" in texts[review]
    assert "{{7*7}}" in texts[review]
    assert len(wanted) > 3 * len(kinds())


def listen(page: Page, complaints: list[str]) -> None:
    def dialog(shown) -> None:
        complaints.append(f"dialog: {shown.message}")
        shown.dismiss()

    def console(line) -> None:
        refused = "403" in line.text and "/delete/" in line.location["url"]  # nobody deletes it
        if line.type == "error" and "favicon" not in line.location["url"] and not refused:
            complaints.append(f"{page.url}: {line.text}")

    page.on("dialog", dialog)
    page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
    page.on("console", console)
