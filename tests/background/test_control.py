"""What processes say to each other, over a Redis server that is killed and started again."""

import asyncio
import logging
import socket
import threading
import time
from contextlib import asynccontextmanager

import pytest
from django.contrib.auth.models import User

from calls.conf import calls_settings
from calls.models import Agent, Conversation, Site
from calls.wiring import control, control_line
from calls.wiring.control_line import ControlLine
from tests.admin.conftest import logged_in
from tests.machines import OwnRedis

pytestmark = [pytest.mark.timeout(60)]

QUICK_S = 0.3


def layers(url: str) -> dict:
    from redis.asyncio.retry import Retry
    from redis.backoff import ExponentialBackoff

    host = {
        "address": url,
        "retry": Retry(ExponentialBackoff(cap=1, base=0.1), 10),
        "socket_connect_timeout": 2,
    }
    return {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [host]},
        }
    }


@pytest.fixture(scope="module")
def redis():
    server = OwnRedis()
    yield server
    server.kill()


@pytest.fixture
def through_redis(settings, redis):
    settings.CHANNEL_LAYERS = layers(redis.url)


class End:
    """One end of the line, as another process would have it."""

    def __init__(self):
        self.heard = []
        self.line = ControlLine(control_line.shared_layer(), self.heard.append)

    def texts(self):
        return [message["text"] for message in self.heard if "text" in message]


@asynccontextmanager
async def ends(*those):
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(end.line.run()) for end in those]
        await until(lambda: all(end.line.connected for end in those))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def until(condition, timeout_s=15):
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def told(one, other, text):
    """Say it until the other hears it: what is said while the line is down is lost."""
    async with asyncio.timeout(20):
        while text not in other.texts():
            one.line.put({"text": text})
            await asyncio.sleep(0.05)


@pytest.mark.own_redis
@pytest.mark.asyncio
async def test_others_hear_what_is_said_and_oneself_does_not(through_redis):
    one, other = End(), End()
    async with ends(one, other):
        one.line.put({"text": "hello"})
        await until(lambda: other.texts() == ["hello"])
        assert one.texts() == []


@pytest.mark.own_redis
@pytest.mark.asyncio
async def test_the_line_comes_back_after_redis_was_killed(through_redis, redis, caplog):
    one, other = End(), End()
    async with ends(one, other):
        redis.kill()
        await until(lambda: not (one.line.connected or other.line.connected))
        one.line.put({"text": "lost"})
        redis.start()
        await told(one, other, "back")
        assert "lost" not in other.texts()
    assert not [record for record in caplog.records if record.exc_info], "no tracebacks"


@pytest.mark.own_redis
@pytest.mark.asyncio
async def test_a_server_that_forgets_who_listens_is_noticed(through_redis, redis, monkeypatch):
    monkeypatch.setattr(control_line, "PROOF_S", QUICK_S)
    one, other = End(), End()
    async with ends(one, other):
        channel = f"asgi__group__{control_line.GROUP}"
        # What `other` would not notice: its subscription is gone, its connection is not.
        (shard,) = other.line._layer._shards
        await shard._pubsub.unsubscribe(channel)
        await told(one, other, "heard again")


@pytest.mark.own_redis
@pytest.mark.asyncio
async def test_with_redis_away_leaving_takes_no_time(through_redis, redis):
    one = End()
    async with ends(one):
        redis.kill()
        began_s = time.monotonic()
    redis.start()
    assert time.monotonic() - began_s < control_line.SEND_S + 1


@pytest.fixture
def black_hole():
    """A server that takes connections and answers nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_command_that_cannot_reach_redis_goes_on_within_a_second(settings, black_hole):
    settings.CHANNEL_LAYERS = layers(f"redis://127.0.0.1:{black_hole}/0")
    began_s = time.monotonic()
    control.send({"v": 1, "tell": "site_changed", "site": "own"})
    assert time.monotonic() - began_s < control_line.SEND_S + 0.5


@pytest.mark.own_redis
@pytest.mark.asyncio
async def test_a_command_says_it_to_those_that_listen(through_redis):
    listener = End()
    async with ends(listener):
        message = {"v": 1, "tell": "site_changed", "site": "shop"}
        await asyncio.to_thread(control.send, message)
        await until(lambda: listener.heard)
    assert {**listener.heard[0], "type": ""} == {**message, "type": ""}


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"v": 2, "tell": "end_call", "call_id": "1", "reason": "staff_ended"},
        {"v": 1, "tell": "dance"},
        {"v": 1, "tell": ["end_call"]},
        {"v": 1, "tell": "end_call"},
        {"v": 1, "tell": "end_call", "call_id": 7, "reason": "staff_ended"},
        {"v": 1, "tell": "end_call", "call_id": "SECRET" * 100, "reason": "staff_ended"},
        {"v": 1, "tell": "end_call", "call_id": "SECRET", "reason": "no reason at all"},
        {"v": 1, "tell": "wake", "kind": ""},
    ],
    ids=str,
)
def test_what_cannot_be_understood_is_not_obeyed_and_not_written_down(message, caplog):
    with caplog.at_level(logging.DEBUG):
        control.take(message)
    assert "SECRET" not in caplog.text


@pytest.fixture
def said(monkeypatch):
    heard = []
    monkeypatch.setattr(control, "_publish", heard.append)
    return heard


@pytest.mark.django_db(transaction=True)
def test_a_live_call_is_asked_to_end_on_its_row_and_by_a_message(said):
    Conversation.objects.create(call_id="live", agent_slug="demo", protocol="browser")
    assert control.end_call("live")
    assert Conversation.objects.get().end_asked == "staff_ended"
    assert said == [{"v": 1, "tell": "end_call", "call_id": "live", "reason": "staff_ended"}]
    assert not control.end_call("unknown")
    assert len(said) == 1


@pytest.mark.django_db(transaction=True)
def test_who_changes_a_site_or_an_agent_has_calls_looked_at_again(said):
    Site.objects.create(slug="shop", name="Shop")
    Agent.objects.create(slug="helper", name="Helper")
    assert [message["site"] for message in said] == ["shop", "helper"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("way", ["one", "many"])
def test_the_switch_of_the_admin_is_told_at_once(said, way):
    shops = [Site.objects.create(slug=slug, name=slug) for slug in ("shop", "stall")]
    boss = logged_in(User.objects.create_superuser("boss"))
    said.clear()
    if way == "one":
        boss.post(f"/admin/calls/site/{shops[0].pk}/switch/")
    else:
        chosen = [shop.pk for shop in shops]
        boss.post("/admin/calls/site/", {"action": "stop", "_selected_action": chosen})
    stopped = shops[:1] if way == "one" else shops
    told = [(message["tell"], message["site"]) for message in said]
    assert told == [("site_changed", shop.slug) for shop in stopped]


def test_other_workers_are_woken_only_where_there_are_workers(said, settings):
    control.wake_others("summaries")
    assert said == []
    settings.CALLS = settings.CALLS | {"BACKGROUND": "worker"}
    assert calls_settings().background == "worker"
    threading.Thread(target=control.wake_others, args=("summaries",)).start()
    while not said:
        time.sleep(0.01)
    assert said == [{"v": 1, "tell": "wake", "kind": "summaries"}]
