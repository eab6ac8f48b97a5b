"""The app in Django's admin."""

from calls.admin.agents import AgentAdmin
from calls.admin.conversations import ConversationAdmin
from calls.admin.keys import ApiKeyAdmin

__all__ = ["AgentAdmin", "ApiKeyAdmin", "ConversationAdmin"]
