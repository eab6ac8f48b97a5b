"""Sites in the admin: who may show calls, what of, and how much; and the switch that ends it."""

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_POST
from typing_extensions import override

from calls.conf import calls_settings
from calls.models import OWN_SITE, Site
from calls.origins import FILE_ORIGIN, origin_of
from calls.store.seen import used_today
from calls.store.sites import MICROS

if TYPE_CHECKING:
    Base = admin.ModelAdmin[Site]
    BaseForm = forms.ModelForm[Site]
else:
    Base = admin.ModelAdmin
    BaseForm = forms.ModelForm

MINUTE_MS = 60_000

_FIELDSETS: Any = (
    (None, {"fields": (("name", "slug"), "active", "public")}),
    ("Where, and which agents", {"fields": ("origins", "all_agents", "agents")}),
    (
        "Calls",
        {
            "description": "An empty field does not limit. Whoever is above a limit is told so, "
            "and costs nothing.",
            "fields": (
                ("max_calls", "max_calls_per_hour"),
                ("max_address_calls", "max_address_calls_per_hour"),
            ),
        },
    ),
    (
        "Time and money",
        {
            "description": "A call that goes on is ended when one of these is reached. "
            "Days are days of UTC.",
            "fields": (
                ("max_call_seconds", "max_minutes_per_day"),
                ("max_call_cost", "max_day_cost"),
            ),
        },
    ),
)


class OriginsField(forms.CharField):
    """One origin a line."""

    widget = forms.Textarea(attrs={"rows": 4, "spellcheck": "false", "wrap": "off"})

    @override
    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    @override
    def clean(self, value: Any) -> list[str]:
        """The origins, each once, in the one way they are written.

        Raises:
            ValidationError: one of them is none.
        """
        text = (super().clean(value) or "").strip()
        words = _listed(text) if text.startswith("[") else text.replace(",", " ").split()
        return list(dict.fromkeys(map(_origin, words)))

    @override
    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(self.prepare_value(initial), data)


def _listed(text: str) -> list[str]:
    try:
        return [str(entry) for entry in json.loads(text)]
    except ValueError:
        raise ValidationError("One origin a line, please.") from None


def _origin(word: str) -> str:
    origin = origin_of(word)
    if origin is None:
        raise ValidationError(
            "“%(word)s” is no origin. Write https://www.example.com, with the port if it has one, "
            "and without a path.",
            params={"word": word},
        )
    return origin


