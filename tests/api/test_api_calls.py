"""What a key sees and does: its site's calls and agents, and nothing of anybody else."""

import time
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from django.core import signing
from django.db import connection

from calls.models import (
    Agent,
    ApiKey,
    AuditAction,
    AuditEntry,
    Conversation,
    Erasure,
    ServiceUse,
    Webhook,
)
from calls.store.erasure import erasures_work
from calls.store.links import _signer
from calls.store.tokens import token_take
from tests.api.conftest import call_of
from tests.store.factories import STARTED_AT

pytestmark = pytest.mark.django_db


def ids(response) -> list[str]:
    assert response.status_code == 200, response.content
    return [row["call_id"] for row in response.json()["data"]]


class TestSeeing:
    def test_a_key_sees_its_site_alone(self, api, shop, other):
        call_of(shop, "of-shop", sound=True, caller="somebody")
        call_of(other, "of-other", sound=True, caller="somebody")
        client = api(site=shop)
        assert ids(client.get("/v1/conversations")) == ["of-shop"]
        assert ids(client.get("/v1/conversations?site=other")) == []
        assert ids(client.get("/v1/conversations?q=appointment")) == ["of-shop"]
        for end in ("", "/export.json", "/export.txt", "/recording"):
            assert client.get(f"/v1/conversations/of-shop{end}").status_code == 200
            assert client.get(f"/v1/conversations/of-other{end}").status_code == 404
        assert client("DELETE", "/v1/conversations/of-other").status_code == 404
        assert client.get("/v1/usage?site=other").status_code == 404
        assert sorted(ids(api().get("/v1/conversations"))) == ["of-other", "of-shop"]

    def test_a_key_for_some_agents_sees_their_calls(self, api, shop):
        call_of(shop, "of-demo")
        call_of(shop, "of-desk", agent_slug="desk")
        assert ids(api(site=shop, agents=("desk",)).get("/v1/conversations")) == ["of-desk"]

    def test_agents_of_the_site(self, api, shop, other):
        call_of(None, "makes-the-demo-agent")
        Agent.objects.create(slug="off", name="Off", active=False)
        listed = api("calls", site=shop).get("/v1/agents").json()["data"]
        assert [agent["slug"] for agent in listed] == ["desk"]
        assert "Sell." not in str(listed)
        assert api(site=shop).get("/v1/agents/demo").status_code == 404
        everywhere = api("calls", site=other).get("/v1/agents").json()["data"]
        assert [agent["slug"] for agent in everywhere] == ["demo", "desk"]

    def test_prompts_are_for_the_scope_of_agents(self, api, shop):
        known = api("read", "calls").get("/v1/agents/desk").json()
        assert known["settings"] is None
        full = api("agents").get("/v1/agents/desk").json()
        assert full["settings"]["system_prompt"] == "Sell."
        call_of(shop, "call-1")
        snapshot = api("read").get("/v1/conversations/call-1/export.json").json()
        assert "agent_snapshot" not in snapshot
        snapshot = api("read", "agents").get("/v1/conversations/call-1/export.json").json()
        assert snapshot["agent_snapshot"]["slug"] == "demo"

    def test_webhooks_of_the_site(self, api, shop, other):
        hook = Webhook.objects.create(url="https://b.example/", events=[], site=other)
        Webhook.objects.create(url="https://c.example/", events=[])
        client = api(site=shop)
        made = client.post(
            "/v1/webhooks", {"url": "https://a.example/", "events": ["call.ended", "call.ended"]}
        ).json()
        assert made["secret"].startswith("whsec_")
        assert (made["site"], made["events"]) == ("shop", ["call.ended"])
        assert [row["id"] for row in client.get("/v1/webhooks").json()["data"]] == [made["id"]]
        for method, body in (("GET", None), ("PATCH", {"active": False}), ("DELETE", None)):
            assert client(method, f"/v1/webhooks/{hook.pk}", body).status_code == 404
        assert client.get(f"/v1/webhooks/{hook.pk}/secret").status_code == 404
        assert client.get(f"/v1/webhooks/{made['id']}/secret").json()["secret"] == made["secret"]
        changed = client("PATCH", f"/v1/webhooks/{made['id']}", {"active": False}).json()
        assert changed["active"] is False
        assert changed["url"] == "https://a.example/"
        assert client("DELETE", f"/v1/webhooks/{made['id']}").status_code == 204
        assert Webhook.objects.count() == 2

    @pytest.mark.parametrize(
        "url",
        [
            "http://a.example/",
            "https://127.0.0.1/",
            "https://[::1]/",
            "https://a:b@c.example/",
            "x",
        ],
    )
    def test_webhooks_that_go_nowhere(self, api, url):
        response = api().post("/v1/webhooks", {"url": url, "events": ["call.ended"]})
        assert response.status_code == 422
        assert response.json()["error"]["code"] == "bad_url"


