"""Agents in the admin: everything that shapes a call, in groups."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import JSONField, TextField
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from typing_extensions import override

from calls.admin.choosing import AgentForm
from calls.admin.snippets import snippets
from calls.models import Agent

LONG = ("system_prompt", "extraction_schema")
LONG_ROWS, SHORT_ROWS = 8, 2

if TYPE_CHECKING:
    Base = admin.ModelAdmin[Agent]
else:
    Base = admin.ModelAdmin

_FIELDSETS: Any = (
    (None, {"fields": (("name", "slug"), ("active", "language"), "system_prompt", "tools")}),
    (
        "First words",
        {"fields": ("first_message_mode", "first_message", "consent_text", "consent_mode")},
    ),
    (
        "Voice and mind",
        {
            "fields": (
                "session",
                ("stt_provider", "stt_model"),
                "stt_fallbacks",
                ("llm_provider", "llm_model"),
                "llm_fallbacks",
                "temperature",
                ("tts_provider", "tts_model"),
                "tts_fallbacks",
                ("voice", "speed"),
                "fallback_voices",
                "tts_disabled",
            )
        },
    ),
    (
        "Speech to speech",
        {
            "classes": ("collapse",),
            "description": "For one model that hears and speaks; voice and speed above count for "
            "it as well. Three services one after the other take nothing of this.",
            "fields": (
                ("realtime_model", "transcription_model"),
                "turn_detection",
                ("vad_threshold", "vad_prefix_ms"),
                ("vad_silence_ms", "vad_eagerness"),
                ("max_output_tokens", "noise_reduction"),
                "language_instruction",
                "tracing",
            ),
        },
    ),
    (
        "Data to pick out",
        {
            "description": "When a call is over, a language model can fill in a form from what "
            "was said; the result stands on the conversation's page.",
            "fields": ("extraction_schema",),
        },
    ),
    (
        "Turns",
        {
            "fields": (
                ("endpoint_silence_ms", "max_turn_ms"),
                "interruptible",
                "not_understood_text",
            )
        },
    ),
    (
        "Silence and the end",
        {
            "fields": (
                ("idle_ms", "idle_prompts"),
                "idle_text",
                ("max_call_ms", "resume_ms"),
                "max_length_text",
            )
        },
    ),
    (
        "When something fails",
        {
            "classes": ("collapse",),
            "fields": (
                "apology_text",
                ("max_failures", "max_tool_rounds"),
                ("stt_wait_ms", "response_wait_ms"),
            ),
        },
    ),
    (
        "What is kept, and who may call",
        {
            "fields": (
                ("recorded", "summarized"),
                ("keep_audio_days", "keep_text_days"),
                "redacted",
                "token_required",
                "micdrop_version",
            )
        },
    ),
)


@admin.register(Agent)
class AgentAdmin(Base):
    """Edits agents. A call that goes on keeps the settings it began with."""

    list_display = ("name", "slug", "active", "language", "voice", "recorded", "call_link")
    list_filter = ("active", "language")
    search_fields = ("name", "slug", "system_prompt")
    prepopulated_fields = {"slug": ("name",)}  # noqa: RUF012 - the type of the base class
    form = AgentForm
    fieldsets = _FIELDSETS
    save_on_top = True
    view_on_site = False
    change_form_template = "admin/calls/agent/change_form.html"

    class Media:
        css = {"all": ["calls/admin/agent.css"]}  # noqa: RUF012 - Django's own form

    @override
    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        agent = self.get_object(request, object_id)
        context = extra_context or {}
        if agent is not None:
            shown = snippets(agent, request) if agent.active else ()
            context = {"call_url": call_url(agent), "snippets": shown} | context
        return super().change_view(request, object_id, form_url, context)

    @override
    def formfield_for_dbfield(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field and isinstance(db_field, TextField | JSONField):
            field.widget.attrs["rows"] = LONG_ROWS if db_field.name in LONG else SHORT_ROWS
        return field

    @override
    def get_prepopulated_fields(
        self, request: HttpRequest, obj: Agent | None = None
    ) -> dict[str, Any]:
        return {} if obj else super().get_prepopulated_fields(request, obj)

    @admin.display(description="Call")
    def call_link(self, agent: Agent) -> SafeString | str:
        url = call_url(agent)
        return format_html('<a href="{}">Call this agent</a>', url) if url else "–"


def call_url(agent: Agent) -> str:
    """Where this agent is called; empty: it is off, or the project shows no call page."""
    try:
        return reverse("calls:call", args=[agent.slug]) if agent.active else ""
    except NoReverseMatch:
        return ""
