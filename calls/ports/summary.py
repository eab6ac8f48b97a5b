"""The summary of a finished conversation, as the store sees it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from calls.domain.items import Item


@dataclass(frozen=True, slots=True)
class SummaryDraft:
    """What a conversation came to.

    `language` is the BCP 47 tag of the summary's own words; `outcome` is one short phrase.
    """

    title: str
    summary: str
    key_points: tuple[str, ...]
    next_steps: tuple[str, ...]
    outcome: str
    language: str


class Summarizer(Protocol):
    name: str
    """Stands on the record beside the summary, and says whether a model or a rule wrote it."""

    async def summarize(self, items: Sequence[Item], *, language: str) -> SummaryDraft:
        """Sum up the items, oldest first; no items give a summary that says so.

        Args:
            language: BCP 47 tag that the summary should be in; a summarizer that cannot write it
                says in `SummaryDraft.language` what it wrote instead.

        Raises:
            ProviderError: stage LLM. `retryable` says whether it is worth trying again.
        """
        ...


class Extractor(Protocol):
    name: str

    async def extract(
        self, items: Sequence[Item], *, schema: Mapping[str, Any], language: str
    ) -> Mapping[str, Any]:
        """Pick data out of the items, oldest first; the result fits the schema.

        Args:
            schema: a JSON schema (2020-12) of type object, without references to elsewhere.
            language: BCP 47 tag for what is put into words.

        Raises:
            ProviderError: stage LLM; INVALID when the result would not fit.
        """
        ...
