"""The review page of a conversation, and all that it loads and links to."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_GET, require_POST, require_safe
from typing_extensions import override

from calls.admin.ending import END
from calls.admin.privacy import ERASE, REDACT
from calls.media import peaks_response, private, sound_response
from calls.models import AuditAction, Conversation, ConversationStatus, Recording
from calls.models.text import clean_text
from calls.store.audit import audit, audit_listened
from calls.store.exports import export_json, export_text
from calls.store.reviews import review
from calls.store.summaries import summaries_wake, summary_request

if TYPE_CHECKING:
    Base = admin.ModelAdmin[Conversation]
else:
    Base = admin.ModelAdmin

LISTEN = "calls.listen_recording"
SUMMARIZE = "calls.change_summary"

View = Callable[..., HttpResponseBase]


def call_title(row: Conversation) -> str:
    summary = getattr(row, "summary", None)
    return (summary and summary.title) or f"Call {row.call_id[:8]}"


class ReviewAdmin(Base):
    """Shows a conversation in place of the form that would edit it."""

    @override
    def get_urls(self) -> list[URLPattern]:
        views: dict[str, View] = {
            "audio": self.audio_view,
            "peaks": self.peaks_view,
            "export.json": self.export_json_view,
            "export.txt": self.export_text_view,
            "summarize": self.summarize_view,
        }
        own = [
            path(
                f"<path:object_id>/{end}/",
                self.admin_site.admin_view(view, cacheable=True),  # `private` says more
                name=f"calls_conversation_{end.replace('.', '_')}",
            )
            for end, view in views.items()
        ]
        return [*own, *super().get_urls()]

    @override
    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Conversation | None:
        return super().get_object(request, clean_text(object_id), from_field)

    @override
    @method_decorator(require_safe)
    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        row = self._row(request, object_id)
        audit(request.user.get_username(), AuditAction.VIEWED, row.pk, user=request.user)
        context = {
            **self.admin_site.each_context(request),
            "title": call_title(row),
            "opts": self.opts,
            "original": row,
            "review": review(row),
            "may_listen": request.user.has_perm(LISTEN),
            "may_end": row.status == ConversationStatus.ACTIVE and request.user.has_perm(END),
            "may_summarize": request.user.has_perm(SUMMARIZE),
            "may_erase": request.user.has_perm(ERASE),
            "may_redact": row.status == ConversationStatus.ENDED and request.user.has_perm(REDACT),
            "may_delete": self.has_delete_permission(request, row),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/calls/conversation/review.html", context)

    @method_decorator(require_GET)
    def audio_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """The recording; each listening leaves an entry in the audit."""
        recording = self._recording(request, object_id)
        row = recording.conversation
        response = sound_response(request, recording, f"call-{row.call_id}")
        audit_listened(request.user.get_username(), row.pk, user=request.user)
        return response

    @method_decorator(require_GET)
    def peaks_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        return peaks_response(self._recording(request, object_id))

    @method_decorator(require_GET)
    def export_json_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        row = self._row(request, object_id)
        content = export_json(review(row))
        response = JsonResponse(content, json_dumps_params={"indent": 2, "ensure_ascii": False})
        return self._exported(request, row, response, "json")

    @method_decorator(require_GET)
    def export_text_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        row = self._row(request, object_id)
        response = HttpResponse(export_text(review(row)), content_type="text/plain; charset=utf-8")
        return self._exported(request, row, response, "txt")

    @method_decorator(require_POST)
    def summarize_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """Have the conversation summarised once more."""
        if not request.user.has_perm(SUMMARIZE):
            raise PermissionDenied
        row = self._row(request, object_id)
        if row.status == ConversationStatus.ACTIVE:
            messages.warning(request, "The call goes on: its summary is written at its end.")
        else:
            summary_request(row)
            summaries_wake()
            self.log_change(request, row, "Asked for a new summary.")
            messages.success(request, "A new summary is being written.")
        return HttpResponseRedirect(reverse("admin:calls_conversation_change", args=[row.pk]))

    def _row(self, request: HttpRequest, object_id: str) -> Conversation:
        """The conversation, for somebody who may see it.

        Raises:
            PermissionDenied: they may not.
            Http404: there is none.
        """
        if not self.has_view_permission(request):
            raise PermissionDenied
        rows = Conversation.objects.select_related("agent", "user", "recording", "summary")
        try:
            return rows.get(pk=clean_text(object_id))
        except Conversation.DoesNotExist:
            raise Http404("There is no such conversation.") from None

    def _recording(self, request: HttpRequest, object_id: str) -> Recording:
        if not request.user.has_perm(LISTEN):
            raise PermissionDenied
        row = self._row(request, object_id)
        recording: Recording | None = getattr(row, "recording", None)
        if recording is None:
            raise Http404("The call was not recorded.")
        return recording

    def _exported(
        self, request: HttpRequest, row: Conversation, response: HttpResponse, ending: str
    ) -> HttpResponseBase:
        user = request.user
        audit(user.get_username(), AuditAction.EXPORTED, row.pk, user=user, detail=ending)
        name = f"call-{row.call_id}.{ending}"
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        return private(response)
