"""The app's pages."""

from django.urls import path, re_path

from calls import realtime_api, views

app_name = "calls"

urlpatterns = [
    path("", views.call_page, name="home"),
    path("call/<slug:slug>/", views.call_page, name="call"),
    path("livez", views.livez, name="livez"),
    path("readyz", views.readyz, name="readyz"),
    re_path(r"^v1/realtime/?$", realtime_api.socket_only),
    re_path(r"^v1/realtime/client_secrets/?$", realtime_api.client_secrets),
    re_path(r"^v1/realtime/sessions/?$", realtime_api.sessions),
    re_path(r"^v1/realtime/transcription_sessions/?$", realtime_api.transcription_sessions),
    re_path(r"^v1/realtime/", realtime_api.nothing),
    re_path(r"^api/realtime/session/?$", realtime_api.page_session),
]
