"""Limits on the real server: who is refused, what that costs, and what ends calls that run."""

import asyncio
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

import pytest
from websockets.asyncio.client import connect

from tests.doubles.providers.base import Fault, serving_in_thread
from tests.doubles.providers.openai_http import OpenAIHttpDouble
from tests.server.callers import Caller, kept_server
from tests.server.stored import Stored

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(90)]

CHAT = "/v1/chat/completions"
PROXY, STRANGER = "127.0.0.1", "127.0.0.2"
LIMITS = (
    "active", "max_calls", "max_calls_per_hour", "max_address_calls",
    "max_address_calls_per_hour", "max_call_seconds", "max_minutes_per_day", "max_call_cost",
    "max_day_cost",
)  # fmt: skip


class Guest(Caller):
    """A caller from an address of this machine, who may claim to be another's proxy."""

    def __init__(self, url: str, *, source: str = STRANGER, forwarded: str = "") -> None:
        super().__init__(url)
        self._source = source
        self._headers = {"X-Forwarded-For": forwarded} if forwarded else {}

    async def _open(self) -> None:
        self.close_code = None
        self._socket = await connect(
            self.url,
            compression=None,
            max_queue=None,
            local_addr=(self._source, 0),
            additional_headers=self._headers,
        )

    async def refused(self) -> tuple[int, str]:
        """Try to begin; the code of the socket's end, and the words."""
        with suppress(AssertionError):
            await self.start()
        (error,) = self.of("error")
        return await self.closed(), f"{error['code']}: {error['message']}"


class Place:
    """A server with its own site's limits, and the model that its agent asks."""

    def __init__(self, server: Any, model: OpenAIHttpDouble) -> None:
        self.server = server
        self.model = model
        self.stored = Stored(server.var_dir)

    def write(self, statement: str, *values: Any) -> None:
        database = self.server.var_dir / "db.sqlite3"
        with closing(sqlite3.connect(database, timeout=20)) as connection, connection:
            connection.execute(statement, values)

    def limit(self, **limits: Any) -> None:
        """These limits of the server's own site, and no others."""
        wanted = dict.fromkeys(LIMITS) | {"active": True} | limits
        if not self.stored.rows("SELECT id FROM calls_site WHERE slug = 'own'"):
            self.write(
                "INSERT INTO calls_site (slug, name, active, public, origins, all_agents)"
                " VALUES ('own', 'Own', 1, 1, '[]', 1)"
            )
        columns = ", ".join(f"{name} = ?" for name in wanted)
        self.write(f"UPDATE calls_site SET {columns} WHERE slug = 'own'", *wanted.values())

    def count(self) -> int:
        return len(self.stored.rows("SELECT call_id FROM calls_conversation"))

    def asked(self) -> int:
        return len(self.model.requests(CHAT))

    def guest(self, **kwargs: Any) -> Guest:
        return Guest(self.server.ws_url, **kwargs)


@pytest.fixture(scope="module")
def kept(installation, tmp_path_factory) -> Iterator[Place]:
    model = OpenAIHttpDouble()
    with serving_in_thread(model) as url:
        var_dir = tmp_path_factory.mktemp("limits") / "var"
        shutil.copytree(
            installation.template, var_dir, ignore=shutil.ignore_patterns("static", "server*.log")
        )
        with closing(sqlite3.connect(var_dir / "db.sqlite3")) as connection, connection:
            connection.executemany(
                "INSERT INTO calls_price (provider, model, figure, amount, per, valid_from)"
                " VALUES (?, '', ?, '1', 1, '2026-01-01')",
                [("compatible", "output_tokens")],
            )
            # Nothing but the calls themselves asks the model, and nobody waits for who left.
            connection.execute("UPDATE calls_agent SET summarized = 0, resume_ms = 0")
        with kept_server(
            installation,
            var_dir,
            LLM_BASE_URL=f"{url}/v1",
            LLM_MODEL="some-model",
            LLM_API_KEY="test-key",
            TRUSTED_PROXIES=f"{PROXY}/32",
        ) as server:
            yield Place(server, model)


@pytest.fixture
def place(kept) -> Iterator[Place]:
    kept.limit()
    kept.model.works_again()
    yield kept
    kept.stored.until(
        lambda: not kept.stored.rows("SELECT 1 FROM calls_conversation WHERE status = 'active'")
    )


async def test_a_refused_call_costs_no_request_and_leaves_no_row(place):
    place.limit(max_calls=1)
    async with place.guest() as first:
        await first.start()
        await first.hears_out()
        assert place.asked() > 0, "the model greets"
        requests, rows = place.asked(), place.count()
        async with place.guest() as second:
            assert await second.refused() == (
                4503,
                "limit_reached: All lines of this site are busy. Please try again in a moment.",
            )
        place.limit(active=True, max_day_cost="0")
        async with place.guest() as third:
            code, words = await third.refused()
            assert (code, words.partition(":")[0]) == (4503, "limit_reached")
        assert (place.asked(), place.count()) == (requests, rows)
        place.limit()
        await first.hangs_up()


