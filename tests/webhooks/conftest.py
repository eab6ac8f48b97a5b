"""A receiver, webhooks that point at it, and calls that things happen to."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from calls.models import Site, Webhook, WebhookEvent
from calls.store.gateway import gateway_close
from tests.doubles.receiver import Receiver
from tests.doubles.receiver import receiver as receiving


@pytest.fixture(autouse=True)
def own_folders(settings, tmp_path: Path) -> Iterator[Path]:
    settings.CALLS = settings.CALLS | {
        "RECORDINGS_DIR": tmp_path / "recordings",
        "JOURNAL_DIR": tmp_path / "journal",
        "WEBHOOKS_TO_PRIVATE": True,
        "PUBLIC_URL": "https://calls.example",
    }
    yield tmp_path
    gateway_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
def webhook(receiver: Receiver) -> Callable[..., Webhook]:
    """`webhook("/status/500")`: one that is told everything, at this path."""

    def make(path: str = "/ok", *events: str, site: Site | None = None, **fields) -> Webhook:
        told = list(events) or list(WebhookEvent.values)
        return Webhook.objects.create(
            **{"url": receiver.url + path, "events": told, "site": site} | fields
        )

    return make
