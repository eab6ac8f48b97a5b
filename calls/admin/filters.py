"""What a reviewer narrows the list of conversations by."""

from collections.abc import Mapping

from django.contrib import admin
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest
from typing_extensions import override

from calls.models import Conversation, ServiceUse
from calls.store.services import UNTROUBLED
from calls.store.wording import protocols

_FAILED = Exists(
    ServiceUse.objects.filter(conversation=OuterRef("pk")).exclude(outcome__in=UNTROUBLED)
)


class _Choice(admin.SimpleListFilter):
    """Named conditions."""

    conditions: Mapping[str, tuple[str, Q]]

    @override
    def lookups(
        self, request: HttpRequest, model_admin: "admin.ModelAdmin[Conversation]"
    ) -> list[tuple[str, str]]:
        return [(name, label) for name, (label, _) in self.conditions.items()]

    @override
    def queryset(
        self, request: HttpRequest, queryset: QuerySet[Conversation]
    ) -> QuerySet[Conversation]:
        chosen = self.conditions.get(self.value() or "")
        return queryset.filter(chosen[1]) if chosen else queryset


class InterruptionFilter(_Choice):
    title = "interruptions"
    parameter_name = "interrupted"
    conditions = {  # noqa: RUF012 - a constant
        "none": ("None", Q(interruption_count=0)),
        "some": ("Some", Q(interruption_count__gt=0)),
    }


class LatencyFilter(_Choice):
    title = "median latency"
    parameter_name = "latency"
    conditions = {  # noqa: RUF012 - a constant
        "fast": ("Up to 1 s", Q(latency_ms__lte=1_000)),
        "medium": ("1 to 2 s", Q(latency_ms__gt=1_000, latency_ms__lte=2_000)),
        "slow": ("Over 2 s", Q(latency_ms__gt=2_000)),
    }


class RecordingFilter(_Choice):
    title = "recording"
    parameter_name = "recorded"
    conditions = {  # noqa: RUF012 - a constant
        "complete": ("Complete", Q(recording__state="complete")),
        "early": ("Ends early", Q(recording__state__in=["truncated", "failed"])),
        "none": ("None", Q(recording=None)),
    }


class TroubleFilter(_Choice):
    """Whether a provider failed; nothing is looked up unless somebody asks."""

    title = "services"
    parameter_name = "trouble"
    conditions = {  # noqa: RUF012 - a constant
        "some": ("Some failed", Q(_FAILED)),
        "none": ("None failed", ~Q(_FAILED)),
    }


class ProtocolFilter(_Choice):
    """Which client was used, under the names that people know."""

    title = "protocol"
    parameter_name = "protocol"
    conditions = {name: (label, Q(protocol=name)) for name, label in protocols().items()} | {
        "others": ("Another", ~Q(protocol__in=protocols()))
    }
