"""What the server runs: HTTP to Django, WebSockets to the calls, start and end to both."""

import os

from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "voiceapp.settings")
http = get_asgi_application()

# What follows needs the app registry.
from calls import wiring  # noqa: E402
from voiceapp.lifespan import LifespanHooks  # noqa: E402
from voiceapp.sockets import websockets  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": http,
        "websocket": websockets(),
        "lifespan": LifespanHooks(startup=[wiring.startup], shutdown=[wiring.shutdown]),
    }
)
