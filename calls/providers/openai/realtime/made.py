"""One answer of the model in the conversation, from its request to what became of it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from calls.domain.audio import AGENT
from calls.providers.openai.realtime.desk import Request
from calls.providers.openai.realtime.messages import Message, truncate
from calls.providers.openai.realtime.speech import NO_ID, Speech
from calls.providers.openai.realtime.utterance import Utterance

MESSAGE, CALL = "message", "function_call"


@dataclass(slots=True)
class Said:
    """A part of an answer on the other side: words, or a call of a tool.

    Attributes:
        call_id: of a tool call.
        size_bytes: of the sound that came.
        gone: it was taken away, or never will be.
    """

    item_id: str
    kind: str
    call_id: str = ""
    name: str = ""
    size_bytes: int = 0
    gone: bool = False

    @property
    def audio_ms(self) -> int:
        return AGENT.ms_of(self.size_bytes)


@dataclass(slots=True)
class Made:
    """A request for an answer.

    Attributes:
        tag: our name for it; the other side repeats it.
        response_id: `NO_ID` while it is begun ahead and nobody has asked for it.
        server_id: the other side's name; empty until it is known.
        saw: version of the history it was begun with.
        words: of the caller, for which it was begun ahead.
        retried: it was refused once because another answer went on.
        stopped: nothing more of it is wanted.
        done: nothing more of it comes.
        heard_ms: of its sound, once that is final.
    """

    tag: str
    response_id: int
    create: Message
    request: Request
    speech: Speech
    saw: int = 0
    words: Utterance | None = None
    server_id: str = ""
    parts: dict[str, Said] = field(default_factory=dict)
    stopped: bool = False
    done: bool = False
    heard_ms: int | None = None
    retried: bool = False
    forget: Callable[[], None] = field(default=lambda: None)

    @property
    def adopted(self) -> bool:
        return self.response_id != NO_ID

    @property
    def report_id(self) -> int | None:
        """The response that its report belongs to."""
        return self.response_id if self.adopted else None

    @property
    def audio_ms(self) -> int:
        return AGENT.ms_of(sum(part.size_bytes for part in self.parts.values()))


@dataclass(frozen=True, slots=True)
class Cut:
    """What is to be done about the parts of answers that were not heard."""

    truncated: tuple[Message, ...]
    deleted: tuple[str, ...]


def cut(mades: Iterable[Made], heard_ms: int) -> Cut:
    """Of these, which are one answer, so much was heard: cut the parts that were not.

    Parts that were treated before, and calls of tools, are left alone. Words without sound were
    read, unless they were stopped.
    """
    truncated: list[Message] = []
    deleted: list[str] = []
    begins_ms = 0
    for made in mades:
        for part in made.parts.values():
            heard_here_ms = max(0, heard_ms - begins_ms)
            begins_ms += part.audio_ms
            if part.kind != MESSAGE or part.gone or heard_here_ms >= part.audio_ms > 0:
                continue
            if not part.audio_ms and not made.stopped:
                continue
            if heard_here_ms:
                truncated.append(truncate(part.item_id, min(heard_here_ms, part.audio_ms)))
            else:
                deleted.append(part.item_id)
                part.gone = True
    return Cut(tuple(truncated), tuple(deleted))
