"""What the server runs: HTTP to Django, WebSockets to the calls, start and end to both."""

import os

from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "voiceapp.settings")
pages = get_asgi_application()

from calls.asgi import http, lifespan, websockets  # noqa: E402 - needs the app registry

application = ProtocolTypeRouter(
    {"http": http(pages), "websocket": websockets(), "lifespan": lifespan()}
)
