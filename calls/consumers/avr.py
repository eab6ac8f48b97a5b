"""Sockets of AVR's core, and the telephone system behind it."""

import asyncio
import hmac
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from typing_extensions import override

from calls.conf import calls_settings
from calls.consumers.base import Receive, SocketConsumer
from calls.consumers.client import Send
from calls.consumers.visiting import visit_of
from calls.domain import events as ev
from calls.domain.errors import EndReason, ErrorCode
from calls.domain.state import Response
from calls.engine.registry import LiveCall
from calls.ports.tools import Tool, ToolError
from calls.providers.avr.instructions import instructions_for
from calls.providers.avr.tools import Ami, HangUp, Transfer
from calls.store.visits import Visit
from calls.wire.avr.codec import Avr
from calls.wire.base import Codec, Hello, Knock, WireError

HEARD_SLACK_MS = 20
POLL_S = 0.05


class AvrConsumer(SocketConsumer):
    """One telephone call."""

    @override
    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        self._line = PhoneLine()
        self._ami: Ami | None = None
        await super().__call__(scope, receive, send)
        await self._hang_up()

    async def _hang_up(self) -> None:
        """Where the agent ended the call, the line goes as well, whatever the dial plan holds."""
        if self._ami is not None and self._line.ended_by_agent:
            await self._ami.hang_up()

    @override
    def codec(self, knock: Knock) -> Codec:
        if not secret_given(knock.query):
            raise WireError(ErrorCode.UNAUTHORIZED, "The address lacks the secret.", 4401)
        return Avr(knock)

    @override
    async def admitted(self, hello: Hello) -> Hello:
        """With the call's own instructions, where the settings say who knows them."""
        url, uuid = calls_settings().avr_url_instructions, _uuid(hello)
        if not url or not uuid:
            return hello
        system = await instructions_for(url, uuid)
        return hello if system is None else replace(hello, system_prompt=system)

    @override
    async def visit(self, hello: Hello) -> Visit:
        return await visit_of(self.scope, hello, trusted=bool(calls_settings().avr_secret))

    @override
    def tools(self, hello: Hello) -> tuple[Tool, ...]:
        url, uuid = calls_settings().avr_ami_url, _uuid(hello)
        hang_up = HangUp(self._line)
        if not url or not uuid:
            return (hang_up,)
        self._ami = Ami(url, uuid)
        return hang_up, Transfer(self._line, self._ami)

    @override
    async def begun(self, call: LiveCall) -> None:
        self._line.connect(call)


class PhoneLine:
    """The running call as the tools of the telephone system see it."""

    def __init__(self) -> None:
        self._call: LiveCall | None = None

    @property
    def ended_by_agent(self) -> bool:
        state = None if self._call is None else self._call.runner.state
        return state is not None and state.end_reason is EndReason.AGENT_ENDED

    def connect(self, call: LiveCall) -> None:
        self._call = call

    def end_once_heard(self) -> None:
        """The call ends when the answer that goes on has been heard.

        Raises:
            ToolError: there is none: the caller has interrupted it.
        """
        response = self._response()
        if self._call is None or response is None:
            raise ToolError("The caller has interrupted; the call goes on.")
        end = ev.Direction.END_CALL
        self._call.runner.post(ev.ResponseDirected(response_id=response.response_id, direction=end))

    async def heard(self, *, within_ms: int) -> None:
        """Wait until the caller has heard what the agent has said so far, or time is up.

        An answer that is interrupted meanwhile has been heard as far as it ever will.
        """
        first = self._response()
        try:
            async with asyncio.timeout(within_ms / 1000):
                while (now := self._response()) is not None and first is not None:
                    if now.response_id != first.response_id or _out(now):
                        return
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            return

    def _response(self) -> Response | None:
        return None if self._call is None else self._call.runner.state.response


def _out(now: Response) -> bool:
    """Made as far as the tool that waits, and played."""
    return now.produced and now.played_ms >= now.audio_ms - HEARD_SLACK_MS


def _uuid(hello: Hello) -> str:
    """What the telephone system calls it; empty: unknown."""
    return str(hello.metadata.get("uuid", ""))


def secret_given(query: Mapping[str, str]) -> bool:
    """Whether the address carries the secret that the settings ask for, if they do."""
    wanted = calls_settings().avr_secret
    given = query.get("secret", "")
    return not wanted or hmac.compare_digest(given.encode(), wanted.encode())
