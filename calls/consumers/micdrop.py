"""Sockets of micdrop's clients."""

from dataclasses import replace

from typing_extensions import override

from calls.consumers.base import SocketConsumer
from calls.consumers.client import SocketClient
from calls.consumers.visiting import with_own_token
from calls.domain import events as ev
from calls.engine.registry import LiveCall
from calls.ports.files import FILE_MS
from calls.wire.base import Codec, Hello, Knock
from calls.wire.micdrop.codec import Micdrop


class MicdropConsumer(SocketConsumer):
    """One socket, and thereby one call: a client that comes back begins another."""

    @override
    def codec(self, knock: Knock) -> Codec:
        self._codec = Micdrop(knock)
        return self._codec

    @override
    async def admitted(self, hello: Hello) -> Hello:
        return with_own_token(hello)

    @override
    async def _call(self, client: SocketClient) -> None:
        self._client = client
        await super()._call(client)

    @override
    async def begun(self, call: LiveCall) -> None:
        """What the agent's clients are, as long as they do not show themselves."""
        self._codec.assume(str(call.details.get("micdrop_version", "")))
        self._client.pace = self._codec.pace
        policy = call.runner.setup.policy
        if self._codec.sends_files and 0 < policy.max_turn_ms < FILE_MS:
            # A turn that is cut off in the middle would have no sound yet.
            call.runner.post(ev.PolicyChanged(policy=replace(policy, max_turn_ms=FILE_MS)))
