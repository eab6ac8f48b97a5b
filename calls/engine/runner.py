"""The shell around the machine: one call, from its first event to its last."""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import replace
from typing import Any

from calls.domain import effects as do
from calls.domain import events as ev
from calls.domain.errors import CallError, EndReason, ErrorCode
from calls.domain.items import Item
from calls.domain.machine import context, step
from calls.domain.state import Caller, CallState, Link
from calls.domain.usage import ServiceUse
from calls.domain.wishes import Wishes
from calls.engine.asides import Asides, AsideSetup
from calls.engine.client_tools import CLIENT_TOOLS, ClientTools
from calls.engine.closing import Closing, Kept, keep
from calls.engine.lanes import Lane
from calls.engine.ledger import Ledger
from calls.engine.line import GONE_CODE, TAKEN_OVER_CODE, Line
from calls.engine.orders import Order, give, make_room
from calls.engine.playout import Playout
from calls.engine.setup import CallSetup as CallSetup
from calls.engine.timers import Timers
from calls.engine.toolbox import Toolbox
from calls.ports.client import Client
from calls.ports.errors import ProviderError
from calls.ports.voice import SessionChange

logger = logging.getLogger(__name__)

VOICE_JOBS = 1_500
"""About 45 s of speech that the voice session has not taken; then the oldest sound is dropped."""

RECORD_JOBS = 2_000

FLUSH_MS = 5_000
"""How long the end of a call waits for its lanes."""

UNWIND_MS = 150
"""How long a call that is cut gets to put itself away, after its client was let go."""