class TestListing:
    def test_page_by_page(self, api):
        for n in range(5):
            started_at = STARTED_AT + timedelta(minutes=n // 2)
            call_of(None, f"call-{n}", started_at=started_at)
        client = api("read")
        seen, cursor = [], ""
        for _ in range(3):
            page = client.get(f"/v1/conversations?limit=2&cursor={cursor}")
            seen += ids(page)
            cursor = page.json()["next_cursor"] or ""
        assert seen == ["call-4", "call-3", "call-2", "call-1", "call-0"]
        assert not cursor
        assert ids(client.get("/v1/conversations?limit=5")) == seen

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ("agent=demo", ["b", "a"]),
            ("agent=desk", []),
            ("caller=Anna", ["a"]),
            ("caller=Ann", []),
            ("status=active", ["b"]),
            ("status=ended", ["a"]),
            ("started_after=2026-11-20T10:00:00Z", ["b"]),
            ("started_before=2026-11-20T10:00:00Z", ["a"]),
            ("started_after=2026-11-20T12:00:00%2B02:00", ["b"]),
            ("q=appointment", ["b", "a"]),
            ("q=zebra", []),
            ("caller=Anna&status=active", []),
        ],
    )
    def test_narrowed(self, api, query, found):
        call_of(None, "a", caller="Anna")
        call_of(None, "b", started_at=datetime(2026, 11, 20, 10, tzinfo=UTC))
        live = {"status": "active", "end_reason": "", "ended_at": None}
        Conversation.objects.filter(pk="b").update(**live)
        assert ids(api("read").get(f"/v1/conversations?{query}")) == found


class TestReading:
    def test_all_of_it(self, api):
        call_of(None, "call-1", cost_micros=12_300)
        ServiceUse.objects.filter(number=2).update(cost_micros=700)
        call = api("read").get("/v1/conversations/call-1").json()
        assert (call["cost"], call["currency"]) == ("0.012300", "USD")
        assert call["items"][1]["text"] == "hi I would like to book an appointment please"
        assert [turn["turn"] for turn in call["turns"]] == [2, 3, 5]
        assert call["uses"][1]["cost_micros"] == 700
        assert call["summary"]["extracted"]["confirmed"] is True
        assert call["title"] == "Appointment booked for Tuesday at ten"
        assert call["started_at"] == "2026-11-20T09:41:07Z"
        assert call["recorded"] is False

    @pytest.mark.django_db(transaction=True)
    def test_what_is_done_is_audited(self, api):
        call_of(None, "call-1", sound=True)
        client = api()
        client.get("/v1/conversations/call-1")
        client.get("/v1/conversations/call-1/export.json")
        client.get("/v1/conversations/call-1/export.txt")
        link = urlsplit(client.get("/v1/conversations/call-1/recording").json()["url"]).path
        client._client.get(link)
        client._client.get(link, headers={"Range": "bytes=44-"})
        client("DELETE", "/v1/conversations/call-1")
        erasures_work()
        entries = AuditEntry.objects.order_by("pk")
        assert [entry.action for entry in entries] == [
            AuditAction.VIEWED,
            AuditAction.EXPORTED,
            AuditAction.EXPORTED,
            AuditAction.LISTENED,
            AuditAction.ERASED,
        ]
        assert {entry.actor for entry in entries} == {f"API key #{ApiKey.objects.get().pk} Tests"}
        assert {entry.call_id for entry in entries} == {"call-1"}

    def test_the_text_is_for_people(self, api):
        call_of(None, "call-1")
        response = api("read").get("/v1/conversations/call-1/export.txt")
        assert response["Content-Type"] == "text/plain; charset=utf-8"
        assert response["Cache-Control"] == "private, no-store"
        assert "tuesday at ten" in response.content.decode()


