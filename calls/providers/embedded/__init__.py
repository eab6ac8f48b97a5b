"""Everything that works without a key, a download or a network."""

from calls.ports.speech import LanguageModel
from calls.ports.summary import Summarizer
from calls.ports.tools import Tool
from calls.providers.embedded.demo_tools import demo_tools
from calls.providers.embedded.script import ScriptedAgent
from calls.providers.embedded.summary import ExtractiveSummarizer


def script() -> LanguageModel:
    """The agent that answers by rules."""
    return ScriptedAgent()


def tools() -> tuple[Tool, ...]:
    """The tools of the demo agent."""
    return demo_tools()


def summarizer() -> Summarizer:
    """Sums up without a language model."""
    return ExtractiveSummarizer()
