"""The project's addresses: the admin, and everything of the app at the root."""

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.templatetags.static import static
from django.urls import include, path


def favicon(_request: HttpRequest) -> HttpResponseBase:
    """What browsers ask for of their own accord, on pages that name no icon."""
    return redirect(static("calls/icon.svg"))


urlpatterns = [
    path(settings.ADMIN_PATH, admin.site.urls),
    path("favicon.ico", favicon),
    path("", include("calls.urls")),
]
