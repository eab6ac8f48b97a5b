"""API keys in the admin: a new one is shown once, after it was saved."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest
from django.utils.html import format_html
from typing_extensions import override

from calls.models import ApiKey
from calls.models.keys import SCOPES, default_scopes
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


WHAT_FOR = {
    "calls": "calls: programs call by OpenAI Realtime's protocol",
    "tokens": "tokens: the site's server lets its visitors call",
    "agents": "agents: see which there are",
    "read": "read: conversations, and what was used today",
    "recordings": "recordings: listen",
    "erase": "erase: have callers forgotten",
    "webhooks": "webhooks: say what is told where",
}


class KeyForm(BaseForm):
    """A key is for every agent, or for those that are named."""

    scopes = forms.MultipleChoiceField(
        label="Good for",
        choices=[(scope, WHAT_FOR[scope]) for scope in SCOPES],
        widget=forms.CheckboxSelectMultiple,
        initial=default_scopes,
    )

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
    list_display = (
        "name", "prefix", "active", "site", "good_for", "reach", "configures", "last_used_at",
        "expires_at",
    )  # fmt: skip
    list_filter = ("active", "site")
    list_select_related = ("site",)
    search_fields = ("name", "prefix")
    filter_horizontal = ("agents",)
    readonly_fields = ("prefix", "created_at", "last_used_at")
    fields = (
        "name",
        "active",
        "expires_at",
        "site",
        "scopes",
        "all_agents",
        "agents",
        "configures",
        ("prefix", "created_at", "last_used_at"),
    )

    class Media:
        css = {"all": ["calls/admin/site.css"]}  # noqa: RUF012 - Django's own form

    @override
    def get_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        """A key that is not there yet has no past."""
        return self.fields if obj else self.fields[:-1]

    @override
    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("agents")

    @override
    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        text = "" if change else key_fill(obj)
        super().save_model(request, obj, form, change)
        if text:
            messages.warning(request, format_html(_SHOWN_ONCE, text))

    @admin.display(description="Good for")
    def good_for(self, key: ApiKey) -> str:
        return ", ".join(key.scopes)

    @admin.display(description="Agents")
    def reach(self, key: ApiKey) -> str:
        if key.all_agents:
            return "every one"
        return ", ".join(agent.slug for agent in key.agents.all()) or "none is left"
