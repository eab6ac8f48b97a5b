"""What a call leaves behind: the conversation, its items and its turns."""

from collections.abc import Callable, Iterator
from typing import Any, Self, TypeAlias

from django.conf import settings
from django.db import connection, models
from django.db.models import Q
from django.db.models.expressions import RawSQL
from django.db.models.functions import Now
from django.utils.text import smart_split, unescape_string_literal
from typing_extensions import override

from calls.domain.errors import EndReason
from calls.domain.items import Item as DomainItem
from calls.domain.items import ItemStatus, Mark, Role, Source
from calls.domain.timings import TurnTimings
from calls.models.agents import Agent
from calls.models.fulltext import (
    ITEM_WORDS,
    SUMMARY_TEXTS,
    SUMMARY_WORDS,
    fts5_query,
    item_vector,
    summary_vector,
    terms,
    tsquery,
)
from calls.models.sites import OWN_SITE, Site
from calls.models.text import clean_text


def choices(*names: str) -> list[tuple[str, str]]:
    return [(str(name), name.replace("_", " ").capitalize()) for name in names]


class ConversationStatus(models.TextChoices):
    ACTIVE = "active", "Live"
    ENDED = "ended", "Ended"


class Heard(models.TextChoices):
    """Where the knowledge of what was heard comes from."""

    REPORTED = "reported", "Reported by the client"
    PACED = "paced", "Counted by the server, which paces the sound"
    ASSUMED = "assumed", "Assumed from what was sent"


QUOTES = ('"', "'")
MOST_WORDS = 20
"""Of one search; more are passed over."""

Found: TypeAlias = "models.QuerySet[Any, Any]"


class ConversationQuerySet(models.QuerySet["Conversation"]):
    """Conversations, and how they are found."""

    def search(self, text: str) -> Self:
        """Those in which every word of `text` was said, or stands in their heading.

        A word finds words that begin with it; words in quotes are looked for as they stand,
        together. Case counts for nothing, on SQLite accents neither. Caller and agent may hold the
        word anywhere, the call's id begins with it. What is neither letter nor digit is passed
        over; if nothing else is left, nothing is found.
        """
        words = list(_words(clean_text(text)))
        found = self if words else self.none()
        for word, exact in words[:MOST_WORDS]:
            found = found.filter(pk__in=_holding(word, exact=exact))
        return found


class Conversation(models.Model):
    """One call on the record. `call_id` is random and names the call everywhere."""

    call_id = models.CharField(max_length=64, primary_key=True)
    agent = models.ForeignKey(Agent, models.SET_NULL, null=True, related_name="conversations")
    agent_slug = models.SlugField(max_length=64)
    agent_snapshot = models.JSONField(default=dict)
    """The settings that the call began with."""
    protocol = models.CharField(max_length=32)
    status = models.CharField(
        max_length=8, choices=ConversationStatus, default=ConversationStatus.ACTIVE
    )
    end_reason = models.CharField(max_length=24, choices=choices(*EndReason), blank=True)
    started_at = models.DateTimeField("started", db_default=Now())
    ended_at = models.DateTimeField("ended", null=True)
    duration_ms = models.PositiveIntegerField("length", null=True)
    language = models.CharField(max_length=35, blank=True)
    site = models.ForeignKey(Site, models.SET_NULL, null=True, related_name="conversations")
    site_slug = models.SlugField(max_length=64, default=OWN_SITE)
    token_id = models.CharField(max_length=40, blank=True)
    """Of the token that opened it; empty: none did."""
    address_key = models.CharField(max_length=32, blank=True)
    """Stands for the caller's address in limits, and cannot be turned back into one."""
    caller = models.CharField(max_length=200, blank=True)
    """What the client or its token says of who calls; not verified by itself."""
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True)
    metadata = models.JSONField(default=dict)
    user_agent = models.CharField(max_length=300, blank=True)
    heard = models.CharField(max_length=8, choices=Heard, default=Heard.REPORTED)
    owner = models.CharField(max_length=200, blank=True)
    """The process that runs the call."""
    heartbeat_at = models.DateTimeField(db_default=Now())
    end_asked = models.CharField(max_length=24, choices=choices(*EndReason), blank=True)
    """Somebody wants it ended, for this reason; its process sees to it."""

    cap_ms = models.PositiveIntegerField(null=True)
    """The length and the cost at which it is ended; null: not by that."""
    cap_micros = models.PositiveBigIntegerField(null=True)
    cost_micros = models.PositiveBigIntegerField("cost", default=0)
    """Of its services so far, in millionths of the currency."""

    consent_text = models.TextField(blank=True)
    """What the caller was shown or told before the first word."""
    consented_at = models.DateTimeField(null=True)
    """When the client said that the caller agreed to it; null: it did not say so."""
    redacted_at = models.DateTimeField(null=True)
    text_removed_at = models.DateTimeField(null=True)
    """When retention took the words; the figures stay."""

    # Of the turns, for the list.
    turn_count = models.PositiveIntegerField("turns", default=0)
    interruption_count = models.PositiveIntegerField("interruptions", default=0)
    latency_ms = models.PositiveIntegerField("median latency", null=True)

    objects = ConversationQuerySet.as_manager()

    class Meta:
        """Newest first; live calls are found without reading the others."""

        permissions = [  # noqa: RUF012 - the stubs say list, and mean this one
            ("end_conversation", "Can end live calls"),
            ("erase_conversation", "Can erase conversations everywhere"),
            ("redact_conversation", "Can have conversations redacted"),
        ]
        ordering = ("-started_at",)
        get_latest_by = "started_at"
        indexes = (
            models.Index(fields=["-started_at"], name="conversation_started"),
            models.Index(fields=["agent_slug", "-started_at"], name="conversation_agent_started"),
            models.Index(fields=["site_slug", "-started_at"], name="conversation_site_started"),
            models.Index(
                fields=["address_key", "-started_at"],
                name="conversation_address_started",
                condition=~Q(address_key=""),
            ),
            models.Index(fields=["caller"], name="conversation_caller", condition=~Q(caller="")),
            models.Index(
                fields=["heartbeat_at"], name="conversation_live", condition=Q(status="active")
            ),
        )
        constraints = (
            models.CheckConstraint(
                name="conversation_ended_for_a_reason",
                condition=Q(status="active", end_reason="", ended_at=None)
                | (Q(status="ended", ended_at__isnull=False) & ~Q(end_reason="")),
            ),
        )

    @override
    def __str__(self) -> str:
        return self.call_id