class TestTokens:
    def test_a_token_opens_a_call_of_the_site(self, api, shop):
        wanted = {
            "agent": "desk",
            "caller": "customer-4711",
            "metadata": {"order": 12},
            "max_call_seconds": 60,
            "max_cost": "0.25",
            "origin": "https://shop.example",
        }
        for path in ("/tokens", "/v1/tokens"):
            made = api("tokens", site=shop).post(path, wanted)
            assert made.status_code == 201
            assert made["Cache-Control"] == "no-store"
            assert made.json()["expires_in"] == 90
            claims = token_take(made.json()["token"], agent="desk", origin="https://shop.example")
            assert (claims.site, claims.caller) == ("shop", "customer-4711")
            assert claims.metadata == {"order": 12}
            assert claims.caps.max_call_ms == 60_000
            assert claims.caps.max_cost_micros == 250_000

    def test_agents_of_others_are_refused(self, api, shop):
        call_of(None, "makes-the-demo-agent")
        refused = api("tokens", site=shop).post("/tokens", {"agent": "demo"})
        assert refused.status_code == 404
        narrow = api("tokens", agents=("demo",))
        assert narrow.post("/tokens", {"agent": "desk"}).status_code == 404
        assert narrow.post("/tokens", {"agent": "demo"}).status_code == 201

    def test_a_site_that_is_off_gets_none(self, api, shop):
        shop.active = False
        shop.save()
        refused = api("tokens", site=shop).post("/tokens", {"agent": "desk"})
        assert refused.status_code == 403
        assert refused.json()["error"]["code"] == "site_off"


class TestErasing:
    def test_one_call(self, api):
        call_of(None, "call-1")
        client = api("erase")
        asked = client("DELETE", "/v1/conversations/call-1")
        assert asked.status_code == 202
        assert asked.json()["state"] == "pending"
        row = Erasure.objects.get()
        assert (row.call_ids, row.caller) == (["call-1"], "")
        assert client.get(f"/v1/erasures/{row.pk}").json()["id"] == row.pk
        assert api("erase").get(f"/v1/erasures/{row.pk}").status_code == 404, "another key's"

    def test_all_calls_of_a_caller(self, api, shop, other):
        for site, call_id in ((shop, "a"), (shop, "b"), (other, "c")):
            call_of(site, call_id, caller="Anna")
        assert api("erase", site=shop).post("/v1/erasures", {"caller": "Anna"}).status_code == 202
        assert Erasure.objects.get().call_ids == ["a", "b"]
        assert Erasure.objects.get().caller == "", "it would reach into other sites"
        Erasure.objects.all().delete()
        assert api("erase").post("/v1/erasures", {"caller": "Anna"}).status_code == 202
        assert Erasure.objects.get().caller == "Anna"
        assert api("erase").post("/v1/erasures", {"caller": "Nobody"}).status_code == 404


