"""The tables of the app."""

from calls.models.agents import Agent, ConsentMode, FirstMessage
from calls.models.conversations import Conversation, ConversationStatus, Heard, Item, Turn
from calls.models.keys import ApiKey, RealtimeSecret
from calls.models.prices import Price
from calls.models.privacy import AuditAction, AuditEntry, Erasure, Redaction
from calls.models.recordings import Recording, RecordingState
from calls.models.services import ServiceUse
from calls.models.sites import OWN_SITE, Site, UsedToken
from calls.models.summaries import Summary, SummaryMethod, SummaryState
from calls.models.webhooks import Webhook, WebhookDelivery, WebhookEvent, WebhookTool
from calls.models.work import WorkState

__all__ = [
    "OWN_SITE",
    "Agent",
    "ApiKey",
    "AuditAction",
    "AuditEntry",
    "ConsentMode",
    "Conversation",
    "ConversationStatus",
    "Erasure",
    "FirstMessage",
    "Heard",
    "Item",
    "Price",
    "RealtimeSecret",
    "Recording",
    "RecordingState",
    "Redaction",
    "ServiceUse",
    "Site",
    "Summary",
    "SummaryMethod",
    "SummaryState",
    "Turn",
    "UsedToken",
    "Webhook",
    "WebhookDelivery",
    "WebhookEvent",
    "WebhookTool",
    "WorkState",
]