class Item(models.Model):
    """One entry of a conversation; `calls.domain.items.Item` says what its fields mean."""

    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="items")
    item_id = models.PositiveIntegerField()
    revision = models.PositiveIntegerField(default=0)
    turn = models.PositiveIntegerField()
    role = models.CharField(max_length=8, choices=choices(*Role))
    status = models.CharField(max_length=16, choices=choices(*ItemStatus))
    source = models.CharField(max_length=8, choices=choices(*Source))
    text = models.TextField(blank=True)
    unheard = models.TextField(blank=True)
    started_ms = models.PositiveIntegerField(default=0)
    ended_ms = models.PositiveIntegerField(null=True)
    response_id = models.PositiveIntegerField(null=True)
    marks = models.JSONField(default=list)
    """Pairs: characters of `text` and `unheard` together, milliseconds of the response's sound."""
    tool_call_id = models.CharField(max_length=100, blank=True)
    tool_name = models.CharField(max_length=100, blank=True)
    arguments = models.TextField(blank=True)
    metadata = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        """In the order of the conversation."""

        ordering = ("conversation", "item_id")
        constraints = (
            models.UniqueConstraint(fields=["conversation", "item_id"], name="item_once"),
        )

    @override
    def __str__(self) -> str:
        return f"{self.conversation_id} {self.item_id}"

    def domain(self) -> DomainItem:
        return DomainItem(
            item_id=self.item_id,
            role=Role(self.role),
            text=self.text,
            turn=self.turn,
            status=ItemStatus(self.status),
            source=Source(self.source),
            unheard=self.unheard,
            started_ms=self.started_ms,
            ended_ms=self.ended_ms,
            response_id=self.response_id,
            marks=tuple(Mark(*mark) for mark in self.marks),
            tool_call_id=self.tool_call_id,
            tool_name=self.tool_name,
            arguments=self.arguments,
            metadata=self.metadata,
            revision=self.revision,
        )


