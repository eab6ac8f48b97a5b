"""A whole call of an agent in code: the real cascade and runner, time in the test's hands."""

import asyncio
import time
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from calls.agents import LiveCall, VoiceAgent
from calls.agents.calling import call as call_function
from calls.domain import events as ev
from calls.domain.policy import Policy
from calls.engine.runner import CallRunner, CallSetup
from calls.ports.speech import Services
from calls.ports.tools import CallInfo
from calls.ports.voice import VoiceProfile
from calls.providers.cascade.session import Cascade, Deadlines, Manner
from calls.providers.code.session import CodeAgent
from tests.doubles.client import RecordingClient
from tests.doubles.clock import FakeClock
from tests.doubles.records import MemoryRecords
from tests.doubles.speech import ScriptedModel, ScriptedRecogniser, ScriptedVoice

PATIENCE_S = 10
STEP_MS = 100

NEVER_MS = 10_000_000
"""Threads have a clock of their own, so that no deadline on the test's clock is fair to them."""


class CodeCall:
    """A call in progress."""

    def __init__(self, agent: VoiceAgent, info: CallInfo, policy: Policy) -> None:
        agent.call = LiveCall(info, asyncio.get_running_loop())
        self.agent = agent
        self.clock = FakeClock()
        self.records = MemoryRecords()
        self.stt, self.llm, self.tts = ScriptedRecogniser(), ScriptedModel(), ScriptedVoice()
        self.info = info
        self._row = _Row(policy)

    async def begin(self, group: asyncio.TaskGroup) -> None:
        code = CodeAgent(self.agent)
        row = code.settings(self._row)
        voice = Cascade(
            code.services(Services(self.stt, self.llm, self.tts)),
            Manner(system_prompt=row.system_prompt, tools=tuple(t.spec for t in code.tools)),
            profile=VoiceProfile("", "", ""),
            clock=self.clock,
            deadlines=Deadlines(stt_ms=NEVER_MS, llm_ms=NEVER_MS, tts_ms=NEVER_MS),
        )
        self.runner = CallRunner(
            CallSetup(
                info=self.info,
                policy=row.policy,
                voice=voice,
                records=code.records(self.records),
                recording=None,
                tools=code.tools,
                clock=self.clock,
            )
        )
        code.connect(self.runner)
        self.client = RecordingClient(self.clock, self.runner, reports_playback=False)
        self.running = group.create_task(self.runner.run())
        self.telling = group.create_task(code.run())
        await self.clock.settle()
        self.runner.attach(self.client)

    async def until(self, condition: Callable[[], object]) -> None:
        """Let time pass, and threads work, until this is so."""
        give_up_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < give_up_s, self.said()
            await self.clock.advance(STEP_MS)
            await asyncio.sleep(0.001)

    async def caller_types(self, text: str) -> None:
        """Type, and wait until the agent has nothing more to do."""
        before = len(self.runner.state.items)
        self.runner.post(ev.TextTyped(text=text))
        await self.until(lambda: len(self.runner.state.items) > before and self.listening)

    async def caller_says(self, sound: bytes) -> None:
        self.runner.post(ev.SpeechStarted())
        self.runner.post(ev.MicAudio(pcm=sound))
        self.runner.post(ev.SpeechStopped(last_speech_ms=self.runner.now_ms()))
        turn = self.runner.state.turn
        await self.until(lambda: self.runner.state.turn > turn and self.listening)

    @property
    def listening(self) -> bool:
        """The agent is done: nothing is under way, or the call is over."""
        state = self.runner.state
        idle = state.response is None and not state.awaiting and not state.tool_items
        return self.running.done() or (idle and not state.unstored)

    def said(self) -> list[tuple[str, str]]:
        """Role and text of everything on the record."""
        items = sorted(self.records.items.values(), key=lambda item: item.item_id)
        return [(str(item.role), item.text) for item in items]


@dataclass(frozen=True)
class _Row:
    """What an agent's row says."""

    policy: Policy
    system_prompt: str = ""
    language: str = "en"
    voice: str = ""
    tts_disabled: bool = False


@asynccontextmanager
async def code_call(agent: VoiceAgent, info: CallInfo, policy: Policy | None = None):
    """Begin a call; at the end hang up and wait until everything is told."""
    patient = Policy(
        idle_ms=0, max_call_ms=0, stt_wait_ms=NEVER_MS, response_wait_ms=NEVER_MS, max_failures=9
    )
    call = CodeCall(agent, info, policy or patient)
    await call_function(agent.prepare)
    async with asyncio.TaskGroup() as group:
        await call.begin(group)
        yield call
        call.runner.post(ev.HungUp())
        await call.until(lambda: call.running.done() and call.telling.done())


def code_blocks(page: Path) -> dict[str, str]:
    """The Python blocks of a page, by the comment before them."""
    blocks = {}
    for part in page.read_text().split("<!-- ")[1:]:
        name, _, rest = part.partition(" -->\n```python\n")
        if rest:
            blocks[name] = rest.partition("```")[0]
    return blocks


def run_block(source: str, name: str) -> ModuleType:
    """A block as the module that it shows."""
    module = ModuleType(name)
    exec(compile(source, name, "exec"), module.__dict__)
    return module
