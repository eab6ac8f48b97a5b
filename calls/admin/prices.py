"""Prices of services in the admin."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest
from typing_extensions import override

from calls.conf import calls_settings
from calls.models import Price

if TYPE_CHECKING:
    Base = admin.ModelAdmin[Price]
else:
    Base = admin.ModelAdmin


@admin.register(Price)
class PriceAdmin(Base):
    """What services cost. A new price is a new row: the former one stays for the days before."""

    list_display = ("provider", "which_model", "figure", "price", "valid_from")
    list_display_links = ("provider", "which_model")
    list_filter = ("provider", "figure")
    search_fields = ("provider", "model", "figure")
    date_hierarchy = "valid_from"
    fields = ("provider", "model", "figure", ("amount", "per"), "valid_from")

    @override
    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"per": 1_000_000} | super().get_changeform_initial_data(request)

    @admin.display(description="Model", ordering="model")
    def which_model(self, row: Price) -> str:
        return row.model or "any"

    @admin.display(description="Price", ordering="amount")
    def price(self, row: Price) -> str:
        return f"{row.amount.normalize():f} {calls_settings().currency} per {row.per:,}"
