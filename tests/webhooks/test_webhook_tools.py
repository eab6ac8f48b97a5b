"""Tools that another server answers: asked once, signed, and never in the way of the call."""

import json

import pytest

from calls.domain.effects import RunTool
from calls.engine.toolbox import Toolbox
from calls.models import Agent, Site, WebhookTool
from calls.ports.tools import CallInfo
from calls.providers.webhooks import tools as answered
from calls.store.agents import agent_get
from calls.store.database import in_database
from calls.store.webhooks import secrets_of, tools_answered_elsewhere
from calls.wiring import _tools, webhooks
from tests.doubles.receiver import Receiver
from tests.doubles.receiver import receiver as receiving
from tests.webhooks.verifying import genuine

CALL = CallInfo(call_id="call-1", agent="desk", language="en", metadata={"order": 12})
SCHEMA = {"type": "object", "properties": {"order": {"type": "string"}}}


def tool(url: str, **fields) -> WebhookTool:
    return WebhookTool(
        **{
            "name": "order_status",
            "description": "Say where an order is.",
            "parameters": SCHEMA,
            "url": url,
            "timeout_ms": 2_000,
            "nonce": "n",
        }
        | fields
    )


def terms(row: WebhookTool):
    return webhooks.ToolTerms(
        name=row.name,
        description=row.description,
        parameters=row.parameters,
        url=row.url,
        timeout_ms=row.timeout_ms,
        secrets=secrets_of(row),
    )


async def run(row: WebhookTool, arguments: str = '{"order": "12"}'):
    """As a call runs it."""
    made = webhooks.tools((terms(row),), site="shop", caller="Anna")
    order = RunTool("t1", row.name, arguments)
    return await Toolbox(made, CALL).run(order)


def error_of(finished) -> str:
    assert finished.failed
    return json.loads(finished.output)["error"]


@pytest.mark.asyncio
async def test_it_is_asked_with_all_that_it_needs(receiver: Receiver):
    receiver.answer = ("application/json", b'{"status": "on its way"}')
    row = tool(receiver.url + "/ok")
    finished = await run(row)
    assert (finished.output, finished.failed) == ('{"status": "on its way"}', False)
    (got,) = receiver.received
    assert genuine(got, secrets_of(row)[0])
    asked = got.json
    assert (asked["type"], asked["id"]) == ("tool.needed", got.message_id)
    assert asked["data"] == {
        "call_id": "call-1",
        "site": "shop",
        "agent": "desk",
        "caller": "Anna",
        "language": "en",
        "metadata": {"order": 12},
        "tool": "order_status",
        "arguments": {"order": "12"},
    }


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("kind", "body", "output"),
    [
        ("text/plain", b"It is on its way.\n", "It is on its way."),
        ("text/plain; charset=utf-8", "Grüße".encode(), "Grüße"),
        ("application/json", b"", "Done."),
        ("application/json", b'"text"', '"text"'),
        ("text/html", b"x" * 16_384, "x" * 16_384),
    ],
)
async def test_answers_that_will_do(receiver: Receiver, kind, body, output):
    receiver.answer = (kind, body)
    finished = await run(tool(receiver.url + "/ok"))
    assert (finished.output, finished.failed) == (output, False)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("path", "answer", "words"),
    [
        ("/status/500", None, "status 500"),
        ("/status/404", None, "status 404"),
        ("/redirect", None, "status 307"),
        ("/cut", None, "broke off"),
        ("/silent", None, "broke off"),
        ("/garbage", None, "broke off"),
        ("/endless", None, "too long"),
        ("/ok", ("text/plain", b"x" * 16_385), "too long"),
        ("/ok", ("text/plain", b"\xff\xfe"), "cannot be read"),
        ("/ok", ("application/json", b"{"), "cannot be read"),
        ("/ok", ("application/json", b"[" * 16_000), "cannot be read"),
    ],
)
async def test_failures_are_words_for_the_model_and_never_repeated(
    receiver: Receiver, path, answer, words
):
    receiver.answer = answer or receiver.answer
    finished = await run(tool(receiver.url + path))
    assert words in error_of(finished)
    assert len(receiver.received) == 1
    assert receiver.url not in finished.output


@pytest.mark.asyncio
async def test_it_waits_no_longer_than_it_says(receiver: Receiver):
    finished = await run(tool(receiver.url + "/hang", timeout_ms=500))
    error = error_of(finished)
    assert "did not answer in time" in error or "too long" in error
    assert len(receiver.received) == 1


@pytest.mark.asyncio
async def test_nobody_there_is_asked_once_more_under_the_same_id(monkeypatch):
    with receiving() as gone:
        port = gone.port
    row = tool(f"http://127.0.0.1:{port}/ok")
    assert "cannot be reached" in error_of(await run(row))

    sent = []
    post = answered.post
    with receiving() as late:

        async def second_time_lucky(url, message, **bounds):
            sent.append(message.message_id)
            url = url if len(sent) == 1 else late.url + "/ok"
            return await post(url, message, **bounds)

        monkeypatch.setattr(answered, "post", second_time_lucky)
        finished = await run(row)
        assert not finished.failed
        assert [got.message_id for got in late.received] == [sent[0]]
        assert sent == [sent[0]] * 2


@pytest.mark.asyncio
async def test_a_private_address_is_not_asked(receiver: Receiver, settings):
    settings.CALLS = settings.CALLS | {"WEBHOOKS_TO_PRIVATE": False}
    finished = await run(tool(receiver.url.replace("http:", "https:") + "/ok"))
    assert "cannot be reached" in error_of(finished)
    assert receiver.connections == 0


@pytest.mark.django_db(transaction=True)
class TestWhoHasThem:
    @pytest.fixture(autouse=True)
    def rows(self):
        shop = Site.objects.create(slug="shop", name="Shop")
        tool("https://a.example/", nonce="1").save()
        tool("https://a.example/", name="of_shop", site=shop, nonce="2", parameters={}).save()
        tool("https://a.example/", name="off", active=False, nonce="3").save()
        Agent.objects.create(
            slug="desk",
            name="Desk",
            tools=["of_shop", "opening_hours", "order_status", "off", "nowhere"],
        )

    def test_by_site(self):
        names = ["order_status", "of_shop", "off", "nowhere"]
        found = tools_answered_elsewhere(names, "shop")
        assert [each.name for each in found] == ["of_shop", "order_status"]
        assert found[0].parameters == {"type": "object", "properties": {}}
        assert [each.name for each in tools_answered_elsewhere(names, "own")] == ["order_status"]
        assert tools_answered_elsewhere([], "own") == ()

    @pytest.mark.asyncio
    @pytest.mark.parametrize(
        ("site", "names"),
        [
            ("shop", ["of_shop", "opening_hours", "order_status"]),
            ("own", ["opening_hours", "order_status"]),
        ],
    )
    async def test_a_call_has_them_in_the_agents_order(self, site, names):
        agent = await in_database(agent_get, "desk")
        found = await _tools(agent, site, "Anna")
        assert [each.spec.name for each in found] == names
