"""API keys in the admin: a new one is shown once, after it was saved."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest
from django.utils.html import format_html
from typing_extensions import override

from calls.models import ApiKey
from calls.store.keys import key_fill

if TYPE_CHECKING:
    Base = admin.ModelAdmin[ApiKey]
    BaseForm = forms.ModelForm[ApiKey]
else:
    Base = admin.ModelAdmin
    BaseForm = forms.ModelForm

_SHOWN_ONCE = (
    "The key is <code>{}</code>. Copy it now: it is kept only as a hash and cannot be shown again."
)


class KeyForm(BaseForm):
    """A key is for every agent, or for those that are named."""

    @override
    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        every, named = self.cleaned_data.get("all_agents"), self.cleaned_data.get("agents")
        if every and named:
            self.add_error("all_agents", "It may call every agent, or those below: not both.")
        if not every and not named:
            self.add_error("agents", "Name the agents that it may call, or say every one above.")
        return cleaned


@admin.register(ApiKey)
class ApiKeyAdmin(Base):
    """Makes keys, limits them, switches them off. Their text is in no page but one."""

    form = KeyForm
    list_display = ("name", "prefix", "active", "reach", "configures", "last_used_at", "expires_at")
    list_filter = ("active",)
    search_fields = ("name", "prefix")
    filter_horizontal = ("agents",)
    readonly_fields = ("prefix", "created_at", "last_used_at")
    fields = (
        "name",
        "active",
        "expires_at",
        "all_agents",
        "agents",
        "configures",
        ("prefix", "created_at", "last_used_at"),
    )

    @override
    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("agents")

    @override
    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        text = "" if change else key_fill(obj)
        super().save_model(request, obj, form, change)
        if text:
            messages.warning(request, format_html(_SHOWN_ONCE, text))

    @admin.display(description="Agents")
    def reach(self, key: ApiKey) -> str:
        if key.all_agents:
            return "every one"
        return ", ".join(agent.slug for agent in key.agents.all()) or "none is left"
