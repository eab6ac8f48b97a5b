"""The same application on another server: the central tests of every protocol, by the same names."""

import pytest

from tests.server.callers import Caller, kept_server
from tests.server.keys import api_key
from tests.server.protocols import unhurt
from tests.server.stored import Stored
from tests.server.test_calls_conversation import (  # noqa: F401 - tests of this module as well
    test_a_spoken_turn_is_understood_and_answered,
    test_a_typed_conversation_with_a_booking_and_a_goodbye,
)
from tests.server.test_calls_lost import (  # noqa: F401
    test_after_a_drop_nothing_is_said_twice_and_nothing_is_lost,
)
from tests.server.test_protocols_addresses import (  # noqa: F401
    test_every_address_opens_and_no_other,
    test_pages_of_others_are_refused,
)
from tests.server.test_protocols_hostile import (  # noqa: F401
    test_messages_that_are_too_long_cost_the_socket_and_nothing_else,
    test_who_leaves_without_a_word_ends_the_call,
)
from tests.servers import Uvicorn

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def server(installation, tmp_path_factory):
    place = tmp_path_factory.mktemp("uvicorn") / "var"
    with kept_server(installation, place, Uvicorn, AVR_SECRET="") as started:
        yield started
        unhurt(started)


@pytest.fixture(scope="module")
def key(server):
    return api_key(server)


async def test_no_address_and_no_query_is_in_the_log(server):
    async with Caller(server.ws_url) as caller:
        caller.url += "?secret=kanarienvogel"
        await caller.start()
        await caller.hangs_up()
    assert "kanarienvogel" not in server.log()
    assert "127.0.0.1:" not in server.log().replace(server.url, "")


async def test_a_call_its_return_and_its_end(start_server):
    server = start_server(on=Uvicorn)
    async with Caller(server.ws_url) as caller:
        ready = await caller.start()
        await caller.hears_out()
        await caller.types("How do I get to your office by bus?")
        await caller.until(lambda: len(caller.played_ms) == 2)
        await caller.drop()
        assert (await caller.come_back())["resumed"] is True
        server.process.terminate()
        assert await caller.closed(20) == 4512
        assert caller.of("end")[0]["reason"] == "restarted"
    assert server.process.wait(20) in (0, -15)
    stored = Stored(server.var_dir)
    assert stored.conversation(ready["call_id"])["end_reason"] == "restarted"
    assert [row["status"] for row in stored.items(ready["call_id"]).values()] == ["complete"] * 3
    assert stored.recording(ready["call_id"])["state"] == "complete"
