"""The tables of the app."""

from calls.models.agents import Agent, FirstMessage
from calls.models.conversations import Conversation, ConversationStatus, Heard, Item, Turn
from calls.models.keys import ApiKey, RealtimeSecret
from calls.models.recordings import Recording, RecordingState
from calls.models.services import ServiceUse
from calls.models.summaries import Summary, SummaryMethod, SummaryState

__all__ = [
    "Agent",
    "ApiKey",
    "Conversation",
    "ConversationStatus",
    "FirstMessage",
    "Heard",
    "Item",
    "RealtimeSecret",
    "Recording",
    "RecordingState",
    "ServiceUse",
    "Summary",
    "SummaryMethod",
    "SummaryState",
    "Turn",
]
