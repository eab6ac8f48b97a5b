"""Conversations in the admin: found in a list, read on a review page, never edited."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from typing_extensions import override

from calls.admin.ending import EndingAdmin
from calls.admin.filters import (
    InterruptionFilter,
    LatencyFilter,
    ProtocolFilter,
    RecordingFilter,
    TroubleFilter,
)
from calls.admin.privacy import PrivacyAdmin
from calls.admin.review import ReviewAdmin, call_title
from calls.conf import calls_settings
from calls.models import Conversation, ConversationStatus, Recording
from calls.store.wording import clock, cost_words, protocol_name, seconds


@admin.register(Conversation)
class ConversationAdmin(EndingAdmin, PrivacyAdmin, ReviewAdmin):
    """The list, and what leads from it."""

    list_display = (
        "call", "agent_name", "reached_by", "started", "length", "turn_count", "interrupted",
        "latency", "cost", "end", "recorded",
    )  # fmt: skip
    list_filter = (
        "status", "end_reason", "agent_slug", ProtocolFilter, InterruptionFilter, LatencyFilter,
        TroubleFilter, RecordingFilter,
    )  # fmt: skip
    list_select_related = ("agent", "summary", "recording")
    list_per_page = 50
    date_hierarchy = "started_at"
    search_fields = ("call_id",)
    search_help_text = "Words that were said or stand in the summary; quotes keep them together."
    show_full_result_count = False
    actions_on_bottom = True
    actions = ("end_calls", "redact_calls", "erase_calls")

    class Media:
        css = {"all": ["calls/admin/list.css"]}  # noqa: RUF012 - Django's own form

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Conversation]:
        return super().get_queryset(request).defer("agent_snapshot", "metadata")

    @override
    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        found = Conversation.objects.search(search_term).values("pk") if search_term else None
        return (queryset if found is None else queryset.filter(pk__in=found)), False

    @override
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @override
    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    # The list's columns

    @admin.display(description="Call", ordering="summary__title")
    def call(self, row: Conversation) -> str:
        return call_title(row)

    @admin.display(description="Agent", ordering="agent_slug")
    def agent_name(self, row: Conversation) -> str:
        return row.agent.name if row.agent else row.agent_slug

    @admin.display(description="Protocol", ordering="protocol")
    def reached_by(self, row: Conversation) -> str:
        return protocol_name(row.protocol)

    @admin.display(description="Started", ordering="started_at")
    def started(self, row: Conversation) -> str:
        return date_format(localtime(row.started_at), "j M Y, H:i")

    @admin.display(description="Length", ordering="duration_ms")
    def length(self, row: Conversation) -> str:
        return "–" if row.duration_ms is None else clock(row.duration_ms)

    @admin.display(description="Interrupted", ordering="interruption_count")
    def interrupted(self, row: Conversation) -> int:
        return row.interruption_count

    @admin.display(description="Latency", ordering="latency_ms")
    def latency(self, row: Conversation) -> str:
        return "–" if row.latency_ms is None else seconds(row.latency_ms)

    @admin.display(description="Cost", ordering="cost_micros")
    def cost(self, row: Conversation) -> str:
        return cost_words(row.cost_micros, calls_settings().currency) if row.cost_micros else "–"

    @admin.display(description="End", ordering="end_reason")
    def end(self, row: Conversation) -> SafeString:
        live = row.status == ConversationStatus.ACTIVE
        label = "Live" if live else row.get_end_reason_display()
        kind = "live" if live else row.end_reason
        return format_html('<span class="call-end call-end-{}">{}</span>', kind, label)

    @admin.display(description="Recording", ordering="recording__state")
    def recorded(self, row: Conversation) -> str:
        recording: Recording | None = getattr(row, "recording", None)
        return recording.get_state_display() if recording else "–"
