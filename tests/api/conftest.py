"""Keys with their scopes and sites, and a client that shows them."""

from collections.abc import Callable
from pathlib import Path

import pytest
from django.test import Client

from calls.models import Agent, Conversation, Site
from calls.models.keys import SCOPES
from calls.store.keys import key_create
from tests.store.factories import demo_conversation


@pytest.fixture(autouse=True)
def own_folders(settings, tmp_path: Path) -> Path:
    settings.CALLS = settings.CALLS | {
        "RECORDINGS_DIR": tmp_path / "recordings",
        "JOURNAL_DIR": tmp_path / "journal",
        "PUBLIC_URL": "https://calls.example",
    }
    return tmp_path


class Api:
    """A program with a key; without one it sends none."""

    def __init__(self, key: str = "") -> None:
        self.key = key
        self._client = Client(raise_request_exception=True)

    def __call__(self, method: str, path: str, body=None, **headers):
        bearer = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        data = {} if body is None else {"data": body, "content_type": "application/json"}
        return self._client.generic(
            method, f"/api{path}", headers=bearer | headers, **_encoded(data)
        )

    def get(self, path: str, **headers):
        return self("GET", path, **headers)

    def post(self, path: str, body, **headers):
        return self("POST", path, body, **headers)


def _encoded(data: dict) -> dict:
    if "data" in data and not isinstance(data["data"], str | bytes):
        from json import dumps

        data["data"] = dumps(data["data"])
    return data


@pytest.fixture
def shop(db) -> Site:
    """A site with an agent of its own."""
    site = Site.objects.create(slug="shop", name="Shop", origins=["https://shop.example"])
    site.agents.add(Agent.objects.create(slug="desk", name="Desk", system_prompt="Sell."))
    return site


@pytest.fixture
def other(db) -> Site:
    return Site.objects.create(slug="other", name="Other", all_agents=True)


@pytest.fixture
def api(db) -> Callable[..., Api]:
    """`api("read", site=shop)`: a client with a fresh key; no scopes: with all of them."""

    def make(*scopes: str, site: Site | None = None, agents: tuple[str, ...] = ()) -> Api:
        _, text = key_create("Tests", agents, site=site, scopes=scopes or SCOPES)
        return Api(text)

    return make


def call_of(site: Site | None, call_id: str, *, sound: bool = False, **fields) -> Conversation:
    """A finished call of a site."""
    row = demo_conversation(call_id, sound=sound)
    changes = {"site": site, "site_slug": site.slug if site else "own", **fields}
    Conversation.objects.filter(pk=call_id).update(**changes)
    row.refresh_from_db()
    return row
