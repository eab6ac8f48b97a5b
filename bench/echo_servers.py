"""What our server is measured beside: two bare Channels consumers that echo, on plain Daphne.

`stock` is the documented way to write one; `lean` reads in a loop of its own, ahead of
`AsyncConsumer.dispatch`, and so does nothing that a frame of sound does not need.

    python -m bench.echo_servers stock 8001
"""

import sys
from collections.abc import Mapping
from typing import Any

import django
from channels.generic.websocket import AsyncWebsocketConsumer
from daphne.endpoints import build_endpoint_description_strings
from daphne.server import Server
from django.conf import settings


class Stock(AsyncWebsocketConsumer):
    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(text_data=text_data, bytes_data=bytes_data)


class Lean(AsyncWebsocketConsumer):
    async def __call__(self, _scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "bytes": message.get("bytes")})


def main() -> None:
    settings.configure(INSTALLED_APPS=["channels"])
    django.setup()
    kind, port = sys.argv[1], int(sys.argv[2])
    consumer = {"stock": Stock, "lean": Lean}[kind]
    endpoints = build_endpoint_description_strings(host="127.0.0.1", port=port)
    Server(
        consumer.as_asgi(),
        endpoints=endpoints,
        ready_callable=lambda: print(f"Serving on http://127.0.0.1:{port}", flush=True),
    ).run()


if __name__ == "__main__":
    main()
