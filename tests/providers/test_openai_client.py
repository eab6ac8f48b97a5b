"""One client for a loop and a server, made beside the loop."""

import asyncio
import logging
import subprocess
import sys
import textwrap

import pytest

from calls.providers.openai.address import Server
from calls.providers.openai.client import client, clients_close, warm

HERE = Server("http://127.0.0.1:9/v1", "sk-secret")
THERE = Server("http://127.0.0.1:9/v1", "sk-other")


def test_a_key_is_not_shown():
    assert "secret" not in repr(HERE)


@pytest.mark.asyncio
async def test_callers_who_come_together_get_the_same_client():
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(client(HERE)) for _ in range(5)]
        other = tasks.create_task(client(THERE))

    assert len({id(task.result()) for task in asked}) == 1
    assert other.result() is not asked[0].result()
    assert await client(HERE) is asked[0].result()
    await clients_close()


@pytest.mark.asyncio
async def test_the_loop_goes_on_while_a_client_is_made():
    turns = 0

    async def turning():
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async with asyncio.TaskGroup() as tasks:
        others = tasks.create_task(turning())
        await asyncio.sleep(0)
        await client(HERE)
        others.cancel()

    assert turns > 1
    await clients_close()


@pytest.mark.asyncio
async def test_who_gives_up_waiting_takes_nothing_from_the_others():
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(client(HERE))
        second = tasks.create_task(client(HERE))
        await asyncio.sleep(0)
        first.cancel()

    assert first.cancelled()
    assert await client(HERE) is second.result()
    await clients_close()


@pytest.mark.asyncio
async def test_closing_closes_and_may_be_done_again():
    sdk = await client(HERE)

    await clients_close()
    await clients_close()

    assert sdk.is_closed()
    assert await client(HERE) is not sdk
    await clients_close()


def test_every_loop_has_its_own():
    async def made():
        sdk = await client(HERE)
        await clients_close()
        return sdk

    assert asyncio.run(made()) is not asyncio.run(made())


@pytest.mark.asyncio
async def test_nothing_is_tried_again_and_nothing_waits_for_minutes():
    sdk = await client(HERE)

    assert sdk.max_retries == 0
    assert (sdk.timeout.connect, sdk.timeout.read) == (3, 5)
    await clients_close()


@pytest.mark.asyncio
async def test_the_environment_of_the_process_is_not_told_to_servers(monkeypatch):
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-1")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-environment")

    sdk = await client(Server("http://127.0.0.1:9/v1"))

    sent = {**sdk.default_headers, **sdk.auth_headers}
    assert not {"org-1", "proj-1", "Bearer sk-environment"} & set(map(str, sent.values()))
    assert str(sdk.base_url) == "http://127.0.0.1:9/v1/"
    await clients_close()


@pytest.mark.asyncio
async def test_warming_goes_well(caplog):
    with caplog.at_level(logging.WARNING):
        await warm(HERE)

    assert not caplog.records
    await clients_close()


FIRST_REQUEST = """
    import asyncio, sys
    from calls.providers.openai.client import clients_close, warm
    from calls.providers.openai.llm import ChatLanguageModel
    from calls.providers.openai.responses import ResponsesLanguageModel
    from tests.doubles.providers.base import serving_in_thread
    from tests.doubles.providers.openai_http import OpenAIHttpDouble
    from tests.providers.asking import TOOL, parts_of, prompt, server_of

    async def ask(double):
        server = server_of(double, "openai", "openai")
        models = ChatLanguageModel(server, "gpt-4.1"), ResponsesLanguageModel(server, "gpt-4.1")
        await warm(server)
        before = set(sys.modules)
        for model in models:
            assert await parts_of(model, prompt(tools=(TOOL,)))
        await clients_close()
        return sorted(name for name in set(sys.modules) - before if "aiohttp" not in name)

    double = OpenAIHttpDouble()
    with serving_in_thread(double):
        print(asyncio.run(ask(double)))
"""


def test_after_warming_the_first_request_loads_nothing():
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FIRST_REQUEST)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert run.stdout.strip() == "[]", run.stderr