class SiteForm(BaseForm):
    """A site is told by its origins: no two have the same one."""

    origins = OriginsField(
        required=False,
        help_text="Whose pages may show the call, one a line: https://www.example.com. "
        f"{FILE_ORIGIN} stands for pages opened from a disk.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Show money without the places that nobody filled."""
        super().__init__(*args, **kwargs)
        for name in ("max_call_cost", "max_day_cost"):
            amount = self.initial.get(name)
            if isinstance(amount, Decimal):
                self.initial[name] = _shown(amount)

    def clean_origins(self) -> list[str]:
        """Those of no other site; pages from a disk may belong to several.

        Raises:
            ValidationError: another one has it already.
        """
        origins: list[str] = self.cleaned_data["origins"]
        for other in Site.objects.exclude(pk=self.instance.pk):
            taken = set(origins) & set(map(origin_of, other.origins)) - {FILE_ORIGIN}
            if taken:
                raise ValidationError(
                    "%(origin)s belongs to the site “%(site)s” already.",
                    params={"origin": min(taken), "site": other.name},
                )
        return origins


def _shown(amount: Decimal) -> str:
    cents = amount.quantize(Decimal("0.01"))
    return str(cents) if cents == amount else f"{amount.normalize():f}"


class Figure(NamedTuple):
    """What was used today of something, as it is shown; `most` None: as much as it wants."""

    name: str
    used: str
    most: str
    share: int | None
    note: str = ""


@admin.register(Site)
class SiteAdmin(Base):
    """Edits sites, shows what they used today, stops them."""

    form = SiteForm
    list_display = (
        "name",
        "takes_calls",
        "public",
        "shown_in",
        "calls_today",
        "cost_today",
    )
    list_filter = ("active", "public")
    search_fields = ("name", "slug")
    prepopulated_fields = {"slug": ("name",)}  # noqa: RUF012 - the type of the base class
    filter_horizontal = ("agents",)
    fieldsets = _FIELDSETS
    actions = ("stop", "let_go_on")
    change_form_template = "admin/calls/site/change_form.html"

    class Media:
        css = {"all": ["calls/admin/site.css"]}  # noqa: RUF012 - Django's own form

    # The page of one

    @override
    def get_urls(self) -> list[URLPattern]:
        switch = self.admin_site.admin_view(self.switch_view)
        own = path("<int:pk>/switch/", switch, name="calls_site_switch")
        return [own, *super().get_urls()]

    @override
    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        site = self.get_object(request, object_id)
        context = {} if site is None else self._about(request, site)
        return super().change_view(request, object_id, form_url, context | (extra_context or {}))

    def _about(self, request: HttpRequest, site: Site) -> dict[str, Any]:
        keys = request.user.has_perm("calls.view_apikey")
        return {
            "site": site,
            "own": site.slug == OWN_SITE,
            "figures": figures(site),
            "may_switch": self.has_change_permission(request, site),
            "keys": site.keys.all() if keys else (),
            "may_see_keys": keys,
            "may_add_keys": request.user.has_perm("calls.add_apikey"),
        }

    @method_decorator(require_POST)
    def switch_view(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """Stop the site, or let it take calls again.

        Raises:
            PermissionDenied: whoever asks may not change it.
        """
        site = get_object_or_404(Site, pk=pk)
        if not self.has_change_permission(request, site):
            raise PermissionDenied
        self._switch(request, Site.objects.filter(pk=pk), on="on" in request.POST)
        return HttpResponseRedirect(reverse("admin:calls_site_change", args=[pk]))

    @override
    def get_fieldsets(self, request: HttpRequest, obj: Site | None = None) -> Any:
        """One that is there has its switch above the form."""
        if obj is None:
            return _FIELDSETS
        (_, first), *others = _FIELDSETS
        fields = [field for field in first["fields"] if field != "active"]
        return [(None, {"fields": fields}), *others]

    @override
    def get_readonly_fields(self, request: HttpRequest, obj: Site | None = None) -> Any:
        return ("slug",) if obj is not None and obj.slug == OWN_SITE else ()

    @override
    def get_prepopulated_fields(
        self, request: HttpRequest, obj: Site | None = None
    ) -> dict[str, Any]:
        return {} if obj else super().get_prepopulated_fields(request, obj)

    # The switch

    @admin.action(description="Stop the calls of these sites", permissions=["change"])
    def stop(self, request: HttpRequest, sites: QuerySet[Site]) -> None:
        self._switch(request, sites, on=False)

    @admin.action(description="Let these sites take calls again", permissions=["change"])
    def let_go_on(self, request: HttpRequest, sites: QuerySet[Site]) -> None:
        self._switch(request, sites, on=True)

    def _switch(self, request: HttpRequest, sites: QuerySet[Site], *, on: bool) -> None:
        changed = list(sites.filter(active=not on))
        for site in changed:
            # One by one: what is saved is told to all processes, an update of many rows is not.
            site.active = on
            site.save(update_fields=["active"])
        said = "It takes calls." if on else "It takes no calls; those that go on are ended."
        for site in changed:
            self.log_change(request, site, said)
            self.message_user(
                request, f"{site.name}: {said}", messages.SUCCESS if on else messages.WARNING
            )

    # The list

    @admin.display(description="Takes calls", boolean=True, ordering="active")
    def takes_calls(self, site: Site) -> bool:
        return site.active

    @admin.display(description="Shown in pages of")
    def shown_in(self, site: Site) -> str:
        return ", ".join(site.origins) or "–"

    @admin.display(description="Calls today")
    def calls_today(self, site: Site) -> str:
        used = used_today(site.slug)
        return f"{used.calls}, {used.live} live" if used.live else str(used.calls)

    @admin.display(description="Money today")
    def cost_today(self, site: Site) -> str:
        return money(used_today(site.slug).used.micros)


def figures(site: Site) -> tuple[Figure, ...]:
    """What the site has used today, beside what it may."""
    today = used_today(site.slug)
    minutes, most = today.used.ms / MINUTE_MS, site.max_minutes_per_day
    budget = None if site.max_day_cost is None else int(site.max_day_cost * MICROS)
    return (
        Figure("Calls today", str(today.calls), "", None),
        Figure(
            "Live now",
            str(today.live),
            "" if site.max_calls is None else str(site.max_calls),
            _share(today.live, site.max_calls),
        ),
        Figure(
            "Minutes today",
            f"{minutes:.1f}",
            "" if most is None else str(most),
            _share(minutes, most),
        ),
        Figure(
            "Money today",
            money(today.used.micros),
            "" if budget is None else money(budget),
            _share(today.used.micros, budget),
        ),
    )


def money(micros: int) -> str:
    return f"{Decimal(micros) / MICROS:.2f} {calls_settings().currency}"


def _share(used: float, most: int | None) -> int | None:
    """In hundredths."""
    if most is None:
        return None
    return 100 if most == 0 else min(100, round(100 * used / most))
