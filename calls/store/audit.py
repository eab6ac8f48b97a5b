"""Who looked at a call, heard it, took it away or had it forgotten: one row an action, ids only."""

from datetime import timedelta
from typing import Any

from django.db.models.functions import Now

from calls.models import AuditAction, AuditEntry
from calls.models.text import clean_text

LISTENING_S = 600
"""One listening is many requests, and one entry."""


def audit(
    actor: str, action: AuditAction, call_id: str, *, user: Any = None, detail: str = ""
) -> AuditEntry:
    """Put down that somebody did something with a call.

    Args:
        actor: who, in words: a user's name, an API key's, a command.
        call_id: empty: it was not about one call.
        user: the person, if it was one who is known here.
        detail: what more there is to say: ids and kinds, never what was said.
    """
    return AuditEntry.objects.create(
        actor=clean_text(actor, 150),
        action=AuditAction(action),
        call_id=clean_text(call_id, 64),
        user=user,
        detail=clean_text(detail, 200),
    )


def audit_listened(actor: str, call_id: str, *, user: Any = None, detail: str = "") -> bool:
    """Put down a listening, unless the same one has put it down in the last ten minutes."""
    lately = AuditEntry.objects.filter(
        action=AuditAction.LISTENED,
        call_id=call_id,
        actor=clean_text(actor, 150),
        at__gt=Now() - timedelta(seconds=LISTENING_S),
    )
    if lately.exists():
        return False
    audit(actor, AuditAction.LISTENED, call_id, user=user, detail=detail)
    return True
