"""A summary put together from sentences of the conversation itself, without a language model."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from calls.domain.items import Item, ItemStatus, Role
from calls.ports.summary import SummaryDraft

TITLE_CHARS = 70
MOST_POINTS = 5
MOST_STEPS = 3
FEWEST_WORDS = 3

_SENTENCE = re.compile(r"[^.!?。！？\n]+[.!?。！？]*")
_WORD = re.compile(r"[^\W\d_]{3,}")
_PLANS = re.compile(
    r"\b(?:will|shall|please|let us|going to|send|call back|write to|bring|remember|next step)\b",
    re.IGNORECASE,
)
_COMMON = frozenset(
    [
        *("the", "and", "you", "that", "this", "for", "with", "are", "was", "were", "have", "has"),
        *("can", "could", "would", "will", "your", "what", "when", "where", "how", "who", "from"),
        *("not", "but", "there", "they", "then", "than", "please", "yes", "hello", "thank"),
        *("thanks", "like", "just", "about", "goodbye", "okay", "said", "anything", "else"),
    ]
)
_COURTESIES = frozenset(
    [
        *("hello", "hi", "hey", "good", "morning", "afternoon", "evening", "day", "nice", "have"),
        *(
            "thank",
            "thanks",
            "you",
            "very",
            "so",
            "much",
            "for",
            "calling",
            "a",
            "and",
            "to",
            "then",
        ),
        *("yes", "no", "okay", "ok", "please", "sure", "bye", "goodbye", "welcome", "are", "all"),
    ]
)
_SPEAKERS = (Role.USER, Role.AGENT)


class ExtractiveSummarizer:
    """Says in the conversation's own words what it was about. Its frame is English."""

    name = "extractive"

    async def summarize(self, items: Sequence[Item], *, language: str) -> SummaryDraft:  # noqa: ARG002
        return summarize(items)


def summarize(items: Sequence[Item]) -> SummaryDraft:
    """The summary of these items, oldest first; the same items give the same summary."""
    spoken = [item for item in items if item.text.strip() and item.role in _SPEAKERS]
    spoken = [item for item in spoken if item.status is not ItemStatus.CANCELLED]
    done = [item for item in items if item.role is Role.TOOL]
    if not spoken and not done:
        return SummaryDraft("Nothing was said", "Nothing was said.", (), (), "nothing said", "en")
    weights = Counter(word for item in spoken for word in _telling(item.text))
    asked = _sentences(spoken, Role.USER)
    points = (*map(_done, done), *_best(asked, weights, MOST_POINTS))[:MOST_POINTS]
    return SummaryDraft(
        title=_title(asked, done),
        summary=_summary(spoken, asked, done, weights),
        key_points=points,
        next_steps=_plans(spoken),
        outcome=_outcome(spoken, done),
        language="en",
    )


def _sentences(items: Iterable[Item], role: Role) -> list[str]:
    """What that side said, sentence by sentence, none twice, greetings and the like left out."""
    found = (s.strip() for item in items if item.role is role for s in _SENTENCE.findall(item.text))
    return list(
        dict.fromkeys(s for s in found if len(s.split()) >= FEWEST_WORDS and not _courteous(s))
    )


def _courteous(sentence: str) -> bool:
    """Whether there is nothing in it but a greeting, thanks or a farewell."""
    return all(word.strip(",.!?") in _COURTESIES for word in sentence.lower().split())


def _answers(spoken: Sequence[Item]) -> list[str]:
    """What the agent told the caller: no questions, no greeting, nothing that it says all over."""
    agent = [item for item in spoken if item.role is Role.AGENT]
    told = agent[1:] if spoken and spoken[0].role is Role.AGENT else agent
    often = Counter(s for item in agent for s in set(_sentences([item], Role.AGENT)))
    return [s for s in _sentences(told, Role.AGENT) if often[s] == 1 and not s.endswith("?")]


def _telling(text: str) -> list[str]:
    return [word for word in _WORD.findall(text.lower()) if word not in _COMMON]


def _best(sentences: Sequence[str], weights: Counter[str], most: int) -> tuple[str, ...]:
    """The sentences that say most of what the conversation is about, in their own order."""

    def weight(sentence: str) -> float:
        words = _telling(sentence)
        return sum(weights[word] for word in set(words)) / (len(words) + 2)

    chosen = set(sorted(sentences, key=weight, reverse=True)[:most])
    return tuple(sentence for sentence in sentences if sentence in chosen)


def _title(asked: Sequence[str], done: Sequence[Item]) -> str:
    succeeded = [item for item in done if item.status is ItemStatus.COMPLETE]
    title = _done(succeeded[-1]) if succeeded else (*asked, "A short conversation")[0]
    title = title.rstrip(" .!?")
    if len(title) > TITLE_CHARS:
        title = title[:TITLE_CHARS].rpartition(" ")[0] + " …"
    return title[:1].upper() + title[1:]


def _summary(
    spoken: Sequence[Item], asked: Sequence[str], done: Sequence[Item], weights: Counter[str]
) -> str:
    turns = sum(item.role is Role.USER for item in spoken)
    spoke = f"The caller spoke {turns} time{'' if turns == 1 else 's'}"
    parts = [f"{spoke}: {_quoted(_best(asked, weights, 3))}." if asked else f"{spoke}."]
    if answers := _best(_answers(spoken), weights, 3):
        parts.append(f"The agent answered: {_quoted(answers)}.")
    if done:
        parts.append(f"Done on the way: {', '.join(map(_done, done))}.")
    return " ".join(parts)


def _quoted(sentences: Iterable[str]) -> str:
    return ", ".join(f"“{sentence.rstrip('.')}”" for sentence in sentences)


def _done(item: Item) -> str:
    """A tool call in words: Book appointment (Tuesday, 15:00, Anna): failed."""
    name = item.tool_name.replace("_", " ").strip().capitalize() or "Tool"
    try:
        arguments = json.loads(item.arguments or "{}")
    except ValueError:
        arguments = {}
    values = arguments.values() if isinstance(arguments, dict) else ()
    listed = ", ".join(str(value) for value in values if isinstance(value, str | int))
    ended = "" if item.status is ItemStatus.COMPLETE else f": {item.status.value}"
    return f"{name} ({listed}){ended}" if listed else f"{name}{ended}"


def _plans(spoken: Sequence[Item]) -> tuple[str, ...]:
    plans = [sentence for sentence in _answers(spoken) if _PLANS.search(sentence)]
    return tuple(plans[-MOST_STEPS:])


def _outcome(spoken: Sequence[Item], done: Sequence[Item]) -> str:
    if done:
        name = done[-1].tool_name.replace("_", " ")
        return f"{name}: {'done' if done[-1].status is ItemStatus.COMPLETE else 'not done'}"
    if not any(item.role is Role.USER for item in spoken):
        return "the caller said nothing"
    return "answered" if spoken[-1].role is Role.AGENT else "the last words were not answered"
