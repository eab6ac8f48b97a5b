"""Sockets of Twilio Media Streams."""

import base64
import hashlib
import hmac

from typing_extensions import override

from calls.conf import calls_settings
from calls.consumers.base import SocketConsumer
from calls.consumers.visiting import visit_of
from calls.domain.errors import ErrorCode
from calls.store.visits import Visit
from calls.wire.base import Codec, Hello, Knock, WireError
from calls.wire.twilio import Twilio

_PORT = ":443"


class TwilioConsumer(SocketConsumer):
    """One stream of a call by telephone, signed where the settings have the token."""

    @override
    def codec(self, knock: Knock) -> Codec:
        token = calls_settings().twilio_auth_token
        if token and not self._signed(token, knock):
            raise WireError(ErrorCode.UNAUTHORIZED, "The signature is not Twilio's.", 4401)
        return Twilio()

    @override
    async def visit(self, hello: Hello) -> Visit:
        return await visit_of(self.scope, hello, trusted=bool(calls_settings().twilio_auth_token))

    def _signed(self, token: str, knock: Knock) -> bool:
        """Whether Twilio asked for this address, which it always does by `wss`."""
        host = knock.headers.get("host", "").removesuffix(_PORT)
        rest = self._requested()
        signature = knock.headers.get("x-twilio-signature", "")
        # The standard port may stand in the address or not; proxies leave no trace of it.
        return any(
            _equal(signature, signature_of(token, f"wss://{host}{port}{rest}"))
            for port in ("", _PORT)
        )

    def _requested(self) -> str:
        path: str = self.scope["path"]
        query: str = self.scope.get("query_string", b"").decode("latin1")
        return f"{path}?{query}" if query else path


def signature_of(token: str, address: str) -> str:
    """What Twilio signs a request to this address with: HMAC-SHA1 in base64."""
    digest = hmac.new(token.encode(), address.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode("ascii")


def _equal(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())
