"""The app's pages."""

from django.urls import path

from calls import views

app_name = "calls"

urlpatterns = [
    path("", views.call_page, name="home"),
    path("call/<slug:slug>/", views.call_page, name="call"),
    path("livez", views.livez, name="livez"),
    path("readyz", views.readyz, name="readyz"),
]
