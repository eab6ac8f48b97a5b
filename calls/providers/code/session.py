"""One call's agent in code, as whoever puts the call together sees it."""

from collections.abc import Sequence

from calls.agents import VoiceAgent
from calls.agents.live import Running
from calls.conf import calls_settings
from calls.domain.events import Stage
from calls.ports.records import CallRecords
from calls.ports.speech import Services
from calls.ports.tools import CallInfo, Tool
from calls.providers.code.ears import CodeSpeechToText
from calls.providers.code.keeping import keeping
from calls.providers.code.loading import made_for_call, tools_of
from calls.providers.code.mind import CodeLanguageModel
from calls.providers.code.mouth import CodeTextToSpeech
from calls.providers.code.overriding import Fields, replaced_stages, settings_with
from calls.providers.code.telling import AgentRecords, Teller


async def open_agent(path: str, info: CallInfo) -> "CodeAgent":
    """The agent for a call: its class found, made and prepared.

    Args:
        path: dotted path of the class.
        info: the call; its language counts as long as the agent does not say its own.

    Raises:
        CallError: the agent's code failed or is at its limit.
    """
    return CodeAgent(await made_for_call(path, info))


class CodeAgent:
    """Makes an agent's code part of a call.

    Attributes:
        agent: the user's own object.
        tools: what it can do.
        replaces: the stages that its code does itself.
    """

    def __init__(self, agent: VoiceAgent) -> None:
        self.agent = agent
        self.tools: tuple[Tool, ...] = tools_of(agent)
        self.replaces = replaced_stages(agent)
        self._teller = Teller(agent)

    def settings(self, settings: Fields) -> Fields:
        """The agent's settings, with everything that its code says for itself."""
        return settings_with(self.agent, settings)

    def services(self, fallback: Services) -> Services:
        """The code's own services where it has them. Without a voice there stays none."""
        return code_services(self.agent, fallback)

    def tools_with(self, configured: Sequence[Tool]) -> tuple[Tool, ...]:
        """The configured tools and the code's own, which count where both have a name."""
        named = {tool.spec.name: tool for tool in (*configured, *self.tools)}
        return tuple(named.values())

    def records(self, records: CallRecords) -> CallRecords:
        """The call's record, which tells the code what was said, and when it is over."""
        return AgentRecords(records, self.agent, self._teller)

    def connect(self, running: Running) -> None:
        """The call runs: from now on the code may tell it things."""
        self.agent.call.connect(running)

    async def run(self) -> None:
        """Tell the code what its record hears; ends after the code was told of the end.

        To be run beside the call. Raises nothing.
        """
        await self._teller.run()


def code_services(agent: VoiceAgent, fallback: Services) -> Services:
    """The agent's own services where it has them, else those given."""
    own = replaced_stages(agent)
    stt = CodeSpeechToText(agent) if Stage.STT in own else fallback.stt
    tts = CodeTextToSpeech(agent) if Stage.TTS in own else fallback.tts
    if agent.debug_save_speech:
        stt = keeping(stt, calls_settings().debug_dir, agent.call.call_id)
    silent = agent.disable_tts or (agent.disable_tts is None and fallback.tts is None)
    return Services(
        stt=stt,
        llm=CodeLanguageModel(agent) if Stage.LLM in own else fallback.llm,
        tts=None if silent else tts,
    )
