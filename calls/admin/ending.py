"""Live calls ended from the admin, in whichever process they run."""

from typing import TYPE_CHECKING

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_POST
from typing_extensions import override

from calls.models import AuditAction, Conversation
from calls.models.text import clean_text
from calls.store.audit import audit
from calls.wiring import control

if TYPE_CHECKING:
    Base = admin.ModelAdmin[Conversation]
else:
    Base = admin.ModelAdmin

END = "calls.end_conversation"


class EndingAdmin(Base):
    """The list's action and the review page's button, for those who may end calls."""

    @override
    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.end_view)
        own = path("<path:object_id>/end/", view, name="calls_conversation_end")
        return [own, *super().get_urls()]

    def has_end_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(END)

    @admin.action(description="End the selected live calls", permissions=["end"])
    def end_calls(self, request: HttpRequest, queryset: QuerySet[Conversation]) -> None:
        self._end(request, list(queryset.values_list("pk", flat=True)))

    @method_decorator(require_POST)
    def end_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """End this call."""
        if not self.has_end_permission(request):
            raise PermissionDenied
        call_id = clean_text(object_id)
        self._end(request, [call_id])
        return HttpResponseRedirect(reverse("admin:calls_conversation_change", args=[call_id]))

    def _end(self, request: HttpRequest, call_ids: list[str]) -> None:
        asked = [call_id for call_id in call_ids if control.end_call(call_id)]
        for call_id in asked:
            audit(request.user.get_username(), AuditAction.ENDED, call_id, user=request.user)
        if asked:
            told = "The call is being ended." if len(asked) == 1 else "The calls are being ended."
            messages.success(request, told)
        if len(asked) < len(call_ids):
            messages.warning(request, "What is over cannot be ended.")
