"""The composition root: the only module that knows which provider, store and codec is in use."""

import asyncio
import secrets
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import cache, partial
from typing import Any

from calls.conf import calls_settings
from calls.domain.errors import CallError, ErrorCode
from calls.domain.events import Stage
from calls.engine.intake import Intake
from calls.engine.registry import LiveCall, Registry
from calls.engine.runner import CallRunner, CallSetup
from calls.models import Heard
from calls.ports.records import CallRecords
from calls.ports.tools import CallInfo, Tool
from calls.ports.voice import VoiceSession
from calls.providers.code import CodeAgent, agent_class, open_agent, replaced_stages
from calls.providers.embedded.demo_tools import demo_tools
from calls.providers.embedded.notice import notice as embedded_notice
from calls.store.agents import AgentNotFoundError, AgentSettings, agent_get
from calls.store.database import in_database
from calls.store.gateway import gateway_close
from calls.store.reaper import reap_loop
from calls.store.recordings import recording_open, recordings_close
from calls.store.records import (
    Opening,
    RecordsUnavailableError,
    conversation_open,
    heartbeat,
)
from calls.store.summaries import Summarizers, summaries_loop
from calls.wire.base import Hello, Ready, WireError
from calls.wiring import networked
from calls.wiring.choosing import embedded_stages, services
from calls.wiring.sessions import cascade, realtime, speech_to_speech
from calls.wiring.shared import CLOCK, audio_files, detector, local_speech, speech

HEARTBEAT_S = 5

LONGEST_THREAD_TURN_S = 0.0005
"""How long a thread that writes records may keep the event loop waiting; Python's own 5 ms would
stand between a caller's last word and the answer."""

# What all calls of the process share


@cache
def registry() -> Registry:
    return Registry(max_calls=calls_settings().max_calls)


def accepting() -> bool:
    """Whether one more call may begin here."""
    try:
        with registry().place():
            return True
    except CallError:
        return False


async def startup() -> None:
    """Make the process ready: models loaded, engines warm, background work running.

    A server that knows no lifespan does all this at the first call.
    """
    sys.setswitchinterval(LONGEST_THREAD_TURN_S)
    await asyncio.to_thread(detector)
    await _background()


async def shutdown() -> None:
    """End the calls well, then everything that belongs to them; idempotent."""
    await registry().drain()
    await registry().close()
    await speech().close()
    await local_speech().close()
    await audio_files().close()
    await asyncio.to_thread(_close_store)
    await networked.close()


def _close_store() -> None:
    recordings_close()
    gateway_close()


async def _background() -> None:
    await registry().keep_once("speech", speech().warm)
    await registry().keep_once("providers", networked.warm)
    await registry().keep_once("heartbeats", _heartbeats)
    await registry().keep_once("summaries", partial(summaries_loop, summarizers))
    await registry().keep_once("reaper", reap_loop)


async def _heartbeats() -> None:
    while True:
        heartbeat([call.call_id for call in registry()])
        await asyncio.sleep(HEARTBEAT_S)


def notice(agent: AgentSettings) -> str:
    """What a caller must know of the embedded engines that this agent uses; empty: none."""
    own: frozenset[Stage] = frozenset()
    if agent.code_path:
        own = replaced_stages(agent_class(agent.code_path, agent.slug))
    return embedded_notice(set(embedded_stages(agent)) - own)


def summarizers(agent: Mapping[str, Any]) -> Summarizers:
    """Who summarises a conversation of an agent with these settings."""
    return networked.summarizers(agent)


# One call


def hello_for(address_agent: str, hello: Hello) -> Hello:
    """The agent is named by the address, by the message, or by the settings.

    Raises:
        WireError: address and message disagree.
    """
    if hello.agent and address_agent and hello.agent != address_agent:
        raise WireError(ErrorCode.BAD_MESSAGE, "The address names another agent.", 4400)
    agent = hello.agent or address_agent or calls_settings().default_agent
    return replace(hello, agent=agent)


async def open_call(
    hello: Hello, *, client: Mapping[str, str], tools: tuple[Tool, ...] = ()
) -> LiveCall:
    """Put a new call together and let it run; it begins when its client is attached.

    Args:
        client: `protocol` and `user_agent` of the client.
        tools: what the client's side can do for the agent, beside the agent's own.

    Raises:
        CallError: no such agent, no place, or the record cannot be opened.
    """
    with registry().place():
        await _background()
        call = await _assemble(hello, client, tools)
        await registry().start(call)
        return call


