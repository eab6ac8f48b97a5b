"""Finding an agent's class, and what it says for itself against its settings."""

import sys
from dataclasses import dataclass
from types import ModuleType

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from calls.agents import CONFIGURED, VoiceAgent, tool
from calls.checks import agents_check
from calls.domain.errors import CallError, ErrorCode
from calls.domain.events import Stage
from calls.domain.policy import Policy
from calls.providers.code import agent_class, loading, open_agent, policy_with, replaced_stages

ROW = Policy(first_message="Hello from the row.")


@tool
def hours():
    """Opening hours."""


class Plain(VoiceAgent):
    """Says nothing for itself."""


class Twice(VoiceAgent):
    """Has a tool two times."""

    tools = (hours, hours)


class NotTools(VoiceAgent):
    """Lists a plain function."""

    tools = (print,)


class Unprepared(VoiceAgent):
    """Cannot begin."""

    def prepare(self):
        raise LookupError("secret")


class Unmakeable(VoiceAgent):
    """Cannot even be made."""

    def __init__(self):
        raise SystemExit


class Prepared(VoiceAgent):
    """Looks its caller up."""

    async def prepare(self):
        self.system_prompt = f"You talk to somebody on {self.call.metadata['page']}."


@pytest.fixture(autouse=True)
def module(monkeypatch):
    module = ModuleType("shop_agents")
    for value in (Plain, Twice, NotTools, Unprepared, Unmakeable, Prepared):
        setattr(module, value.__name__, value)
    monkeypatch.setitem(sys.modules, "shop_agents", module)


def test_a_class_is_found_by_its_path():
    assert agent_class("shop_agents.Plain", "shop") is Plain


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("nowhere.Agent", "nowhere.Agent cannot be imported (ModuleNotFoundError"),
        ("shop_agents.Missing", "shop_agents.Missing cannot be imported (ImportError"),
        ("nodots", "nodots cannot be imported (ImportError"),
        ("calls.agents.tool", "is not a subclass of calls.agents.VoiceAgent"),
        ("builtins.dict", "is not a subclass of calls.agents.VoiceAgent"),
        ("shop_agents.Twice", "has several tools named hours"),
        ("shop_agents.NotTools", "is not a tool; see calls.agents.tool"),
    ],
)
def test_an_unusable_class_is_named_with_its_slug(path, complaint, settings):
    with pytest.raises(ImproperlyConfigured) as caught:
        agent_class(path, "shop")
    assert complaint in str(caught.value)
    assert "CALLS['AGENTS']['shop']" in str(caught.value)
    settings.CALLS = settings.CALLS | {"AGENTS": {"shop": path, "plain": "shop_agents.Plain"}}
    [problem] = agents_check(None)
    assert (problem.id, problem.msg) == ("calls.E002", str(caught.value))


def test_the_project_is_checked_with_all_others(settings):
    settings.CALLS = settings.CALLS | {"AGENTS": {"shop": "nowhere.Agent"}}
    with pytest.raises(SystemCheckError, match=r"calls\.E002"):
        call_command("check")
    settings.CALLS = settings.CALLS | {"AGENTS": {}, "MAX_CALS": 3}
    with pytest.raises(SystemCheckError, match=r"calls\.E001.*MAX_CALS"):
        call_command("check")
    settings.CALLS = {}
    call_command("check")


@pytest.mark.asyncio
async def test_an_agent_is_prepared_before_its_call(info):
    code = await open_agent("shop_agents.Prepared", info)
    assert code.agent.system_prompt == "You talk to somebody on /pricing."


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["Unprepared", "Unmakeable", "Missing"])
async def test_an_agent_that_cannot_be_prepared_takes_no_call(info, name, caplog):
    with pytest.raises(CallError) as caught:
        await open_agent(f"shop_agents.{name}", info)
    assert caught.value.code is ErrorCode.INTERNAL
    assert "An agent's prepare failed" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.asyncio
async def test_preparing_has_an_end(info, monkeypatch):
    import asyncio

    async def never(self):
        await asyncio.Event().wait()

    monkeypatch.setattr(loading, "PREPARE_MS", 10)
    monkeypatch.setattr(Prepared, "prepare", never)
    with pytest.raises(CallError):
        await open_agent("shop_agents.Prepared", info)


@pytest.mark.parametrize(
    ("said", "first_message", "generated"),
    [
        (CONFIGURED, "Hello from the row.", False),
        (None, None, True),
        ("", None, False),
        ("Hello from the code.", "Hello from the code.", False),
    ],
)
def test_who_speaks_first(said, first_message, generated):
    agent = Plain()
    agent.first_message = said
    policy = policy_with(agent, ROW)
    assert (policy.first_message, policy.generate_first) == (first_message, generated)
    assert policy_with(agent, Policy(generate_first=True)).generate_first is (
        generated or said is CONFIGURED
    )


@dataclass(frozen=True)
class SettingsDouble:
    system_prompt: str = "row prompt"
    language: str = "en"
    voice: str = "row voice"
    tts_disabled: bool = True
    policy: Policy = ROW
    name: str = "Shop"


@pytest.mark.asyncio
async def test_what_the_class_says_outranks_its_settings(info):
    code = await open_agent("shop_agents.Plain", info)
    assert code.settings(SettingsDouble()) == SettingsDouble()
    agent = code.agent
    agent.system_prompt, agent.language, agent.voice = "", "de", "code voice"
    agent.disable_tts, agent.first_message = False, None
    assert code.settings(SettingsDouble()) == SettingsDouble(
        system_prompt="",
        language="de",
        voice="code voice",
        tts_disabled=False,
        policy=Policy(generate_first=True),
    )


@pytest.mark.django_db
def test_the_settings_are_those_of_an_agents_row():
    from calls.models import Agent
    from calls.providers.code.overriding import settings_with
    from calls.store.agents import agent_settings

    row = agent_settings(Agent(slug="shop", name="Shop"))
    agent = Plain()
    assert settings_with(agent, row) == row
    agent.voice, agent.disable_tts = "code voice", True
    changed = settings_with(agent, row)
    assert (changed.voice, changed.tts_disabled) == ("code voice", True)


def test_which_stages_are_done_in_code():
    class Speaking(Plain):
        def text_to_speech(self, text):
            return b""

        async def generate_answer(self, conversation):
            return ""

    assert replaced_stages(Plain) == frozenset()
    assert replaced_stages(Speaking) == replaced_stages(Speaking()) == {Stage.LLM, Stage.TTS}
