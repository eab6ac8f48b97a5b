"""The API and the webhooks of a real server, around a real call; and the examples of its page."""

import asyncio
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from django.test import Client

from calls.audio.wav import parse
from tests.doubles.receiver import Receiver
from tests.doubles.receiver import receiver as receiving
from tests.needs import as_deployed
from tests.server.callers import Caller, kept_server
from tests.server.programs import manage
from tests.server.stored import Stored
from tests.servers import ROOT, RealServer
from tests.webhooks.verifying import genuine

pytestmark = pytest.mark.timeout(120)

PAGE = (ROOT / "docs" / "api.md").read_text()
SOURCES = "".join(path.read_text() for path in (ROOT / "calls" / "api").glob("*.py"))
MADE = """
from calls.models import Site
from calls.models.keys import SCOPES
from calls.store.keys import key_create
shop = Site.objects.create(slug="shop", name="Shop", all_agents=True)
print(key_create("Shop", site=shop, scopes=SCOPES)[1])
"""


@pytest.fixture(scope="module")
def server(installation, tmp_path_factory):
    place = tmp_path_factory.mktemp("api") / "var"
    with kept_server(installation, place, WEBHOOKS_TO_PRIVATE="true") as started:
        yield started


def program(server: RealServer, key: str) -> httpx.AsyncClient:
    bearer = {"Authorization": f"Bearer {key}"} if key else {}
    return httpx.AsyncClient(
        base_url=f"{server.url}/api", headers=bearer, trust_env=False, timeout=20
    )


@pytest.fixture(scope="module")
def key(server) -> str:
    done = manage("shell", "--verbosity", "0", "-c", MADE, var_dir=server.var_dir)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


async def called(server: RealServer, client: httpx.AsyncClient, caller: str) -> str:
    """A call by a token, from its first word to its summary."""
    wanted = {"agent": "demo", "caller": caller, "metadata": {"order": "A-12"}}
    token = (await client.post("/tokens", json=wanted)).json()["token"]
    async with Caller(server.ws_url) as page:
        ready = await page.start(token=token)
        await page.hears_out()
        await page.asks("What are your opening hours?")
        await page.hangs_up()
    stored = Stored(server.var_dir)
    stored.ended(ready["call_id"])
    stored.until(lambda: stored.recording(ready["call_id"])["state"] == "complete")
    return ready["call_id"]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.mark.asyncio
async def test_a_call_as_programs_see_it(server, key, receiver):
    async with program(server, key) as client:
        events = ["call.started", "call.ended", "summary.ready"]
        wanted = {"url": receiver.url + "/ok", "events": events}
        secret = (await client.post("/v1/webhooks", json=wanted)).json()["secret"]
        before = (await client.get("/v1/usage")).json()["calls"]
        call_id = await called(server, client, "customer-1")
        got = await asyncio.to_thread(receiver.until, 3)
        assert {each.json["type"] for each in got} == set(events)
        assert all(genuine(each, secret) for each in got)
        assert len({each.message_id for each in got}) == 3
        data = got[0].json["data"]
        assert (data["call_id"], data["site"]) == (call_id, "shop")
        assert (data["caller"], data["metadata"]["order"]) == ("customer-1", "A-12")

        (listed,) = (await client.get("/v1/conversations?caller=customer-1")).json()["data"]
        assert listed["call_id"] == call_id
        call = (await client.get(f"/v1/conversations/{call_id}")).json()
        assert "nine to five" in call["items"][-1]["text"]
        assert call["summary"]["state"] == "done"
        assert (await client.get("/v1/usage")).json()["calls"] == before + 1
        assert key not in server.log()
        assert not re.findall(r"eyJ[\w-]{20,}", server.log()), "a token"

        link = (await client.get(f"/v1/conversations/{call_id}/recording")).json()["url"]
        assert link.startswith(f"{server.url}/api/v1/recordings/")
    async with program(server, "") as stranger:
        sound = await stranger.get(link)
        assert parse(sound.content).data_bytes > 16_000
        part = await stranger.get(link, headers={"Range": "bytes=44-1043"})
        assert (part.status_code, part.content) == (206, sound.content[44:1_044])


@pytest.mark.asyncio
async def test_big_and_odd_requests(server, key):
    async with program(server, key) as client:
        large = await client.post("/tokens", content=b'{"agent": "' + b"x" * 70_000 + b'"}')
        assert large.status_code == 413
        assert large.json()["error"]["code"] == "too_large"
        assert (await client.get("/v1/%ff%00")).status_code == 404
        assert (await client.get("/v1/conversations?q=%00")).status_code == 422
        assert (await client.request("BREW", "/v1/agents")).status_code == 405
        assert (await client.get("/openapi.json")).status_code == 200


@pytest.mark.asyncio
async def test_the_examples_of_the_page_work(server, key, tmp_path: Path):
    async with program(server, key) as client:
        call_id = await called(server, client, "customer-4711")
        other = await called(server, client, "customer-4712")
    blocks = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) >= 8
    strict = 'set -euo pipefail\ncurl() { command curl --fail-with-body "$@"; echo; }\n'
    done = await asyncio.to_thread(
        subprocess.run,
        ["bash", "-c", strict + "".join(blocks)],
        cwd=tmp_path,
        env=as_deployed(SERVER=server.url, KEY=key, CALL=call_id, OTHER_CALL=other, no_proxy="*"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-2_000:]
    assert json.loads((tmp_path / "call.json").read_text())["call_id"] == call_id
    assert "nine to five" in (tmp_path / "call.txt").read_text()
    assert parse((tmp_path / "call.wav").read_bytes()).data_bytes > 16_000
    stored = Stored(server.var_dir)
    left = "SELECT 1 FROM calls_conversation WHERE call_id IN (?, ?)"
    await asyncio.to_thread(stored.until, lambda: not stored.rows(left, call_id, other))
    rows = stored.rows("SELECT * FROM calls_webhookdelivery WHERE conversation_id = ?", call_id)
    assert rows == []


@pytest.mark.django_db
def test_the_page_names_every_address_and_error():
    document = Client().get("/api/openapi.json").json()
    text = re.sub(r"\$\w+", "{}", PAGE)
    for path in document["paths"]:
        wanted = re.sub(r"{\w+}", "{}", path)
        shown = wanted in text or path in PAGE or path.replace("{slug}", "demo") in PAGE
        assert shown or path == "/api/v1/tokens", path
    codes = set(re.findall(r'ApiError\(\s*\d+, [^)]*"(\w+)"\)', SOURCES))
    codes |= set(re.findall(r'^ +\d+: "(\w+)",$', SOURCES, re.MULTILINE))
    documented = set(re.findall(r"`(\w+)`", PAGE[PAGE.index("## Errors") :]))
    assert len(codes) > 12
    assert codes <= documented