async def _agent(slug: str) -> AgentSettings:
    try:
        return await in_database(agent_get, slug)
    except AgentNotFoundError:
        raise CallError(ErrorCode.NO_SUCH_AGENT, "There is no such agent.") from None


async def _assemble(
    hello: Hello, client: Mapping[str, str], given: tuple[Tool, ...] = ()
) -> LiveCall:
    agent = _asked_of(await _agent(hello.agent), hello)
    info = CallInfo(
        call_id=secrets.token_hex(16),
        agent=agent.slug,
        language=hello.language or agent.language,
        metadata=hello.metadata,
    )
    code = await open_agent(agent.code_path, info) if agent.code_path else None
    if code is not None:
        agent = code.settings(agent)
        info = replace(info, language=hello.language or agent.language)
    own = (*_tools(agent), *given)
    tools = own if code is None else code.tools_with(own)
    # What is not set up refuses the call before there is a record of it.
    voice_made = partial(_voice, agent, info, tools, code)
    voice = voice_made()
    records = await _open_record(hello, client, agent, info)
    setup = CallSetup(
        info=info,
        policy=agent.policy,
        voice=voice,
        records=records if code is None else code.records(records),
        recording=recording_open(info.call_id) if agent.recorded else None,
        tools=tools,
        clock=CLOCK,
        another_voice=voice_made,
    )
    return _live(setup, agent, code)


def _live(setup: CallSetup, agent: AgentSettings, code: CodeAgent | None) -> LiveCall:
    runner = CallRunner(setup)
    if code is not None:
        code.connect(runner)
    intake = Intake(
        detector=None if setup.voice.profile.all_audio else detector(),
        post=runner.post,
        now_ms=runner.now_ms,
        recording=setup.recording,
    )
    beside = () if code is None else (code.run,)
    return LiveCall(runner, intake, agent.name, beside=beside, details=agent.snapshot())


def _asked_of(agent: AgentSettings, hello: Hello) -> AgentSettings:
    """The agent as this client has it."""
    if hello.system_prompt is not None:
        agent = replace(agent, system_prompt=hello.system_prompt)
    return replace(agent, policy=replace(agent.policy, greets=hello.greets))


async def _open_record(
    hello: Hello, client: Mapping[str, str], agent: AgentSettings, info: CallInfo
) -> CallRecords:
    opening = Opening(
        call_id=info.call_id,
        agent=agent,
        protocol=client["protocol"],
        language=info.language,
        metadata=info.metadata,
        user_agent=client["user_agent"],
        caller=hello.caller,
        heard=Heard(hello.pace.playback.value),
    )
    try:
        return await conversation_open(opening)
    except RecordsUnavailableError:
        raise CallError(ErrorCode.BUSY, "The call cannot be recorded just now.") from None


def _voice(
    agent: AgentSettings, info: CallInfo, tools: tuple[Tool, ...], code: CodeAgent | None
) -> VoiceSession:
    """Code that serves a stage itself needs stages: it gets a cascade."""
    own = code.replaces if code is not None else frozenset()
    if speech_to_speech(agent) and not own:
        return realtime(agent, info, tools)
    used = services(replace(agent, language=info.language), own)
    if code is not None:
        used = code.services(used)
    return cascade(agent, info, used, tools, notice(agent))


def _tools(agent: AgentSettings) -> tuple[Tool, ...]:
    known = {tool.spec.name: tool for tool in demo_tools()}
    return tuple(known[name] for name in agent.tools if name in known)


def ready(call: LiveCall, *, resumed: bool) -> Ready:
    """What the client is told; the resume secret in it is fresh."""
    setup = call.runner.setup
    profile, policy = setup.voice.profile, setup.policy
    return Ready(
        call_id=call.call_id,
        resume_secret=call.new_secret(),
        resumed=resumed,
        agent_slug=setup.info.agent,
        agent_name=call.agent_name,
        language=setup.info.language,
        notice=profile.notice,
        recording=setup.recording is not None,
        stt=profile.stt,
        llm=profile.llm,
        tts=profile.tts,
        mic_position=call.intake.position,
        push_to_talk=call.intake.push_to_talk,
        max_call_ms=policy.max_call_ms,
        resume_ms=policy.resume_ms,
    )