class TestLinks:
    @pytest.fixture
    def client(self, api):
        call_of(None, "call-1", sound=True)
        return api("recordings")

    def link(self, client) -> str:
        answer = client.get("/v1/conversations/call-1/recording").json()
        assert answer["url"].startswith("https://calls.example/api/v1/recordings/")
        return urlsplit(answer["url"]).path

    def test_a_link_is_all_it_takes(self, client):
        answer = client.get("/v1/conversations/call-1/recording").json()
        left = datetime.fromisoformat(answer["expires_at"]) - datetime.now(UTC)
        assert timedelta(seconds=50) < left <= timedelta(seconds=60)
        file = Conversation.objects.get().recording.file.read_bytes()
        whole = client._client.get(urlsplit(answer["url"]).path)
        assert b"".join(whole.streaming_content) == file
        assert whole["Content-Type"] == "audio/wav"
        assert whole["Cache-Control"] == "private, no-store"
        assert whole["X-Content-Type-Options"] == "nosniff"
        assert not whole.cookies
        path = urlsplit(answer["url"]).path
        part = client._client.get(path, headers={"Range": "bytes=10-99"})
        assert part.status_code == 206
        assert b"".join(part.streaming_content) == file[10:100]
        assert client._client.get(path, headers={"Range": "bytes=99999999-"}).status_code == 416

    @pytest.mark.parametrize(
        "changed",
        [
            pytest.param(lambda link: link[:-1] + ("A" if link[-1] != "A" else "B"), id="flipped"),
            pytest.param(lambda link: link[:-1], id="cut off"),
            pytest.param(lambda link: link + "A", id="longer"),
            pytest.param(lambda link: link.partition(":")[0], id="unsigned"),
            pytest.param(lambda _: "x", id="nonsense"),
            pytest.param(lambda _: "%F0%9F%98%80", id="not ASCII"),
            pytest.param(lambda _: "x" * 5_000, id="very long"),
            pytest.param(lambda link: "W10" + link[link.index(":") :], id="another content"),
        ],
    )
    def test_what_is_no_link(self, client, changed):
        link = self.link(client).rpartition("/")[2]
        refused = client._client.get(f"/api/v1/recordings/{changed(link)}")
        assert refused.status_code == 403
        assert refused.json()["error"]["code"] == "link_expired"

    @pytest.mark.parametrize(("age_s", "status"), [(58, 200), (62, 403)])
    def test_a_link_ends(self, client, monkeypatch, age_s, status):
        now_s = time.time()
        monkeypatch.setattr(signing.time, "time", lambda: now_s - age_s)
        link = self.link(client)
        monkeypatch.undo()
        assert client._client.get(link).status_code == status

    def test_a_link_ends_with_its_key(self, client):
        link = self.link(client)
        ApiKey.objects.update(active=False)
        assert client._client.get(link).status_code == 403
        ApiKey.objects.update(active=True, scopes=["read"])
        assert client._client.get(link).status_code == 403
        ApiKey.objects.update(scopes=["recordings"])
        assert client._client.get(link).status_code == 200

    def test_a_link_of_another_call_is_signed_anew(self, client, shop):
        key = ApiKey.objects.get()
        key.site = shop
        key.save()
        value = _signer().sign_object(["call-1", key.pk])
        assert client._client.get(f"/api/v1/recordings/{value}").status_code == 404

    def test_a_rotated_secret_still_reads_links(self, client, settings):
        link = self.link(client)
        settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
        settings.SECRET_KEY = "another"
        assert client._client.get(link).status_code == 200
        settings.SECRET_KEY_FALLBACKS = []
        assert client._client.get(link).status_code == 403

    def test_a_call_without_recording(self, client):
        call_of(None, "silent")
        assert client.get("/v1/conversations/silent/recording").status_code == 404


@pytest.mark.django_db(transaction=True)
def test_a_slow_player_keeps_no_connection(api):
    call_of(None, "call-1", sound=True)
    client = api("recordings")
    link = urlsplit(client.get("/v1/conversations/call-1/recording").json()["url"]).path
    response = client._client.get(link)
    assert response.status_code == 200
    assert connection.connection is None, "it has not been read yet"
    assert len(b"".join(response.streaming_content)) > 16_000


class TestUsage:
    def test_of_today(self, api, shop, other, db):
        now = datetime.now(UTC)
        today = {"started_at": now, "duration_ms": 61_500, "cost_micros": 1_500_000}
        call_of(shop, "a", **today)
        call_of(shop, "b", started_at=now - timedelta(days=1, hours=1), cost_micros=9)
        call_of(other, "c", **today)
        used = api("read", site=shop).get("/v1/usage").json()
        assert (used["site"], used["calls"], used["live_calls"]) == ("shop", 1, 0)
        assert (used["seconds"], used["cost"]) == (61, "1.500000")
        assert used["day"] == now.date().isoformat()
        assert used["limits"]["max_calls"] == 20
        assert used["limits"]["max_day_cost"] is None
        own = api("read").get("/v1/usage").json()
        assert (own["site"], own["calls"], own["limits"]) == ("own", 0, None)
        assert api("read").get("/v1/usage?site=other").json()["calls"] == 1
        assert api("read").get("/v1/usage?site=nowhere").status_code == 404
