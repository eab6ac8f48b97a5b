"""An agent is edited where its mistakes are shown beside the field that has them."""

import re
from copy import deepcopy

import pytest
from django.contrib.admin.models import LogEntry
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from calls.domain.events import Stage
from calls.domain.policy import Policy
from calls.models import Agent, providers
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
        ("consent_mode", "required"),
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


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("stt_fallbacks", ["nobody"], "Known are: embedded, whisper, openai-live, openai,"),
        ("llm_fallbacks", ["embedded", "piper"], "“piper” is no provider known here."),
        ("tts_fallbacks", ["auto"], "“auto” is no provider known here."),
        ("stt_fallbacks", ["openai", "openai"], "A provider is named twice."),
        ("stt_fallbacks", ["openai", "elevenlabs"], "“elevenlabs” is the first choice already."),
        ("fallback_voices-nobody", "Rachel", "“nobody” is no provider known here."),
        ("extraction_schema", '{"type": "array"}', "A JSON schema whose type is “object”."),
        ("vad_threshold", "2", "less than or equal to 1"),
    ],
)
def test_a_choice_that_cannot_be_is_refused_with_what_could_be(boss, field, value, why):
    form = form_of(boss) | {"name": "X", "slug": "x", "stt_provider": "elevenlabs", field: value}
    response = boss.post(f"{URL}add/", form)
    assert response.status_code == 200
    errors = response.context["adminform"].errors[field.partition("-")[0]]
    assert why in " ".join(errors)
    page = response.content.decode()
    for entered in value if isinstance(value, list) else re.findall(r"\w+", value):
        assert f'value="{entered}"' in page or f"{entered}&quot;" in page, "it is still there"


def test_a_model_that_hears_and_speaks_cannot_be_without_a_voice(boss):
    form = form_of(boss) | {"name": "X", "slug": "x", "tts_disabled": "on"}
    response = boss.post(f"{URL}add/", form | {"session": "openai-realtime"})
    errors = response.context["adminform"].errors
    assert errors == {"tts_disabled": ["A model that hears and speaks has a voice."]}
    assert boss.post(f"{URL}add/", form).status_code == 302


def test_fallbacks_keep_their_order_and_voices_their_provider(boss):
    form = form_of(boss) | {
        "name": "X",
        "slug": "x",
        "stt_provider": "openai-live",
        "stt_fallbacks": ["", "embedded", "", "openai"],
        "fallback_voices-elevenlabs": " Xb7hH8MSUJpSbSDYk0k2 ",
        "fallback_voices-piper": "",
        "extraction_schema": '{"type": "object", "properties": {"name": {"type": "string"}}}',
    }
    response = boss.post(f"{URL}add/", form)
    assert response.status_code == 302, response.context["adminform"].errors
    agent = Agent.objects.get(slug="x")
    assert agent.stt_fallbacks == ["embedded", "openai"]
    assert agent.fallback_voices == {"elevenlabs": "Xb7hH8MSUJpSbSDYk0k2"}
    assert agent_get("x").stt_fallbacks == ("embedded", "openai")
    page = boss.get(f"{URL}{agent.pk}/change/").content.decode()
    chosen = re.findall(r'<option value="([^"]*)" selected>', page[page.index("stt_fallbacks") :])
    assert chosen[:3] == ["embedded", "openai", ""]
    assert 'value="Xb7hH8MSUJpSbSDYk0k2"' in page
    assert "&quot;properties&quot;: {\n" in page


def test_fallbacks_and_voices_can_be_taken_away_again(boss):
    row = Agent.objects.create(
        slug="x", name="X", tts_fallbacks=["embedded"], fallback_voices={"embedded": "en-us"}
    )
    form = form_of(boss, row.pk) | {"tts_fallbacks": "", "fallback_voices-embedded": ""}
    response = boss.post(f"{URL}{row.pk}/change/", form)
    assert response.status_code == 302, response.context["adminform"].errors
    row.refresh_from_db()
    assert (row.tts_fallbacks, row.fallback_voices) == ([], {})


def test_what_a_session_does_not_use_may_be_anything(boss):
    form = form_of(boss) | {"name": "X", "slug": "x"}
    for session, other in (("cascade", "realtime_model"), ("openai-realtime", "stt_model")):
        choice = {"session": session, other: "model", "turn_detection": "semantic_vad"}
        compatible = {"stt_provider": "compatible", "llm_provider": "compatible"}
        response = boss.post(f"{URL}add/", form | choice | compatible | {"slug": session})
        assert response.status_code == 302, response.context["adminform"].errors
    assert Agent.objects.count() == 2


def test_a_stored_choice_that_is_no_longer_known_is_shown_as_such(boss):
    row = Agent.objects.create(
        slug="x",
        name="X",
        stt_fallbacks=["gone", "embedded", "openai", "whisper"],
        fallback_voices={"<b>": "v"},
    )
    page = boss.get(f"{URL}{row.pk}/change/").content.decode()
    assert '<option value="gone" selected>gone (not known)</option>' in page
    assert '<option value="whisper" selected>' in page, "more than there are places otherwise"
    assert "&lt;b&gt; (not known)" in page
    assert "<b>" not in page
    response = boss.post(f"{URL}{row.pk}/change/", form_of(boss, row.pk))
    assert "“gone” is no provider" in str(response.context["adminform"].errors)


def test_a_provider_of_another_app_may_be_chosen(boss, monkeypatch):
    monkeypatch.setattr(providers, "_KNOWN", deepcopy(providers._KNOWN))
    providers.provider_register(Stage.TTS, "parrot", "Parrot & Co")
    Agent(
        slug="x", name="X", tts_fallbacks=["parrot"], fallback_voices={"parrot": "p"}
    ).full_clean()
    assert "Parrot &amp; Co" in boss.get(f"{URL}add/").content.decode()


def test_saving_without_a_change_changes_nothing(boss):
    row = Agent.objects.create(
        slug="x", name="X", tts_fallbacks=["embedded"], fallback_voices={"embedded": "en-us"},
        extraction_schema={"type": "object"},
    )  # fmt: skip
    form = form_of(boss, row.pk) | {"fallback_voices-embedded": "en-us", "initial-tools": "[]"}
    boss.post(f"{URL}{row.pk}/change/", form)
    assert LogEntry.objects.get().get_change_message() == "No fields changed."


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
