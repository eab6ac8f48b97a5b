"""Webhooks in the admin: who is told what, what became of it, and tools that others answer."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.widgets import AdminURLFieldWidget
from django.core.exceptions import ValidationError
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from jsonschema import Draft202012Validator, SchemaError
from typing_extensions import override

from calls.conf import calls_settings
from calls.models import Webhook, WebhookDelivery, WebhookEvent, WebhookTool, WorkState
from calls.providers.webhooks.addresses import LONGEST_URL, ForbiddenAddressError, url_check
from calls.store.webhooks import delivery_again, secrets_of

if TYPE_CHECKING:
    Base = admin.ModelAdmin[Any]
    BaseForm = forms.ModelForm[Any]
else:
    Base = admin.ModelAdmin
    BaseForm = forms.ModelForm

CHANGE = "calls.change_webhook"


class AddressForm(BaseForm):
    """An address that something may be sent to; one of this network may be a bare name."""

    url = forms.CharField(max_length=LONGEST_URL, widget=AdminURLFieldWidget)

    def _get_validation_exclusions(self) -> set[str]:
        excluded: set[str] = super()._get_validation_exclusions()  # type: ignore[misc]  # Django's
        return excluded | {"url"}

    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"]
        try:
            url_check(url, private=calls_settings().webhooks_to_private)
        except ForbiddenAddressError as error:
            raise ValidationError(str(error)) from None
        return url


class WebhookForm(AddressForm):
    events = forms.MultipleChoiceField(
        choices=WebhookEvent.choices, widget=forms.CheckboxSelectMultiple
    )


class ToolForm(AddressForm):
    def clean_parameters(self) -> dict[str, Any]:
        schema = self.cleaned_data["parameters"]
        schema = {} if schema is None else schema
        if not isinstance(schema, dict) or schema.get("type", "object") != "object":
            raise ValidationError("A JSON schema of an object.")
        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            raise ValidationError(f"No JSON schema: {error.message}"[:300]) from None
        return schema


class WithSecrets(Base):
    """Shows, to those who may change a row, what its messages are signed with."""

    actions = ("show_secrets",)

    @admin.action(description="Show the secrets of the selected", permissions=["change"])
    def show_secrets(self, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponseBase:
        shown = [{"url": row.url, "secret": secrets_of(row)[0]} for row in rows]
        back = reverse(f"admin:calls_{self.opts.model_name}_changelist")
        context = {
            **self.admin_site.each_context(request),
            "title": "Secrets",
            "opts": self.opts,
            "rows": shown,
            "back": back,
        }
        response = TemplateResponse(request, "admin/calls/webhook/secrets.html", context)
        response["Cache-Control"] = "private, no-store"
        return response


@admin.register(Webhook)
class WebhookAdmin(WithSecrets):
    """Each with how its deliveries stand."""

    form = WebhookForm
    list_display = ("url", "site", "active", "told", "delivered", "waiting", "failed")
    list_filter = ("active", "site")
    search_fields = ("url",)
    readonly_fields = ("created_at",)
    fields = ("url", "site", "events", "active", "created_at")

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        open_states = [WorkState.PENDING, WorkState.RUNNING]
        rows: QuerySet[Any] = super().get_queryset(request).select_related("site")
        counted: QuerySet[Any] = rows.annotate(
            n_done=Count("deliveries", filter=Q(deliveries__state=WorkState.DONE)),
            n_open=Count("deliveries", filter=Q(deliveries__state__in=open_states)),
            n_failed=Count("deliveries", filter=Q(deliveries__state=WorkState.FAILED)),
        )
        return counted

    @admin.display(description="Events")
    def told(self, row: Webhook) -> str:
        return ", ".join(row.events)

    @admin.display(description="Delivered")
    def delivered(self, row: Any) -> SafeString:
        return _linked(row, row.n_done, WorkState.DONE)

    @admin.display(description="Waiting")
    def waiting(self, row: Any) -> SafeString:
        return _linked(row, row.n_open, WorkState.PENDING)

    @admin.display(description="Given up")
    def failed(self, row: Any) -> SafeString:
        return _linked(row, row.n_failed, WorkState.FAILED)


def _linked(row: Webhook, count: int, state: WorkState) -> SafeString:
    query = urlencode({"webhook__id__exact": str(row.pk), "state__exact": str(state.value)})
    address = reverse("admin:calls_webhookdelivery_changelist")
    return format_html('<a href="{}?{}">{}</a>', address, query, count)


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(Base):
    """What became of each; made by calls alone."""

    list_display = (
        "event", "call", "webhook", "state", "status", "attempts", "error", "requested_at",
        "done_at",
    )  # fmt: skip
    list_filter = ("state", "event", "webhook")
    list_select_related = ("webhook",)
    search_fields = ("event_id", "conversation__call_id")
    date_hierarchy = "requested_at"
    ordering = ("-requested_at", "-pk")
    show_full_result_count = False
    actions = ("send_again",)
    fields = (
        "event_id", "event", "call", "webhook", "state", "status", "attempts", "error",
        "requested_at", "done_at", "lease_until",
    )  # fmt: skip
    readonly_fields = fields

    @override
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @override
    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @override
    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_resend_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(CHANGE)

    @admin.action(description="Send the selected again", permissions=["resend"])
    def send_again(self, request: HttpRequest, rows: QuerySet[WebhookDelivery]) -> None:
        for row in rows:
            delivery_again(row)
        messages.success(request, f"{len(rows)} are being sent again, each under its old id.")

    @admin.display(description="Call", ordering="conversation")
    def call(self, row: WebhookDelivery) -> SafeString:
        address = reverse("admin:calls_conversation_change", args=[row.conversation_id])
        return format_html('<a href="{}">{}</a>', address, row.conversation_id[:8])


@admin.register(WebhookTool)
class WebhookToolAdmin(WithSecrets):
    """Agents that name it may use it."""

    form = ToolForm
    list_display = ("name", "url", "site", "timeout_ms", "active")
    list_filter = ("active", "site")
    list_select_related = ("site",)
    search_fields = ("name", "url")
    readonly_fields = ("created_at",)
    fields = (
        "name", "site", "description", "parameters", "url", "timeout_ms", "active", "created_at",
    )  # fmt: skip
