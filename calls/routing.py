"""Where WebSockets go. A project adds these to its own router."""

from django.urls import path

from calls.consumers.browser import CallConsumer

_call = CallConsumer.as_asgi()

websocket_urlpatterns = [
    path("ws/call/<slug:agent>/", _call),
    path("ws/call/", _call),
]
