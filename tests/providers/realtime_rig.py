"""A realtime session, and the reins of the server behind it."""

import asyncio
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

from calls.domain.audio import AGENT, CALLER
from calls.domain.events import Stage
from calls.ports.tools import ToolSpec
from calls.ports.voice import VoiceProfile
from calls.providers.openai.address import Server
from calls.providers.openai.realtime.session import RealtimeSession
from calls.providers.openai.realtime.settings import RealtimeSettings
from tests.doubles.clock import FakeClock
from tests.doubles.providers.base import serving
from tests.doubles.providers.openai_realtime import (
    CallsTool,
    Fails,
    Hear,
    OpenAIRealtimeDouble,
    Says,
    Stalls,
)

TOOLS = (ToolSpec("opening_hours", "When the shop is open."),)
SILENT_PAUSE_S = 0.03
"""Messages have to cross the loopback, and nobody says when none is under way."""


class ListeningDouble(OpenAIRealtimeDouble):
    """Remembers what the model saw when it was asked for an answer."""

    def __init__(self) -> None:
        super().__init__()
        self.saw: list[tuple[str, list[tuple[str, str]], bool]] = []
        self.offered: list[list[str]] = []
        self.choices: list[object] = []

    async def answer(self, session, params, *, beside):
        if not beside:
            config = session.config | params
            free = config["tool_choice"] != "none"
            offered = sorted(tool["name"] for tool in config["tools"] if free)
            self.saw.append((config["instructions"], conversation(session), bool(offered)))
            self.offered.append(offered)
            self.choices.append(config["tool_choice"])
        return await super().answer(session, params, beside=beside)


class RealtimeRig:
    def __init__(self, double: ListeningDouble) -> None:
        self.double = double
        self.clock = FakeClock()
        self.voice = None

    def settings(self, **changes) -> RealtimeSettings:
        given = {"model": "gpt-realtime-2.1", "system_prompt": "Be kind.", "tools": TOOLS}
        return RealtimeSettings(**{**given, **changes})

    def session(self, **changes) -> RealtimeSession:
        settings = self.settings(**changes)
        detects = settings.turn_detection != "ours"
        return RealtimeSession(
            Server(self.double.base_url, self.double.key, provider="openai"),
            settings,
            profile=VoiceProfile("openai", "openai", "openai", all_audio=detects),
            clock=self.clock,
            apology_voice=self.voice,
        )

    def will_hear(self, text, *, partials=()):
        before = ("", *partials)
        deltas = (b.removeprefix(a) for a, b in pairwise(before))
        self.double.hears.append(Hear(text, tuple(deltas)))

    def will_not_be_asked(self, text):
        """The stand-in thinks of a text only when there is a commit."""

    def will_not_hear(self):
        self.double.hears.append(Hear("", fails="server_error"))

    def will_answer(self, *sentences):
        self.double.answers.append(Says(*sentences))

    def will_ask_for_tool(self, name, arguments):
        self.double.answers.append(CallsTool(name, arguments))

    def will_stall(self):
        self.double.answers.append(Stalls())

    def will_fail(self, stage):
        if stage is Stage.LLM:
            self.double.answers.append(Fails())
        else:
            self.double.answers.append([Says("This is mute."), Fails()])

    def heard_sounds(self, *sounds):
        heard = [pcm for session in self.double.sessions for pcm in session.appended_pcm.values()]
        latest = heard[-len(sounds) :]
        return len(latest) == len(sounds) and all(map(alike, latest, sounds))

    def prompts(self):
        return self.double.saw

    def offered(self):
        return self.double.offered

    async def settled(self):
        before = -1
        while before != (before := self._traffic()):
            await self.clock.settle()
            await asyncio.sleep(SILENT_PAUSE_S)
        await self.clock.settle()

    def _traffic(self) -> int:
        """Messages so far."""
        sessions = self.double.sessions
        return len(self.double.asked) + sum(len(s.received) + len(s.sent) for s in sessions)

    async def time_passes(self, ms):
        await self.clock.advance(ms)


def alike(pcm_24k: bytes, pcm_16k: bytes) -> bool:
    """Whether one is the other at another rate: as long to within 3 ms, and as loud."""
    mean, loud = (sum(array("h", pcm)) / (len(pcm) // 2) for pcm in (pcm_24k, pcm_16k))
    return abs(AGENT.ms(pcm_24k) - CALLER.ms(pcm_16k)) <= 3 and abs(mean - loud) <= 0.5


def conversation(session) -> list[tuple[str, str]]:
    """What the other side has, as roles and texts."""
    return [_told(item) for item in session.items]


def _told(item) -> tuple[str, str]:
    if item["type"] == "function_call":
        return "call", item["name"]
    if item["type"] == "function_call_output":
        return "tool", item["output"]
    part = item["content"][0]
    role = "agent" if item["role"] == "assistant" else item["role"]
    return role, part.get("text") or part.get("transcript") or ""


@asynccontextmanager
async def realtime_rig() -> AsyncIterator[RealtimeRig]:
    """Afterwards nothing may be left of the sessions."""
    double = ListeningDouble()
    before = asyncio.all_tasks()
    async with serving(double):
        yield RealtimeRig(double)
        async with asyncio.timeout(2):
            for asked in double.asked:
                await asked.over.wait()
        assert double.busy == 0
    left = list(asyncio.all_tasks() - before - {asyncio.current_task()})
    assert left == []
