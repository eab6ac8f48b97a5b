"""Which calls somebody means who names a caller or calls."""

from collections.abc import Iterable

from django.db.models import Q, QuerySet

from calls.models import Conversation
from calls.models.text import clean_text


def calls_named(*, caller: str = "", call_ids: Iterable[str] = ()) -> QuerySet[Conversation]:
    """The calls of the caller and those with these ids, oldest first; of nobody: none."""
    named = Q(pk__in=[clean_text(each, 64) for each in call_ids])
    if caller:
        named |= Q(caller=clean_text(caller, 200))
    return Conversation.objects.filter(named).order_by("started_at")
