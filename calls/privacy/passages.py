"""What is found in a text, and the text without it."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What somebody reads in place of it."""

    EMAIL = "email"
    PHONE = "phone"
    CARD = "card"
    IBAN = "iban"
    NUMBER = "number"
    BIRTH = "date of birth"
    ADDRESS = "address"
    NAME = "name"

    @property
    def mask(self) -> str:
        return f"[{self.value}]"


@dataclass(frozen=True, slots=True, order=True)
class Passage:
    """Characters `start` to `end`, without the last."""

    start: int
    end: int
    kind: Kind


def apart(passages: Iterable[Passage]) -> list[Passage]:
    """In order and without overlaps: of two that overlap, one over both, of the earlier's kind."""
    rank = {passage: number for number, passage in enumerate(passages)}
    kept: list[Passage] = []
    for passage in sorted(rank):
        last = kept[-1] if kept else None
        if last is None or passage.start >= last.end:
            kept.append(passage)
            continue
        kind = last.kind if rank.get(last, 0) <= rank[passage] else passage.kind
        merged = Passage(last.start, max(last.end, passage.end), kind)
        rank[merged] = min(rank.get(last, 0), rank[passage])
        kept[-1] = merged
    return kept


def masked(text: str, passages: Iterable[Passage]) -> str:
    """`text` with each passage replaced by the word for its kind."""
    pieces, at = [], 0
    for passage in passages:
        pieces += [text[at : passage.start], passage.kind.mask]
        at = passage.end
    return "".join([*pieces, text[at:]])
