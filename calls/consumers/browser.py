"""Sockets of our own page."""

from typing_extensions import override

from calls.consumers.base import SocketConsumer
from calls.wire.base import Codec, Knock
from calls.wire.browser import Browser


class CallConsumer(SocketConsumer):
    """One socket of a call in browser protocol v1."""

    @override
    def codec(self, knock: Knock) -> Codec:
        return Browser()
