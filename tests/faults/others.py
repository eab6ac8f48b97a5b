"""The stages of a call that are not the one under test, and the next in line behind that one.

None of them fails. They are told apart by what they hear, say and sound like.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from calls.domain.audio import AGENT
from calls.domain.items import Role
from calls.ports.speech import Answer, Prompt, SpokenAudio, TextDelta

MS_PER_CHAR = 2
SPARE_SAMPLE, LAST_SAMPLE = 1_000, 2_000
"""What the sound of these voices is made of; a stand-in's is a tone."""


@dataclass(eq=False)
class _Hearing:
    text: str

    async def feed(self, pcm: bytes) -> None:
        pass

    async def finish(self) -> str:
        return self.text

    async def partials(self) -> AsyncIterator[str]:
        for text in ():
            yield text


@dataclass(eq=False)
class SteadyEars:
    """Understands the same every time."""

    text: str
    name: str = "spare:ears"

    @asynccontextmanager
    async def utterance(self, *, language: str, context: str = "") -> AsyncIterator[_Hearing]:
        yield _Hearing(self.text)


@dataclass(eq=False)
class SteadyMind:
    """Says what it is to say, with the caller's last words in place of `{heard}`."""

    text: str = "You said {heard}."
    name: str = "spare:mind"
    asked: list[Prompt] = field(default_factory=list)

    @asynccontextmanager
    async def answer(self, prompt: Prompt) -> AsyncIterator[AsyncIterator[Answer]]:
        self.asked.append(prompt)
        yield self._parts(prompt)

    async def _parts(self, prompt: Prompt) -> AsyncIterator[Answer]:
        said = [item.text for item in prompt.items if item.role is Role.USER]
        yield TextDelta(self.text.format(heard=said[-1] if said else ""))


@dataclass(eq=False)
class SteadyVoice:
    """Says everything on one sample value, `MS_PER_CHAR` long a character."""

    sample: int = SPARE_SAMPLE
    name: str = "spare:voice"

    @asynccontextmanager
    async def speak(
        self, text: str, *, language: str, voice: str, speed: float
    ) -> AsyncIterator[AsyncIterator[SpokenAudio]]:
        yield self._sound(text)

    async def _sound(self, text: str) -> AsyncIterator[SpokenAudio]:
        sample = self.sample.to_bytes(2, "little")
        yield SpokenAudio(sample * AGENT.samples(MS_PER_CHAR * len(text)))


def voice_of(pcm: bytes) -> str:
    """Whose sound this is."""
    samples = set(memoryview(pcm).cast("h"))
    known = {SPARE_SAMPLE: "spare", LAST_SAMPLE: "last"}
    return known.get(samples.pop(), "first") if len(samples) == 1 else "first"
