"""Agents in code (`calls.agents`) as parts of a call.

To put one into a call:

    code = await open_agent(agent.code_path, info)     # before the record is opened
    agent = code.settings(agent)                       # prompt, first message, language, voice
    services = code.services(services)
    tools = code.tools_with(tools)
    ... CallSetup(records=code.records(records), tools=tools, ...)
    code.connect(runner)
    ... run `code.run` as a task beside the call; it ends by itself
"""

from calls.providers.code.loading import agent_class
from calls.providers.code.overriding import policy_with, replaced_stages
from calls.providers.code.session import CodeAgent, code_services, open_agent

__all__ = [
    "CodeAgent",
    "agent_class",
    "code_services",
    "open_agent",
    "policy_with",
    "replaced_stages",
]
