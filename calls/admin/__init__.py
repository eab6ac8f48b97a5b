"""The app in Django's admin."""

from calls.admin.agents import AgentAdmin
from calls.admin.conversations import ConversationAdmin
from calls.admin.keys import ApiKeyAdmin
from calls.admin.prices import PriceAdmin
from calls.admin.privacy import AuditEntryAdmin, ErasureAdmin
from calls.admin.sites import SiteAdmin
from calls.admin.webhooks import WebhookAdmin, WebhookDeliveryAdmin, WebhookToolAdmin

__all__ = [
    "AgentAdmin",
    "ApiKeyAdmin",
    "AuditEntryAdmin",
    "ConversationAdmin",
    "ErasureAdmin",
    "PriceAdmin",
    "SiteAdmin",
    "WebhookAdmin",
    "WebhookDeliveryAdmin",
    "WebhookToolAdmin",
]
