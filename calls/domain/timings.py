"""When each stage of a turn happened, and how the stages add up to the silence heard."""

from dataclasses import dataclass

STAGES = ("endpointing", "stt", "llm", "tts", "playout", "delivery")


@dataclass(frozen=True, slots=True)
class TurnTimings:
    """Stamps of one turn, milliseconds since the call began; None: did not happen.

    A turn begins with the caller's speech (or typed text, or the agent's own initiative) and
    ends when the agent's answer was heard or cut.
    """

    speech_started_ms: int | None = None
    speech_stopped_ms: int | None = None
    """End of the last speech, not the moment when silence was noticed."""
    committed_ms: int | None = None
    transcript_ms: int | None = None
    first_text_ms: int | None = None
    first_audio_ms: int | None = None
    first_sent_ms: int | None = None
    first_heard_ms: int | None = None
    """When the client began to play, by its own report."""
    ended_ms: int | None = None

    def stages(self) -> dict[str, int]:
        """Durations in milliseconds by stage, in order; they sum to `latency_ms`.

        A stage without its own stamp gets 0 and the next one carries the time.
        """
        if self.speech_stopped_ms is None:
            return {}
        durations: dict[str, int] = {}
        since = self.speech_stopped_ms
        for name, stamp in zip(STAGES, self._stamps(), strict=True):
            reached = since if stamp is None else max(since, stamp)
            durations[name] = reached - since
            since = reached
        return durations

    @property
    def latency_ms(self) -> int | None:
        """From the end of the caller's speech to the first sound of the answer.

        By the client's report where there is one, else to the first audio sent.
        """
        reached = self.first_heard_ms if self.first_heard_ms is not None else self.first_sent_ms
        if self.speech_stopped_ms is None or reached is None:
            return None
        return sum(self.stages().values())

    def _stamps(self) -> tuple[int | None, ...]:
        return (
            self.committed_ms,
            self.transcript_ms,
            self.first_text_ms,
            self.first_audio_ms,
            self.first_sent_ms,
            self.first_heard_ms,
        )


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn for the record."""

    turn: int
    timings: TurnTimings
    response_id: int | None = None
    interrupted: bool = False
    heard_ms: int = 0
    spoken_ms: int = 0
    """Length of the agent's audio that was made, heard or not."""
    error: str = ""
    stt: str = ""
    llm: str = ""
    tts: str = ""
