"""An agent is edited where its mistakes are shown beside the field that has them."""

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from calls.domain.state import Policy
from calls.models import Agent
from calls.models.agents import RANGES
from calls.store.agents import AgentNotFoundError, agent_get, demo_agent_ensure

URL = "/admin/calls/agent/"

pytestmark = pytest.mark.django_db


def form_of(client, agent_id: int | None = None) -> dict:
    url = f"{URL}{agent_id}/change/" if agent_id else f"{URL}add/"
    form = client.get(url).context["adminform"].form
    return {
        name: field for name in form.fields if (field := form[name].value()) not in (None, False)
    }


def test_an_agent_is_made_from_the_defaults(boss):
    form = form_of(boss) | {"name": "Front desk", "slug": "front-desk"}
    response = boss.post(f"{URL}add/", form)
    assert response.status_code == 302, response.context["adminform"].errors
    agent_get("front-desk")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("slug", "no good"),
        ("language", "english please"),
        ("endpoint_silence_ms", "50"),
        ("max_call_ms", "1"),
        ("idle_ms", "10"),
        ("temperature", "3"),
        ("speed", "0"),
        ("stt_provider", "nobody"),
        ("tools", "[1]"),
        ("tools", '["a", "a"]'),
        ("tools", '{"a": 1}'),
        ("tools", "["),
        ("first_message", ""),
        ("idle_text", " "),
        ("max_turn_ms", "20000"),
    ],
)
def test_a_mistake_is_shown_at_its_field(boss, field, value):
    form = form_of(boss) | {"name": "X", "slug": "x", "max_call_ms": "15000", field: value}
    if field != "max_turn_ms":
        form["max_turn_ms"] = "10000"
    if field == "max_call_ms":
        form["max_call_ms"] = value
    response = boss.post(f"{URL}add/", form)
    assert response.status_code == 200
    assert field in response.context["adminform"].errors


@pytest.mark.parametrize("name", RANGES)
def test_the_table_holds_the_ranges_as_well(name):
    demo_agent_ensure()
    with pytest.raises(IntegrityError), transaction.atomic():
        Agent.objects.update(**{name: RANGES[name][1] + 1})


def test_every_default_is_valid():
    Agent(slug="a", name="A").full_clean()
    with pytest.raises(ValidationError):
        Agent(slug="a", name="A", max_failures=0).full_clean()


def test_the_policy_is_what_the_row_says():
    demo_agent_ensure()
    Agent.objects.update(idle_ms=0, interruptible=False, first_message_mode="none", max_failures=7)
    policy = agent_get("demo").policy
    assert policy == Policy(
        first_message=None,
        generate_first=False,
        idle_ms=0,
        interruptible=False,
        max_failures=7,
        max_length_text=Agent().max_length_text,
        not_understood_text=Agent().not_understood_text,
    )


def test_the_demo_agent_is_made_once_and_then_left_alone():
    demo_agent_ensure()
    Agent.objects.update(name="Mine")
    assert demo_agent_ensure().name == "Mine"


def test_who_may_be_called(settings):
    settings.CALLS = settings.CALLS | {"AGENTS": {"code-only": "x.Y", "demo": "x.Demo"}}
    demo_agent_ensure()
    assert agent_get("demo").code_path == "x.Demo"
    assert agent_get("code-only").name == "Code only"
    for slug in ("nobody", "nobody\x00", "\ud800", ""):
        with pytest.raises(AgentNotFoundError):
            agent_get(slug)
    Agent.objects.update(active=False)
    with pytest.raises(AgentNotFoundError):
        agent_get("demo")


def test_there_is_a_way_to_call_it(boss):
    demo_agent_ensure()
    agent = Agent.objects.get()
    assert '<a href="/call/demo/">Call this agent</a>' in boss.get(URL).content.decode()
    page = f"{URL}{agent.pk}/change/"
    assert '<a href="/call/demo/">Call this agent</a>' in boss.get(page).content.decode()
    Agent.objects.update(active=False)
    assert "Call this agent" not in boss.get(page).content.decode()
