"""The project's addresses: the admin, and everything of the app at the root."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("calls.urls")),
]