async def test_a_site_that_is_off_and_consent_that_is_missing_refuse(place):
    place.limit(active=False)
    requests, rows = place.asked(), place.count()
    async with place.guest() as caller:
        assert (await caller.refused())[0] == 4403
    place.limit()
    place.write("UPDATE calls_agent SET consent_mode = 'required', consent_text = 'Recorded.'")
    try:
        async with place.guest() as caller:
            code, words = await caller.refused()
            assert (code, words.partition(":")[0]) == (4403, "consent_required")
        assert (place.asked(), place.count()) == (requests, rows)
    finally:
        place.write("UPDATE calls_agent SET consent_mode = 'shown', consent_text = ''")


async def test_a_spoofed_address_has_no_bucket_of_its_own(place):
    place.limit(max_address_calls=1)
    async with place.guest() as first:
        await first.start()
        for claim in ("198.51.100.1", "198.51.100.2, 203.0.113.5", "::1", "nonsense", "127.0.0.1"):
            async with place.guest(forwarded=claim) as other:
                code, words = await other.refused()
                assert (code, words.partition(":")[0]) == (4503, "limit_reached"), claim
        async with place.guest(source=PROXY, forwarded="198.51.100.9") as proxied:
            await proxied.start()
            for claim in ("198.51.100.9", "1.2.3.4, 198.51.100.9", "9.9.9.9,198.51.100.9"):
                async with place.guest(source=PROXY, forwarded=claim) as other:
                    assert (await other.refused())[0] == 4503, claim
            async with place.guest(source=PROXY, forwarded="198.51.100.10") as neighbour:
                await neighbour.start()
                await neighbour.hangs_up()
            await proxied.hangs_up()
        await first.hangs_up()
    keys = {row["address_key"] for row in place.stored.rows("SELECT * FROM calls_conversation")}
    assert all(len(key) == 32 for key in keys)
    assert "198.51.100" not in place.server.log()


@pytest.mark.parametrize("hang", [False, True])
async def test_a_call_is_over_a_second_after_its_longest_time(place, hang):
    place.limit(max_call_seconds=2)
    if hang:
        place.model.fail(CHAT, Fault(stall_headers=True), Fault(stall_headers=True))
    async with place.guest() as caller:
        began_s = time.monotonic()
        ready = await caller.start()
        ready_s = time.monotonic()
        assert ready["limits"]["max_call_ms"] == 2_000
        assert await caller.closed(6) == 1000
        over_s = time.monotonic()
        assert over_s - began_s > 1.5
        assert over_s - ready_s < 3.5
    assert caller.of("end")[-1]["reason"] == "max_length"
    row = place.stored.ended(ready["call_id"])
    assert row["end_reason"] == "max_length"
    assert row["duration_ms"] <= 3_000
    assert row["cap_ms"] == 2_000


async def test_a_call_ends_when_its_money_is_used_up(place):
    place.limit(max_call_cost="0.000001")
    async with place.guest() as caller:
        ready = await caller.start()
        await caller.closed(15)
    assert caller.of("end")[-1]["reason"] == "budget"
    row = place.stored.ended(ready["call_id"])
    uses = place.stored.rows(
        "SELECT * FROM calls_serviceuse WHERE conversation_id = ?", ready["call_id"]
    )
    paid = [use for use in uses if use["cost_micros"]]
    assert row["cost_micros"] == sum(use["cost_micros"] for use in paid) > 0
    used_up_ms = min(use["began_ms"] + use["duration_ms"] for use in paid)
    assert row["duration_ms"] <= used_up_ms + 1_000


async def test_a_day_s_money_that_is_used_up_ends_a_call(place):
    async with place.guest() as caller:
        ready = await caller.start()
        await caller.hears_out()
        place.stored.until(lambda: place.stored.conversation(ready["call_id"])["cost_micros"] > 0)
        place.limit(max_day_cost="0.000001")
        await caller.closed(6)
    assert caller.of("end")[-1]["reason"] == "budget"
    assert place.stored.ended(ready["call_id"])["end_reason"] == "budget"


async def test_the_kill_switch_and_a_wish_on_the_row_end_calls_within_five_seconds(place):
    async with place.guest() as one, place.guest() as two:
        ready = await one.start()
        other = await two.start()
        await one.hears_out()
        place.write(
            "UPDATE calls_conversation SET end_asked = 'staff_ended' WHERE call_id = ?",
            ready["call_id"],
        )
        await one.closed(5)
        assert two.close_code is None
        place.limit(active=False)
        await two.closed(5)
    assert place.stored.ended(ready["call_id"])["end_reason"] == "staff_ended"
    assert place.stored.ended(other["call_id"])["end_reason"] == "site_stopped"


async def test_a_database_that_is_away_ends_no_call_and_caps_hold(place):
    place.limit(max_call_seconds=6)
    database = place.server.var_dir / "db.sqlite3"
    async with place.guest() as caller:
        ready = await caller.start()
        await caller.hears_out()
        database.rename(database.with_name("away"))
        database.mkdir()
        try:
            for _ in range(40):
                await asyncio.sleep(0.1)
                if "cannot be looked at" in place.server.log():
                    break
            assert "cannot be looked at" in place.server.log()
            assert caller.close_code is None
            await caller.closed(9)
        finally:
            database.rmdir()
            database.with_name("away").rename(database)
    assert caller.of("end")[-1]["reason"] == "max_length"
    assert place.stored.ended(ready["call_id"])["end_reason"] == "max_length"