class Turn(models.Model):
    """The timings of one turn, milliseconds since the call began; null: did not happen."""

    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="turns")
    turn = models.PositiveIntegerField()
    response_id = models.PositiveIntegerField(null=True)
    speech_started_ms = models.PositiveIntegerField(null=True)
    speech_stopped_ms = models.PositiveIntegerField(null=True)
    committed_ms = models.PositiveIntegerField(null=True)
    transcript_ms = models.PositiveIntegerField(null=True)
    first_text_ms = models.PositiveIntegerField(null=True)
    first_audio_ms = models.PositiveIntegerField(null=True)
    first_sent_ms = models.PositiveIntegerField(null=True)
    first_heard_ms = models.PositiveIntegerField(null=True)
    ended_ms = models.PositiveIntegerField(null=True)
    latency_ms = models.PositiveIntegerField(null=True)
    """The silence that the caller heard; the stages sum to it."""
    interrupted = models.BooleanField(default=False)
    heard_ms = models.PositiveIntegerField(default=0)
    spoken_ms = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True)
    stt = models.CharField(max_length=40, blank=True)
    llm = models.CharField(max_length=40, blank=True)
    tts = models.CharField(max_length=40, blank=True)

    class Meta:
        """In order; a turn that was answered more than once keeps its last answer."""

        ordering = ("conversation", "turn")
        constraints = (models.UniqueConstraint(fields=["conversation", "turn"], name="turn_once"),)

    @override
    def __str__(self) -> str:
        return f"{self.conversation_id} turn {self.turn}"

    @property
    def timings(self) -> TurnTimings:
        return TurnTimings(**{name: getattr(self, name) for name in TurnTimings.__slots__})


def _words(text: str) -> Iterator[tuple[str, bool]]:
    """The words of a search, and whether each is in quotes."""
    for word in smart_split(text):
        quoted = word.startswith(QUOTES) and word[0] == word[-1] and len(word) > 1
        plain = unescape_string_literal(word) if quoted else word
        if terms(plain):
            yield plain.strip(), quoted


def _holding(word: str, *, exact: bool) -> models.QuerySet[Any, Any]:
    """Ids of the conversations in which `word` was said, or in whose heading it stands.

    Each part is found by an index of its own; a condition over several tables would find none.
    """
    said, summed = _indexed(word, exact=exact)
    heading = Q(call_id__startswith=word) | Q(call_id__startswith=word.lower())
    whole = Conversation.objects.order_by()
    return said.union(
        summed,
        whole.filter(heading).values("pk"),
        whole.exclude(caller="").filter(caller__icontains=word).values("pk"),
        whole.filter(agent_slug__icontains=word).values("pk"),
    )


def _indexed(word: str, *, exact: bool) -> tuple[Found, Found]:
    """Ids by what was said, and by what stands in summaries, from the database's index."""
    items = Item.objects.order_by()
    summaries = items.model._meta.apps.get_model("calls", "Summary")._default_manager.order_by()
    match connection.vendor:
        case "postgresql":
            asked = tsquery(word, exact=exact)
            items = items.filter(_Holds(item_vector, "text", "unheard", asked=asked))
            columns = ("title", "summary", "key_points")
            summaries = summaries.filter(_Holds(summary_vector, *columns, asked=asked))
        case "sqlite":
            asked = fts5_query(word, exact=exact)
            items = items.filter(pk__in=_fts5(ITEM_WORDS, "rowid", asked))
            summaries = summaries.filter(pk__in=_fts5_summaries(asked))
        case _:
            items = items.filter(Q(text__icontains=word) | Q(unheard__icontains=word))
            titled = Q(title__icontains=word) | Q(summary__icontains=word)
            summaries = summaries.filter(titled | Q(key_points__icontains=word))
    return items.values("conversation_id"), summaries.values("conversation_id")


def _fts5(index: str, column: str, asked: str) -> RawSQL:
    return RawSQL(f"SELECT {column} FROM {index} WHERE {index} MATCH %s", [asked])  # noqa: S608, S611


def _fts5_summaries(asked: str) -> RawSQL:
    inner = f"SELECT rowid FROM {SUMMARY_WORDS} WHERE {SUMMARY_WORDS} MATCH %s"  # noqa: S608
    outer = f"SELECT conversation_id FROM {SUMMARY_TEXTS} WHERE id IN ({inner})"  # noqa: S608
    return RawSQL(outer, [asked])  # noqa: S611


class _Holds(models.Func):
    """PostgreSQL: whether the indexed words of a row match a query."""

    output_field = models.BooleanField()

    def __init__(self, vector: Callable[..., str], *columns: str, asked: str) -> None:
        super().__init__(*columns)
        self.vector, self.asked = vector, asked

    @override
    def as_sql(self, compiler: Any, connection: Any, **_: Any) -> tuple[str, list[str]]:  # type: ignore[override]
        columns = [compiler.compile(column)[0] for column in self.source_expressions]
        query = "to_tsquery('pg_catalog.simple'::regconfig, %s)"
        return f"{self.vector(*columns)} @@ {query}", [self.asked]
