"""Everything that one socket's codec keeps."""

from dataclasses import dataclass, field, replace
from typing import Any

from calls.domain.policy import Policy
from calls.wire.base import Inbound
from calls.wire.realtime.answers import Answers
from calls.wire.realtime.asking import Asked, by_itself
from calls.wire.realtime.buffer import InputBuffer
from calls.wire.realtime.dialect import Dialect
from calls.wire.realtime.items import Entry, Items
from calls.wire.realtime.leading import changes_of, policy_for
from calls.wire.realtime.refusal import Refusal
from calls.wire.realtime.response import Response
from calls.wire.realtime.settings import Settings, settings_for
from calls.wire.realtime.showing import session_object
from calls.wire.realtime.speech import Speech
from calls.wire.realtime.usage import usage_of
from calls.wire.realtime.writing import Names, Out


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a client may do, and what its secret was made with.

    Attributes:
        configures: it may say what the agent is: instructions and tools, of session and answer,
            and what others than the caller said.
        settings: of the session to begin with.
        expires_at: of the session, in seconds since 1970; None: not shown.
    """

    configures: bool = True
    settings: Settings = field(default_factory=Settings)
    expires_at: int | None = None


class State:
    """Parts that know each other only here."""

    def __init__(
        self, ref: str, dialect: Dialect | None, grant: Grant, *, model: str, rate_hz: int
    ) -> None:
        self.names = Names(ref)
        self.out = Out(self.names, dialect)
        self.items = Items(self.out, self.names)
        self.buffer = InputBuffer(rate_hz)
        self.speech = Speech(self.out, self.items, self.buffer)
        self.answers = Answers(self._make, self._usage)
        self.grant = grant
        self.policy = Policy()
        self.settings = Settings()
        self._model = model
        self._early: list[Inbound] = []

    def begin(self, settings: Settings) -> None:
        """The call runs; what its client is set to already is told with its first message."""
        self.settings = settings_for(self.policy, Settings())
        self._early = self.apply(settings_for(self.policy, settings))

    def early(self) -> list[Inbound]:
        """What the call has still to be told, once."""
        early, self._early = self._early, []
        return early

    def apply(self, settings: Settings) -> list[Inbound]:
        """The session is set to this from now on; what the call is told of it."""
        before, policy = self.settings, self.policy
        if not self.grant.configures:
            settings = replace(settings, instructions="", tools=(), tool_choice="")
        self.settings, self.policy = settings, policy_for(settings, policy)
        self.buffer.use(settings.input_format)
        self.buffer.manual = settings.turns is None
        return changes_of(before, settings, policy, self.policy)

    def session(self) -> dict[str, Any]:
        return session_object(
            self.settings,
            self.out.dialect,
            session_id=self.names.session,
            model=self._model,
            expires_at=self.grant.expires_at,
        )

    def refuse(self, refusal: Refusal, event_id: str | None) -> None:
        self.error(
            "invalid_request_error",
            refusal.code,
            refusal.message,
            param=refusal.param,
            event_id=event_id,
        )

    def error(self, kind: str, code: str, message: str, **more: str | None) -> None:
        """Clients expect texts here, or nothing at all."""
        known = {key: value for key, value in more.items() if value is not None}
        self.out.put("error", error={"type": kind, "code": code, "message": message, **known})

    def _make(self, asked: Asked | None, answers: int | None) -> Response:
        asked = by_itself(self.settings) if asked is None else asked
        return Response(
            self.out, self.names, self.items, self.settings, asked=asked, answers=answers
        )

    def _usage(self, made: list[Entry]) -> dict[str, Any]:
        mine = {entry.item_id for entry in made}
        before = (entry for entry in self.items if entry.item_id not in mine)
        return usage_of(self.settings.instructions, before, self.speech.heard_ms, made)
