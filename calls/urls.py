"""The app's pages."""

from django.urls import path, re_path

from calls import api, realtime_api, views
from calls.embedding import views as pages

app_name = "calls"

urlpatterns = [
    path("", pages.call_page, name="home"),
    path("call/<slug:slug>/", pages.call_page, name="call"),
    path("embed.js", pages.embed_script, name="embed_script"),
    path("embed/<slug:agent>/", pages.embed_page, name="embed"),
    path("embed/<slug:site>/<slug:agent>/", pages.embed_page, name="embed_of_site"),
    path("livez", views.livez, name="livez"),
    path("readyz", views.readyz, name="readyz"),
    path("metrics", views.metrics, name="metrics"),
    re_path(r"^v1/realtime/?$", realtime_api.socket_only),
    re_path(r"^v1/realtime/client_secrets/?$", realtime_api.client_secrets),
    re_path(r"^v1/realtime/sessions/?$", realtime_api.sessions),
    re_path(r"^v1/realtime/transcription_sessions/?$", realtime_api.transcription_sessions),
    re_path(r"^v1/realtime/", realtime_api.nothing),
    re_path(r"^api/realtime/session/?$", realtime_api.page_session),
    path("api/", api.urls),
]
