"""The composition root: the only module that knows which provider, store and codec is in use."""

import secrets
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial

from calls.conf import calls_settings
from calls.domain.errors import CallError, EndReason, ErrorCode
from calls.domain.events import Stage
from calls.engine.intake import Intake
from calls.engine.registry import LiveCall
from calls.engine.runner import CallRunner, CallSetup
from calls.models import Heard
from calls.ports.tools import CallInfo, Tool
from calls.ports.voice import VoiceSession
from calls.providers.code import CodeAgent, agent_class, open_agent, replaced_stages
from calls.providers.embedded.demo_tools import demo_tools
from calls.providers.embedded.notice import notice as embedded_notice
from calls.store.agents import AgentNotFoundError, AgentSettings, agent_get
from calls.store.database import AWAY, in_database_soon
from calls.store.recordings import recording_open
from calls.store.records import (
    Opening,
    OrmCallRecords,
    RecordsUnavailableError,
    conversation_open,
)
from calls.store.visits import ANYBODY, Caps, Visit
from calls.store.webhooks import ToolTerms, tools_answered_elsewhere
from calls.wire.base import Hello, Ready, WireError
from calls.wiring import background, webhooks
from calls.wiring.choosing import embedded_stages, services
from calls.wiring.leading import call_policy
from calls.wiring.sessions import cascade, realtime, speech_to_speech
from calls.wiring.shared import CLOCK, detector
from calls.wiring.shared import registry as registry
from calls.wiring.watching import About, WatchedRecords

# What all calls of the process share


def accepting() -> bool:
    """Whether one more call may begin here."""
    try:
        with registry().place():
            return True
    except CallError:
        return False


def notice(agent: AgentSettings) -> str:
    """What a caller must know of the embedded engines that this agent uses; empty: none."""
    own: frozenset[Stage] = frozenset()
    if agent.code_path:
        own = replaced_stages(agent_class(agent.code_path, agent.slug))
    return embedded_notice(set(embedded_stages(agent)) - own)


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
    hello: Hello,
    *,
    client: Mapping[str, str],
    tools: tuple[Tool, ...] = (),
    visit: Visit = ANYBODY,
) -> LiveCall:
    """Put a new call together and let it run; it begins when its client is attached.

    Args:
        client: `protocol` and `user_agent` of the client.
        tools: what the client's side can do for the agent, beside the agent's own.
        visit: who calls, as far as the server knows.

    Raises:
        CallError: no such agent, no place, the visit may not call just now (as
            `calls.store.admission` says), or the record cannot be opened. Nothing was asked of a
            provider, and nothing is on the record.
    """
    with registry().place():
        await background.begin()
        call = await _assemble(hello, client, visit, tools)
        await registry().start(call)
        return call


async def _agent(slug: str) -> AgentSettings:
    try:
        return await in_database_soon(agent_get, slug)
    except AgentNotFoundError:
        raise CallError(ErrorCode.NO_SUCH_AGENT, "There is no such agent.") from None
    except AWAY:
        raise CallError(ErrorCode.BUSY, "The agent cannot be looked at just now.") from None


async def _assemble(
    hello: Hello,
    client: Mapping[str, str],
    visit: Visit = ANYBODY,
    given: tuple[Tool, ...] = (),
) -> LiveCall:
    agent = _asked_of(await _agent(hello.agent), hello)
    info = CallInfo(
        call_id=secrets.token_hex(16),
        agent=agent.slug,
        language=hello.language or agent.language,
        metadata={**hello.metadata, **visit.metadata},
    )
    code = await open_agent(agent.code_path, info) if agent.code_path else None
    if code is not None:
        agent = code.settings(agent)
        info = replace(info, language=hello.language or agent.language)
    own = (*await _tools(agent, visit.site, visit.caller or hello.caller), *given)
    tools = own if code is None else code.tools_with(own)
    # What is not set up refuses the call before there is a record of it.
    voice_made = partial(_voice, agent, info, tools, code)
    voice = voice_made()
    opened = await _open_record(hello, client, visit, agent, info)
    about = About(
        call_id=info.call_id, site=visit.site, protocol=client["protocol"], agent=agent.slug
    )
    try:
        return _put_together(
            WatchedRecords(opened, about),
            CallSetup(
                info=info,
                policy=call_policy(agent, visit, opened.caps),
                voice=voice,
                records=opened,
                recording=None,
                tools=tools,
                clock=CLOCK,
                another_voice=voice_made,
                price=opened.price,
            ),
            agent,
            code,
            opened.caps,
        )
    except Exception:
        # A call that never runs must not count as one that does.
        await opened.finish(EndReason.ERROR, duration_ms=0)
        raise


def _put_together(
    records: WatchedRecords,
    setup: CallSetup,
    agent: AgentSettings,
    code: CodeAgent | None,
    caps: Caps,
) -> LiveCall:
    """The call of a record that is open."""
    setup = replace(
        setup,
        records=records if code is None else code.records(records),
        recording=recording_open(setup.info.call_id) if agent.recorded else None,
    )
    call = _live(setup, agent, code, caps)
    records.begun(call)
    return call


def _live(setup: CallSetup, agent: AgentSettings, code: CodeAgent | None, caps: Caps) -> LiveCall:
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
    return LiveCall(
        runner,
        intake,
        agent.name,
        beside=beside,
        details=agent.snapshot(),
        cap_ms=caps.max_call_ms,
        cap_micros=caps.max_cost_micros,
    )


def _asked_of(agent: AgentSettings, hello: Hello) -> AgentSettings:
    """The agent as this client has it."""
    if hello.system_prompt is not None:
        agent = replace(agent, system_prompt=hello.system_prompt)
    return replace(agent, policy=replace(agent.policy, greets=hello.greets))


async def _open_record(
    hello: Hello, client: Mapping[str, str], visit: Visit, agent: AgentSettings, info: CallInfo
) -> OrmCallRecords:
    opening = Opening(
        call_id=info.call_id,
        agent=agent,
        protocol=client["protocol"],
        language=info.language,
        metadata=info.metadata,
        user_agent=client["user_agent"],
        caller=visit.caller or hello.caller,
        visit=visit,
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


async def _answered_elsewhere(names: Collection[str], site: str) -> tuple[ToolTerms, ...]:
    try:
        return await in_database_soon(tools_answered_elsewhere, names, site)
    except AWAY:
        raise CallError(ErrorCode.BUSY, "The tools cannot be looked at just now.") from None


async def _tools(agent: AgentSettings, site: str, caller: str) -> tuple[Tool, ...]:
    known = {tool.spec.name: tool for tool in demo_tools()}
    if elsewhere := set(agent.tools) - known.keys():
        terms = await _answered_elsewhere(elsewhere, site)
        asked = webhooks.tools(terms, site=site, caller=caller)
        known |= {tool.spec.name: tool for tool in asked}
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
        max_call_ms=call.cap_ms or 0,
        resume_ms=policy.resume_ms,
    )
