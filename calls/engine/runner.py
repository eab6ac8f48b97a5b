"""The shell around the machine: one call, from its first event to its last."""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, replace
from typing import Any

from calls.domain import effects as do
from calls.domain import events as ev
from calls.domain.errors import CallError, EndReason, ErrorCode
from calls.domain.machine import step
from calls.domain.state import Caller, CallState, Link, Policy
from calls.engine.lanes import Lane
from calls.engine.playout import Playout
from calls.engine.toolbox import Toolbox
from calls.ports.client import AudioEnd, AudioFrame, Client, Outgoing
from calls.ports.clock import Clock
from calls.ports.errors import ProviderError
from calls.ports.records import CallRecords, RecordingSink
from calls.ports.tools import CallInfo, Tool
from calls.ports.voice import VoiceSession

logger = logging.getLogger(__name__)

VOICE_JOBS = 1_500
"""About 45 s of speech that the voice session has not taken; then the oldest sound is dropped."""

CLIENT_JOBS = 512
"""A client that takes nothing of so many messages has gone."""

RECORD_JOBS = 2_000

FLUSH_MS = 5_000
"""How long the end of a call waits for its lanes."""

LAST_WORD_MS = 1_000
"""How long a client may take to be told that its call failed."""

GONE_CODE = 4408
END_CODE = 1000

