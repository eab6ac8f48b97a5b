"""A server with an application that a test can steer by path. Run as a program; prints its port."""

import asyncio
import json
import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from calls.lifespan import LifespanHooks
from voiceapp.server import Limits, Server, listen

ending = asyncio.Event()


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def say_the_end() -> None:
    ending.set()


async def take_long_to_end() -> None:
    await asyncio.sleep(60)


async def refuse_to_start() -> None:
    raise RuntimeError("not today")


async def answer(scope, receive, send) -> None:
    """`/size`: the body's length; anything else: whether the end has been said."""
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    body = json.dumps({"bytes": size, "ending": ending.is_set()}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


async def echo(receive, send) -> None:
    while (message := await receive())["type"] == "websocket.receive":
        await send(
            {"type": "websocket.send", "text": message.get("text"), "bytes": message.get("bytes")}
        )


async def finish_the_turn(send) -> None:
    """A call that says something more when the server ends, and closes with its own code."""
    await ending.wait()
    await send({"type": "websocket.send", "text": "one more word"})
    await asyncio.sleep(0.3)
    await send({"type": "websocket.close", "code": 4512})


async def never_end() -> None:
    """A call that does not mind the end, and has something to store when it is cut off."""
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0.1)
        say("stored")


async def sockets(scope, receive, send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    match scope["path"]:
        case "/echo":
            await echo(receive, send)
        case "/turn":
            await finish_the_turn(send)
        case "/stubborn":
            await never_end()
        case "/broken":
            raise RuntimeError("a consumer broke")


async def application(scope, receive, send) -> None:
    if scope["type"] == "lifespan":
        startup = [refuse_to_start] if "no-start" in sys.argv else []
        shutdown = [say_the_end, take_long_to_end] if "slow-end" in sys.argv else [say_the_end]
        await LifespanHooks(startup=startup, shutdown=shutdown)(scope, receive, send)
    elif scope["type"] == "http":
        await answer(scope, receive, send)
    else:
        await sockets(scope, receive, send)


def main() -> None:
    logging.basicConfig(level=logging.INFO)
    listener = listen("127.0.0.1", 0)
    say(f"port {listener.getsockname()[1]}")
    server = Server(
        application,
        listener,
        limits=Limits(request_body_bytes=1_000_000, drain_ms=5_000),
        on_ready=lambda: say("ready"),
    )
    server.run()
    sys.exit(3 if server.failed else 0)


if __name__ == "__main__":
    main()
