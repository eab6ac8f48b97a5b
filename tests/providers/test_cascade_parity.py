"""The cascade keeps the promises of a voice session."""

import pytest

from calls.domain.events import Stage
from calls.ports.errors import ProviderError, ProviderFault
from calls.ports.speech import Services, ToolCallRequested
from calls.ports.tools import ToolSpec
from calls.ports.voice import VoiceProfile
from calls.providers.cascade.session import Cascade, Manner
from tests.doubles.clock import FakeClock
from tests.doubles.speech import Partial, ScriptedModel, ScriptedRecogniser, ScriptedVoice, Stall
from tests.providers.parity import VoiceSessionPromises, settled

TOOLS = (ToolSpec("opening_hours", "When the shop is open."),)


class CascadeRig:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.stt, self.llm, self.tts = ScriptedRecogniser(), ScriptedModel(), ScriptedVoice()

    def session(self) -> Cascade:
        return Cascade(
            Services(self.stt, self.llm, self.tts),
            Manner(system_prompt="Be kind.", tools=TOOLS),
            profile=VoiceProfile(self.stt.name, self.llm.name, self.tts.name),
            clock=self.clock,
        )

    def will_hear(self, text, *, partials=()):
        self.stt.scripts.append([*map(Partial, partials), text])

    def will_not_be_asked(self, text):
        self.will_hear(text)

    def will_not_hear(self):
        self.stt.scripts.append([_failure(Stage.STT)])

    def will_answer(self, *sentences):
        self.llm.scripts.append(sentences)

    def will_ask_for_tool(self, name, arguments):
        self.llm.scripts.append([ToolCallRequested("call-1", name, arguments)])

    def will_stall(self):
        self.llm.scripts.append(["Wait. ", "More."])
        self.tts.before["Wait"] = Stall()
        self.tts.on_exit["Wait"] = Stall()

    def will_fail(self, stage):
        if stage is Stage.LLM:
            self.llm.scripts.append([_failure(stage)])
        else:
            self.llm.scripts.append(["This is mute."])
            self.tts.before["mute"] = _failure(stage)

    def heard_sounds(self, *sounds):
        return [heard.pcm for heard in self.stt.utterances[-len(sounds) :]] == list(sounds)

    def prompts(self):
        prompts = [asked.prompt for asked in self.llm.asked]
        said = [[(item.role.value, item.text) for item in prompt.items] for prompt in prompts]
        return [(p.system_prompt, s, bool(p.tools)) for p, s in zip(prompts, said, strict=True)]

    def offered(self):
        return [sorted(tool.name for tool in asked.prompt.tools) for asked in self.llm.asked]

    async def settled(self):
        await settled()

    async def time_passes(self, ms):
        await self.clock.advance(ms)


def _failure(stage):
    return ProviderError(ProviderFault.UNAVAILABLE, "Not today.", provider="x", stage=stage)


class TestCascade(VoiceSessionPromises):
    @pytest.fixture
    def rig(self):
        return CascadeRig()