Observer = Callable[[do.Effect], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSetup:
    """Everything a call is made of."""

    info: CallInfo
    policy: Policy
    voice: VoiceSession
    records: CallRecords
    recording: RecordingSink | None
    tools: tuple[Tool, ...]
    clock: Clock
    observers: tuple[Observer, ...] = ()
    """Told of every effect, in order, on the loop; they must neither block nor raise."""


class CallRunner:
    """Owns a call. It outlives any one socket: clients attach and detach."""

    def __init__(self, setup: CallSetup) -> None:
        self.info = setup.info
        self.setup = setup
        self.state = CallState(policy=setup.policy)
        self.dropped_audio = 0
        self._clock = setup.clock
        self._began_ms = setup.clock.now_ms()
        self._voice = setup.voice
        self._records = setup.records
        self._toolbox = Toolbox(setup.tools, setup.info)
        self._observers = setup.observers
        self._inbox: deque[ev.Event] = deque()
        self._deciding = False
        self._client: Client | None = None
        self._timers: dict[str, Callable[[], None]] = {}
        self._ended: EndReason | None = None
        self._defect: Exception | None = None
        self._began = False
        self._over = asyncio.Event()
        self._group: asyncio.TaskGroup | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.playout = Playout(
            clock=setup.clock,
            now_ms=self.now_ms,
            post=self.post,
            send=self._to_client,
            hold=self._voice.hold,
            lost=self._client_lost,
            recording=setup.recording,
        )
        self._client_lane = self._lane_for(None)
        self._leave_client: Callable[[], object] | None = None
        self._voice_lane: Lane[do.Effect] = Lane(
            self._speak_to_voice, limit=VOICE_JOBS, overflow=self._drop_audio
        )
        self._record_lane: Lane[do.Effect] = Lane(
            self._record, limit=RECORD_JOBS, overflow=lambda lane, job: lane.force(job)
        )

    # Events

    def now_ms(self) -> int:
        """Milliseconds since the call began."""
        return self._clock.now_ms() - self._began_ms

    def post(self, event: ev.Event) -> None:
        """Tell the call that something happened.

        Decided at once, unless another event is just being decided: then right after it. Never
        waits. To be called on the call's event loop.
        """
        self._inbox.append(replace(event, at_ms=self.now_ms()))
        if self._deciding or self._defect is not None:
            return
        self._deciding = True
        try:
            while self._inbox:
                self._decide(self._inbox.popleft())
        except Exception as error:  # noqa: BLE001 - whoever posted is not to blame: `run` raises it
            self._defect = error
            self._over.set()
        finally:
            self._deciding = False

    def _decide(self, event: ev.Event) -> None:
        self.state, effects = step(self.state, event)
        for effect in effects:
            for observe in self._observers:
                observe(effect)
            _PERFORM[type(effect)](self, effect)

    # Clients

    def attach(self, client: Client) -> None:
        """This client is the call's from now on; one that was there before is let go (4409).

        Raises:
            CallError: the call is over; INTERNAL or DRAINING if it never began.
        """
        if self.over:
            raise self._too_late()
        if self._client is not None:
            self._let_go(self._client, ErrorCode.TAKEN_OVER, 4409)
        self._serve(client)
        if self.state.link is Link.NEW:
            self._began = True
            self.post(ev.CallStarted())
            self.playout.release(reports=client.reports_playback)
        else:
            self.post(ev.ClientAttached())

    def detach(self, client: Client) -> None:
        """The socket of this client is gone. A client that was replaced changes nothing."""
        if self._client is client:
            self._serve(None)
            self.post(ev.ClientDetached())

    @property
    def client(self) -> Client | None:
        return self._client

    @property
    def over(self) -> bool:
        """Whether nobody can come into the call any more."""
        return self._over.is_set()

    def _too_late(self) -> CallError:
        if self._began:
            return CallError(ErrorCode.ENDED, "That call is over.")
        if self._ended is EndReason.RESTARTED:
            return CallError(ErrorCode.DRAINING, "The server is about to restart.")
        return CallError(ErrorCode.INTERNAL, "The call could not begin.")

    @property
    def listens(self) -> bool:
        """Whether an utterance of the caller is open, so that sound is wanted."""
        return self.state.caller is not Caller.SILENT

    def _serve(self, client: Client | None) -> None:
        """What waits for a client that has gone waits no longer, nor does what it does not take."""
        self._client = client
        self._client_lane = self._lane_for(client)
        if self._leave_client is not None:
            self._leave_client()
            self._leave_client = self._start(self._client_lane.drain())

    def _lane_for(self, client: Client | None) -> Lane[Outgoing]:
        async def send(message: Outgoing) -> None:
            if client is not None:
                await client.send(message)

        # Whoever comes back is shown all there is, at once.
        room = CLIENT_JOBS + 2 * len(self.state.items)
        return Lane(send, limit=room, overflow=lambda _lane, _job: self._client_lost())

    def _client_lost(self) -> None:
        """It neither takes nor tells: close its socket, keep the call for its return."""
        if (client := self._client) is not None:
            self.detach(client)
            self._let_go(client, None, GONE_CODE)

    def _let_go(self, client: Client, code: ErrorCode | None, close_code: int) -> None:
        async def close() -> None:
            if code is not None:
                await client.send(do.SendError(code, "Another window took this call over."))
            await client.close(close_code)

        if self._group is not None:
            self._start(close())

    # The life of a call

    async def run(self) -> EndReason:
        """Run until the call ends; return the reason.

        Whatever happens, the record is closed: a defect of ours ends the call with reason
        `error`, a voice session that gave up with `provider_failed`.
        """
        reason = EndReason.ERROR
        try:
            reason = await self._live()
        except* ProviderError as failures:
            reason = EndReason.PROVIDER_FAILED
            self._log_failures(failures)
            await self._tell_failure(reason)
        except* Exception:
            reason = EndReason.ERROR
            logger.exception("call failed", extra={"call_id": self.info.call_id})
            await self._tell_failure(reason)
        finally:
            await asyncio.shield(self._close(reason))
        return reason

    async def _live(self) -> EndReason:
        async with self._voice, asyncio.TaskGroup() as group:
            self._group = group
            self._leave_client = self._start(self._client_lane.drain())
            for work in (self._voice_lane.drain(), self._record_lane.drain(), self._hear()):
                self._start(work)
            try:
                await self._over.wait()
                await self._flush()
            finally:
                self._group = self._leave_client = None
                for task in self._tasks:
                    task.cancel()
        if self._defect is not None:
            raise self._defect
        return self._ended or EndReason.ERROR

    def _start(self, work: Coroutine[Any, Any, None]) -> Callable[[], object]:
        """Have the call do this beside everything else, until it is over; returns what stops it."""
        assert self._group is not None
        task = self._group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task.cancel

    async def _hear(self) -> None:
        async for event in self._voice.events():
            self.post(event)

    async def _flush(self) -> None:
        try:
            async with asyncio.timeout(FLUSH_MS / 1000):
                await self._record_lane.idle()
                await self._client_lane.idle()
        except TimeoutError:
            logger.warning("call ended unflushed", extra={"call_id": self.info.call_id})

    async def _close(self, reason: EndReason) -> None:
        self._over.set()
        for forget in self._timers.values():
            forget()
        self._timers.clear()
        self.playout.close()
        duration_ms = self.now_ms()
        try:
            if self.setup.recording is not None:
                await self.setup.recording.close(duration_ms)
        finally:
            await self._records.finish(reason, duration_ms=duration_ms)
        if (client := self._client) is not None:
            self._client = None
            await client.close(END_CODE)

    async def _tell_failure(self, reason: EndReason) -> None:
        if (client := self._client) is None:
            return
        message = "Something went wrong; the call has to end."
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORD_MS / 1000):
                await client.send(do.SendError(ErrorCode.INTERNAL, message))
                await client.send(do.EndCall(reason))

    def _log_failures(self, failures: BaseExceptionGroup[ProviderError]) -> None:
        for failure in failures.exceptions:
            if isinstance(failure, ProviderError):
                extra = {
                    "call_id": self.info.call_id,
                    "provider": failure.provider,
                    "stage": failure.stage,
                    "kind": failure.kind,
                }
                logger.warning("voice session failed", extra=extra)

    # Performing effects

    def _to_client(self, message: Outgoing) -> None:
        if self._client is not None:
            self._client_lane.put(message)

    def _clear(self, effect: do.ClearAudio) -> None:
        """What still waits for the wire is part of what must not be heard."""
        self._client_lane.remove(
            lambda m: isinstance(m, AudioFrame | AudioEnd) and m.response_id == effect.response_id
        )
        self._to_client(effect)
        self.playout.clear(effect.response_id)

    def _release(self, _effect: do.Effect) -> None:
        if self._client is not None:
            self.playout.release(reports=self._client.reports_playback)

    def _drop_audio(self, lane: Lane[do.Effect], job: do.Effect) -> None:
        """The oldest sound makes room; an order is never dropped."""
        dropped = lane.remove(lambda waiting: isinstance(waiting, do.ForwardAudio), most=1)
        if not isinstance(job, do.ForwardAudio) or dropped:
            lane.force(job)
            self.dropped_audio += dropped
        else:
            self.dropped_audio += 1

    async def _speak_to_voice(self, effect: do.Effect) -> None:
        match effect:
            case do.ForwardAudio(pcm):
                await self._voice.listen(pcm)
            case do.CommitTurn():
                await self._voice.commit()
            case do.DiscardTurn():
                await self._voice.discard()
            case do.CreateResponse(response_id, items, tools_allowed):
                await self._voice.respond(response_id, items, tools_allowed=tools_allowed)
            case do.Speak(response_id, text):
                await self._voice.say(response_id, text)
            case do.CancelResponse(response_id, heard_ms):
                await self._voice.cancel(response_id, heard_ms)
            case do.ResetVoice(system_prompt):
                await self._voice.reset(system_prompt)

    async def _record(self, effect: do.Effect) -> None:
        match effect:
            case do.StoreItem(item):
                await self._records.store_item(item)
                self.post(ev.ItemStored(item_id=item.item_id, revision=item.revision))
            case do.StoreTurn(turn):
                await self._records.store_turn(turn)

    def _run_tool(self, effect: do.RunTool) -> None:
        async def run() -> None:
            self.post(await self._toolbox.run(effect))

        if self._group is not None:
            self._start(run())

    def _start_timer(self, effect: do.StartTimer) -> None:
        self._cancel_timer(do.CancelTimer(effect.name))

        def fire() -> None:
            self._timers.pop(effect.name, None)
            self.post(ev.TimerFired(name=effect.name))

        self._timers[effect.name] = self._clock.call_at(self._began_ms + effect.due_ms, fire)

    def _cancel_timer(self, effect: do.CancelTimer) -> None:
        if (forget := self._timers.pop(effect.name, None)) is not None:
            forget()

    def _end(self, effect: do.EndCall) -> None:
        self._ended = effect.reason
        self._to_client(effect)
        self._over.set()


