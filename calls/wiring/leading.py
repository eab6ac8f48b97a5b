"""How a call is led: as its agent says, within its caps, and with consent asked for first."""

from dataclasses import replace

from calls.domain import timers
from calls.domain.policy import Policy
from calls.models import ConsentMode
from calls.store.agents import AgentSettings
from calls.store.visits import Caps, Visit

GOODBYE_SHARE = 6
"""The goodbye of a short call may take this part of it."""


def call_policy(agent: AgentSettings, visit: Visit, caps: Caps) -> Policy:
    """The agent's policy as it is in this call."""
    return _within(_consenting(agent, visit), caps.max_call_ms)


def _within(policy: Policy, cap_ms: int | None) -> Policy:
    """The goodbye begins so early that it is over when the call has to be."""
    if cap_ms is None:
        return replace(policy, max_call_ms=0)
    lead_ms = min(timers.FAREWELL_MS, cap_ms // GOODBYE_SHARE) if policy.max_length_text else 0
    return replace(policy, max_call_ms=max(1, cap_ms - lead_ms))


def _consenting(agent: AgentSettings, visit: Visit) -> Policy:
    """Whoever has not agreed on a page is told first, where that is wanted."""
    policy, text = agent.policy, agent.consent_text.strip()
    if agent.consent_mode != ConsentMode.SPOKEN or visit.consented or not text:
        return policy
    return replace(policy, first_message=" ".join(filter(None, (text, policy.first_message))))