class CallRunner:
    """Owns a call. It outlives any one socket: clients attach and detach."""

    def __init__(self, setup: CallSetup) -> None:
        self.info = setup.info
        self.setup = setup
        self.state = CallState(policy=setup.policy, all_audio=setup.voice.profile.all_audio)
        self.dropped_audio = 0
        self._clock = setup.clock
        self._began_ms = setup.clock.now_ms()
        self._voice = setup.voice
        self._toolbox = Toolbox(setup.tools, setup.info)
        self._observers = setup.observers
        self._inbox: deque[ev.Event] = deque()
        self._deciding = False
        self._timers = Timers(setup.clock, fired=lambda name: self.post(ev.TimerFired(name=name)))
        self._line = Line(overflow=self._client_lost)
        self._ended: EndReason | None = None
        self._defect: Exception | None = None
        self._began = False
        self._over = asyncio.Event()
        self._unwound = asyncio.Event()
        self._group: asyncio.TaskGroup | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.playout = Playout(
            clock=setup.clock,
            now_ms=self.now_ms,
            post=self.post,
            send=self._line.put,
            hold=self._voice.hold,
            lost=self._client_lost,
            recording=setup.recording,
        )
        self._voice_lane: Lane[Order] = Lane(
            lambda order: give(self._voice, order), limit=VOICE_JOBS, overflow=self._drop_audio
        )
        self._record_lane: Lane[Kept] = Lane(
            self._record, limit=RECORD_JOBS, overflow=lambda lane, job: lane.force(job)
        )
        self._ledger = Ledger(self._keep_use, self._began_ms, setup.price)
        self._voice.report_to(
            lambda report, response_id: self._ledger.take(report, response_id, self.state)
        )
        self._client_tools = ClientTools(setup.clock, self.post)
        self._asides = Asides(
            AsideSetup(
                clock=setup.clock,
                open_voice=setup.another_voice,
                send=self._line.put,
                start=self._start,
                report=lambda report: self._ledger.take(report, None, self.state),
            )
        )
        self._closing = Closing(
            setup, self._ledger, self._line, stop=self._stop, left=self._record_lane.take
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
        if self._closing.begun:
            return
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

    @property
    def cost_micros(self) -> int:
        """Of all services so far, as they reported it."""
        return self._ledger.cost_micros

    # Clients

    def attach(self, client: Client) -> None:
        """This client is the call's from now on; one that was there before is let go (4409).

        Raises:
            CallError: the call is over; INTERNAL or DRAINING if it never began.
        """
        if self.over:
            raise self._too_late()
        if (former := self._line.client) is not None:
            why = do.SendError(ErrorCode.TAKEN_OVER, "Another window took this call over.")
            self._line.let_go(former, TAKEN_OVER_CODE, why)
        self._line.lead_to(client, shown=2 * len(self.state.items))
        if self.state.link is Link.NEW:
            self._began = True
            self.post(ev.CallStarted())
            self.playout.release(pace=client.pace)
        else:
            self.post(ev.ClientAttached())

    # A client that leads the conversation itself; once the call is over nothing comes of it

    def configure(self, change: SessionChange) -> None:
        """Have the voice session be different from now on; clients' tools are answered by them."""
        if self.over:
            return
        if change.tools is not None:
            change = replace(change, tools=change.tools[:CLIENT_TOOLS])
            self._client_tools.offer(tool.name for tool in change.tools or ())
        self._asides.configure(change)
        self._voice_lane.put(change)

    def expect_client_tools(self, names: Iterable[str]) -> None:
        """The client answers these itself, with `ToolFinished`: of one answer, asked for now."""
        self._client_tools.expect(names)

    def ask_aside(self, aside_id: str, items: tuple[Item, ...] | None, wishes: Wishes) -> None:
        """Have an answer made beside the conversation; the client gets `Aside` messages.

        Items None: to the conversation as it stands.
        """
        if self._group is not None and not self.over:
            self._asides.ask(aside_id, context(self.state) if items is None else items, wishes)

    def cancel_aside(self, aside_id: str | None) -> None:
        """That answer beside the conversation is not wanted any more; None: none of them."""
        self._asides.cancel(aside_id)

    def detach(self, client: Client) -> None:
        """The socket of this client is gone. A client that was replaced changes nothing."""
        if self._line.client is client:
            self._line.lead_to(None)
            self.post(ev.ClientDetached())

    @property
    def client(self) -> Client | None:
        return self._line.client

    @property
    def waiting(self) -> dict[str, int]:
        """How much waits on each lane."""
        return {
            "voice": len(self._voice_lane),
            "client": len(self._line),
            "records": len(self._record_lane),
        }

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

    def _client_lost(self) -> None:
        """It neither takes nor tells: close its socket, keep the call for its return."""
        if (client := self._line.client) is not None:
            self.detach(client)
            self._line.let_go(client, GONE_CODE)

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
            for failure in failures.exceptions:
                if isinstance(failure, ProviderError):
                    self._log_failure(failure)
            await self._line.tell_failure(reason)
        except* Exception:
            reason = EndReason.ERROR
            logger.exception("call failed", extra={"call_id": self.info.call_id})
            await self._line.tell_failure(reason)
        finally:
            self._over.set()
            reason = await asyncio.shield(self._closing.close(reason, duration_ms=self.now_ms()))
        return reason

    async def cut(self, reason: EndReason, cancel: Callable[[], object]) -> None:
        """End the call from outside, for this reason, though nothing of it answers any more.

        Its client is let go within a fraction of a second. What the call does not put away itself,
        once `cancel` has cancelled `run`, is put away here.
        """
        self._closing.decide(self._ended or reason)
        self._over.set()
        if not self._closing.begun:
            cancel()
        await self._line.cut(self._ended or reason)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(UNWIND_MS / 1000):
                await self._unwound.wait()
        await asyncio.shield(self._closing.close(reason, duration_ms=self.now_ms()))

    async def _live(self) -> EndReason:
        async with self._voice, asyncio.TaskGroup() as group:
            self._group = group
            self._line.begin(lambda work: self._start(work).cancel)
            for work in (self._voice_lane.drain(), self._record_lane.drain(), self._hear()):
                _ = self._start(work)
            try:
                await self._over.wait()
                await self._flush()
            finally:
                self._group = None
                self._line.end()
                for task in self._tasks:
                    task.cancel()
        if self._defect is not None:
            raise self._defect
        return self._ended or EndReason.ERROR

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Have the call do this beside everything else, until it is over."""
        assert self._group is not None
        task = self._group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _hear(self) -> None:
        """A session that gives up ends the call, and what was said until then is on the record."""
        try:
            async for event in self._voice.events():
                self.post(event)
        except ProviderError as failure:
            self._log_failure(failure)
            self.post(ev.VoiceFailed(stage=failure.stage, message=failure.message, fatal=True))

    async def _flush(self) -> None:
        try:
            async with asyncio.timeout(FLUSH_MS / 1000):
                await self._record_lane.idle()
                await self._line.idle()
        except TimeoutError:
            logger.warning("call ended unflushed", extra={"call_id": self.info.call_id})

    def _stop(self) -> None:
        self._unwound.set()
        self._timers.cancel_all()
        self._client_tools.close()
        self.playout.close()

    def _log_failure(self, failure: ProviderError) -> None:
        extra = {
            "call_id": self.info.call_id,
            "provider": failure.provider,
            "stage": failure.stage,
            "kind": failure.kind,
        }
        logger.warning("voice session failed", extra=extra)

    # Performing effects

    def _clear(self, effect: do.ClearAudio) -> None:
        self._line.clear(effect)
        self.playout.clear(effect.response_id)

    def _release(self, _effect: do.Effect) -> None:
        if (client := self._line.client) is not None:
            self.playout.release(pace=client.pace)

    def _drop_audio(self, lane: Lane[Order], job: Order) -> None:
        self.dropped_audio += make_room(lane, job)

    async def _record(self, entry: Kept) -> None:
        await keep(self.setup.records, entry)
        if isinstance(entry, do.StoreItem):
            self.post(ev.ItemStored(item_id=entry.item.item_id, revision=entry.item.revision))

    def _keep_use(self, use: ServiceUse) -> bool:
        """Whether the lane to the record still runs, and has taken it."""
        if self._group is None:
            return False
        self._record_lane.put(use)
        return True

    def _ask_voice(self, effect: do.CreateResponse | do.Speak) -> None:
        self._ledger.asked(effect.response_id, self.state.turn)
        if isinstance(effect, do.CreateResponse):
            wished = effect.wishes.tools or ()
            self._client_tools.expect(str(tool.get("name")) for tool in wished)
        self._voice_lane.put(effect)

    def _settle(self, effect: do.SettleHeard) -> None:
        self.playout.settle(effect.response_id, effect.heard_ms)
        self._voice_lane.put(effect)

    def _reset(self, effect: do.ResetVoice) -> None:
        self._asides.configure(SessionChange(system_prompt=effect.system_prompt))
        self._voice_lane.put(effect)

    def _tell_tool(self, effect: do.SendTool) -> None:
        if not effect.running:
            self._client_tools.answered(effect.tool_call_id)
        self._line.put(effect)

    def _run_tool(self, effect: do.RunTool) -> None:
        """A tool of the client's is run by the client, also where the agent has one so named."""

        async def run() -> None:
            self.post(await self._toolbox.run(effect))

        if self._group is not None and not self._client_tools.wait_for(effect):
            _ = self._start(run())

    def _end(self, effect: do.EndCall) -> None:
        self._ended = effect.reason
        self._line.put(effect)
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
            do.SendError,
            do.SendTurn,
            do.SendSpeech,
            do.SendResponseBegan,
            do.SendResponseMade,
        ),
        lambda runner, effect: runner._line.put(effect),
    ),
    **_all_to(
        (
            do.ForwardAudio,
            do.CommitTurn,
            do.DiscardTurn,
            do.CancelResponse,
        ),
        lambda runner, effect: runner._voice_lane.put(effect),
    ),
    **_all_to((do.StoreItem, do.StoreTurn), lambda runner, effect: runner._record_lane.put(effect)),
    do.SendAudio: lambda runner, e: runner.playout.push(e.response_id, e.pcm),
    do.FinishAudio: lambda runner, e: runner.playout.finish(e.response_id),
    do.ClearAudio: CallRunner._clear,
    do.CreateResponse: CallRunner._ask_voice,
    do.Speak: CallRunner._ask_voice,
    do.SettleHeard: CallRunner._settle,
    do.ResetVoice: CallRunner._reset,
    do.HoldAudio: lambda runner, _e: runner.playout.hold(),
    do.ReleaseAudio: CallRunner._release,
    do.SendTool: CallRunner._tell_tool,
    do.RunTool: CallRunner._run_tool,
    do.StartTimer: lambda runner, e: runner._timers.start(e.name, runner._began_ms + e.due_ms),
    do.CancelTimer: lambda runner, e: runner._timers.cancel(e.name),
    do.EndCall: CallRunner._end,
}
