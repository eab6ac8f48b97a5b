"""The conversation as the client has it, entry by entry."""

from collections import deque
from collections.abc import Mapping
from enum import Enum, auto

from calls.domain.items import Item, ItemStatus, Role
from calls.wire.micdrop.words import Frames, Words

ENTRIES_KEPT = 64
"""So many of the latest entries are known: what can still be taken back is among them."""


class _Kind(Enum):
    USER = auto()
    AGENT = auto()
    TOOL = auto()


class Answer:
    """An answer of the agent's, as far as the client has its words.

    Attributes:
        told: what the client has of it.
        said: what was made since, and the client does not have.
        whole: nothing more will be told.
        cut: it was stopped; what was heard of it is all that is left to tell.
    """

    __slots__ = ("cut", "said", "told", "whole")

    def __init__(self) -> None:
        self.told = ""
        self.said = ""
        self.whole = False
        self.cut = False


class Story:
    """What was told, and what of it the client can take back."""

    def __init__(self) -> None:
        self._answers: dict[int, Answer] = {}
        self._entries: deque[tuple[_Kind, int]] = deque(maxlen=ENTRIES_KEPT)
        self._called: set[int] = set()

    @property
    def owes(self) -> bool:
        """Whether words were made that the client will have, and has not."""
        return any(answer.said and not answer.cut for answer in self._answers.values())

    def add(self, response_id: int, text: str) -> str:
        """More words of an answer were made; all of them that the client does not have."""
        answer = self._answer(response_id)
        answer.said += text
        return answer.said

    def cut(self, response_id: int) -> bool:
        """The answer was stopped; whether all of it is the latest entry that the client has."""
        answer = self._answer(response_id)
        answer.cut = True
        latest = bool(self._entries) and self._entries[-1] == (_Kind.AGENT, response_id)
        return latest and answer.whole

    def fail(self, response_id: int) -> None:
        """Nothing comes of the answer; its record may tell more."""
        self._answer(response_id).said = ""

    def take_back(self) -> None:
        """The client has dropped its latest entry."""
        self._entries.pop()

    # What the client is told

    def round_of(self, words: Words, response_id: int) -> Frames:
        """What was made of the answer so far, before it goes on."""
        answer = self._answer(response_id)
        if answer.cut:
            return ()
        text, answer.said = answer.said, ""
        answer.told += text
        return self._say(words, response_id, text, {})

    def item(self, words: Words, item: Item) -> Frames:
        """An entry is on the record, or has changed there."""
        if item.role is Role.USER:
            return self._user(words, item)
        if item.role is Role.AGENT:
            return self._agent(words, item)
        return self._tool(words, item) if item.role is Role.TOOL and words.tool else ()

    def _user(self, words: Words, item: Item) -> Frames:
        entry = (_Kind.USER, item.item_id)
        if item.status is ItemStatus.CANCELLED:
            return words.user_cancelled() if self._retracted(words, entry) else ()
        if item.item_id in self._called:
            return ()
        self._called.add(item.item_id)
        self._entries.append(entry)
        return words.of_user(item.text, item.metadata)

    def _retracted(self, words: Words, entry: tuple[_Kind, int]) -> bool:
        """Whether the client's command would take back exactly this entry."""
        self._called.add(entry[1])
        if not words.cancel_user or entry not in self._entries:
            return False
        later = list(self._entries)[self._entries.index(entry) + 1 :]
        in_the_way = later if words.cancel_assistant else [e for e in later if e[0] is _Kind.USER]
        if in_the_way:
            return False
        self._entries.remove(entry)
        return True

    def _agent(self, words: Words, item: Item) -> Frames:
        # Entries without an answer of their own are told apart from answers by their sign.
        response_id = item.response_id or -item.item_id
        answer = self._answer(response_id)
        if item.status is ItemStatus.CANCELLED:
            answer.whole, answer.said = True, ""
        running = item.status is ItemStatus.IN_PROGRESS
        if answer.whole or (running and answer.cut):
            return ()
        whole = _all_of(answer, item, words)
        answer.whole, answer.said = True, ""
        if whole.startswith(answer.told):
            return self._say(words, response_id, whole[len(answer.told) :], item.metadata)
        return ()

    def _tool(self, words: Words, item: Item) -> Frames:
        frames: Frames = ()
        if item.item_id not in self._called:
            if item.response_id is not None:
                frames = self.round_of(words, item.response_id)
            self._called.add(item.item_id)
            self._entries.append((_Kind.TOOL, item.item_id))
            frames += words.of_tool_call(item)
        if item.status in (ItemStatus.COMPLETE, ItemStatus.FAILED):
            frames += words.of_tool_result(item)
        return frames

    def _say(
        self, words: Words, response_id: int, text: str, metadata: Mapping[str, object]
    ) -> Frames:
        if not text.strip():
            return ()
        self._entries.append((_Kind.AGENT, response_id))
        return words.of_assistant(text.strip(), metadata)

    def _answer(self, response_id: int) -> Answer:
        if response_id not in self._answers:
            self._answers[response_id] = Answer()
            while len(self._answers) > ENTRIES_KEPT:
                del self._answers[next(iter(self._answers))]
        return self._answers[response_id]


def _all_of(answer: Answer, item: Item, words: Words) -> str:
    """Of an interrupted answer, what was heard.

    Clients that have the words before the sound have not heard more than they were told.
    """
    if not answer.cut and item.status is not ItemStatus.INTERRUPTED:
        return item.text + item.unheard
    return answer.told if words.cancel_assistant else item.text
