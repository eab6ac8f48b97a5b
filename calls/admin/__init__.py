"""The app in Django's admin."""

from calls.admin.agents import AgentAdmin
from calls.admin.conversations import ConversationAdmin

__all__ = ["AgentAdmin", "ConversationAdmin"]