def _all_to(
    kinds: Iterable[type[do.Effect]], perform: Callable[[CallRunner, Any], None]
) -> dict[type[do.Effect], Callable[[CallRunner, Any], None]]:
    return dict.fromkeys(kinds, perform)


_PERFORM: dict[type[do.Effect], Callable[[CallRunner, Any], None]] = {
    **_all_to(
        (
            do.SendPhase,
            do.SendTranscript,
            do.SendResponseText,
            do.SendItem,
            do.SendTool,
            do.SendError,
            do.SendTurn,
        ),
        CallRunner._to_client,
    ),
    **_all_to(
        (
            do.ForwardAudio,
            do.CommitTurn,
            do.DiscardTurn,
            do.CreateResponse,
            do.Speak,
            do.ResetVoice,
            do.CancelResponse,
        ),
        lambda runner, effect: runner._voice_lane.put(effect),
    ),
    **_all_to((do.StoreItem, do.StoreTurn), lambda runner, effect: runner._record_lane.put(effect)),
    do.SendAudio: lambda runner, e: runner.playout.push(e.response_id, e.pcm),
    do.FinishAudio: lambda runner, e: runner.playout.finish(e.response_id),
    do.ClearAudio: CallRunner._clear,
    do.SettleHeard: lambda runner, e: runner.playout.settle(e.response_id, e.heard_ms),
    do.HoldAudio: lambda runner, _e: runner.playout.hold(),
    do.ReleaseAudio: CallRunner._release,
    do.RunTool: CallRunner._run_tool,
    do.StartTimer: CallRunner._start_timer,
    do.CancelTimer: CallRunner._cancel_timer,
    do.EndCall: CallRunner._end,
}
