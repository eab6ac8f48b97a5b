"""What a call leaves behind: the conversation, its items and its turns."""

from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now
from django.utils.text import smart_split, unescape_string_literal
from typing_extensions import override

from calls.domain.errors import EndReason
from calls.domain.items import Item as DomainItem
from calls.domain.items import ItemStatus, Mark, Role, Source
from calls.domain.timings import TurnTimings
from calls.models.agents import Agent
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


class ConversationQuerySet(models.QuerySet["Conversation"]):
    """Conversations, and how they are found."""

    def search(self, text: str) -> Self:
        """Those in which every word of `text` was said, or stands in their heading.

        Words in quotes are looked for together. Matches parts of words and ignores case (SQLite:
        of ASCII letters only). All that a database does better belongs behind this method.
        """
        found = self
        for word in smart_split(clean_text(text)):
            if word.startswith(QUOTES) and word[0] == word[-1] and len(word) > 1:
                word = unescape_string_literal(word)
            found = found.filter(Q(Exists(_said(word))) | _headed(word))
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
    caller = models.CharField(max_length=200, blank=True)
    """What the client or its token says of who calls; not verified by itself."""
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True)
    metadata = models.JSONField(default=dict)
    user_agent = models.CharField(max_length=300, blank=True)
    heard = models.CharField(max_length=8, choices=Heard, default=Heard.REPORTED)
    owner = models.CharField(max_length=200, blank=True)
    """The process that runs the call."""
    heartbeat_at = models.DateTimeField(db_default=Now())

    # Of the turns, for the list.
    turn_count = models.PositiveIntegerField("turns", default=0)
    interruption_count = models.PositiveIntegerField("interruptions", default=0)
    latency_ms = models.PositiveIntegerField("median latency", null=True)

    objects = ConversationQuerySet.as_manager()

    class Meta:
        """Newest first; live calls are found without reading the others."""

        ordering = ("-started_at",)
        get_latest_by = "started_at"
        indexes = (
            models.Index(fields=["-started_at"], name="conversation_started"),
            models.Index(fields=["agent_slug", "-started_at"], name="conversation_agent_started"),
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


def _said(word: str) -> models.QuerySet["Item"]:
    """Items of the outer query's conversation that hold `word`."""
    spoken = Q(text__icontains=word) | Q(unheard__icontains=word)
    return Item.objects.filter(spoken, conversation=OuterRef("pk"))


def _headed(word: str) -> Q:
    return (
        Q(call_id__istartswith=word)
        | Q(caller__icontains=word)
        | Q(agent_slug__icontains=word)
        | Q(summary__title__icontains=word)
        | Q(summary__summary__icontains=word)
    )
