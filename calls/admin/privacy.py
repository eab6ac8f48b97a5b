"""Calls forgotten and redacted from the admin; who did what with them, and what was forgotten."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_http_methods, require_POST
from typing_extensions import override

from calls.models import (
    AuditAction,
    AuditEntry,
    Conversation,
    ConversationStatus,
    Erasure,
)
from calls.models.text import clean_text
from calls.store.audit import audit
from calls.store.erasure import erasure_request
from calls.store.redaction import redaction_request

if TYPE_CHECKING:
    Base = admin.ModelAdmin[Conversation]
    AnyAdmin = admin.ModelAdmin[Model]
else:
    Base = AnyAdmin = admin.ModelAdmin

ERASE = "calls.erase_conversation"
REDACT = "calls.redact_conversation"


class PrivacyAdmin(Base):
    """The list's actions and the review page's buttons, for those who may."""

    @override
    def get_urls(self) -> list[URLPattern]:
        views = {"erase": self.erase_view, "redact": self.redact_view}
        own = [
            path(
                f"<path:object_id>/{name}/",
                self.admin_site.admin_view(view),
                name=f"calls_conversation_{name}",
            )
            for name, view in views.items()
        ]
        return [*own, *super().get_urls()]

    def has_erase_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(ERASE)

    def has_redact_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(REDACT)

    @admin.action(description="Erase the selected calls everywhere", permissions=["erase"])
    def erase_calls(
        self, request: HttpRequest, queryset: QuerySet[Conversation]
    ) -> HttpResponse | None:
        call_ids = list(queryset.values_list("pk", flat=True))
        if "confirmed" not in request.POST:
            return self._confirm(request, call_ids)
        self._erase(request, call_ids)
        return None

    @admin.action(description="Redact personal data in the selected calls", permissions=["redact"])
    def redact_calls(self, request: HttpRequest, queryset: QuerySet[Conversation]) -> None:
        self._redact(request, list(queryset))

    @method_decorator(require_http_methods(["GET", "POST"]))
    def erase_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """Ask whether to erase this call, then have it erased."""
        if not self.has_erase_permission(request):
            raise PermissionDenied
        row = self._found(object_id)
        if request.method == "GET":
            return self._confirm(request, [row.pk])
        self._erase(request, [row.pk])
        return HttpResponseRedirect(reverse("admin:calls_conversation_changelist"))

    @method_decorator(require_POST)
    def redact_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        if not self.has_redact_permission(request):
            raise PermissionDenied
        row = self._found(object_id)
        self._redact(request, [row])
        return HttpResponseRedirect(reverse("admin:calls_conversation_change", args=[row.pk]))

    @override
    def delete_model(self, request: HttpRequest, obj: Conversation) -> None:
        call_id = obj.pk
        super().delete_model(request, obj)
        self._deleted(request, [call_id])

    @override
    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Conversation]) -> None:
        call_ids = list(queryset.values_list("pk", flat=True))
        super().delete_queryset(request, queryset)
        self._deleted(request, call_ids)

    def _found(self, object_id: str) -> Conversation:
        row = Conversation.objects.filter(pk=clean_text(object_id)).first()
        if row is None:
            raise Http404("There is no such conversation.")
        return row

    def _confirm(self, request: HttpRequest, call_ids: list[str]) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": "Erase everywhere?",
            "opts": self.opts,
            "call_ids": call_ids,
            "selected": ACTION_CHECKBOX_NAME,
            "from_list": request.method == "POST",
        }
        return TemplateResponse(request, "admin/calls/conversation/erase.html", context)

    def _erase(self, request: HttpRequest, call_ids: list[str]) -> None:
        erasure_request(call_ids=call_ids, actor=request.user.get_username())
        told = "The call is being erased." if len(call_ids) == 1 else "The calls are being erased."
        messages.success(request, told)

    def _redact(self, request: HttpRequest, rows: list[Conversation]) -> None:
        ended = [row for row in rows if row.status == ConversationStatus.ENDED]
        for row in ended:
            redaction_request(row, actor=request.user.get_username(), user=request.user)
        if ended:
            messages.success(request, "Personal data is being redacted.")
        if len(ended) < len(rows):
            messages.warning(request, "A call that goes on can be redacted when it is over.")

    def _deleted(self, request: HttpRequest, call_ids: list[str]) -> None:
        for call_id in call_ids:
            name = request.user.get_username()
            audit(
                name, AuditAction.ERASED, call_id, user=request.user, detail="deleted: rows, files"
            )


class _ReadOnlyAdmin(AnyAdmin):
    """Shown to those who may see it; changed by nobody."""

    @override
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @override
    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @override
    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(AuditEntry)
class AuditEntryAdmin(_ReadOnlyAdmin):
    list_display = ("at", "actor", "action", "call_id", "detail")
    list_filter = ("action", "at")
    search_fields = ("=call_id", "actor")
    search_help_text = "A call's id, or who it was."
    show_full_result_count = False
    list_per_page = 100


@admin.register(Erasure)
class ErasureAdmin(_ReadOnlyAdmin):
    list_display = (
        "pk", "requested_at", "actor", "state", "conversations", "recordings", "done_at", "error",
    )  # fmt: skip
    list_filter = ("state",)
    exclude = ("lease", "lease_until", "caller", "call_ids")
    show_full_result_count = False
