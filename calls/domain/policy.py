"""How an agent behaves in a call."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How an agent behaves in a call. Times in milliseconds; a limit of 0 means none.

    `first_message` None with `generate_first` False: the caller speaks first. With both, the first
    message is said, and then comes what the model finds to say.
    """

    greets: bool = True
    """The agent may speak first; False: its greeting waits until it is asked for."""
    answers: bool = True
    """A turn of the caller is answered; False: an answer has to be asked for."""
    first_message: str | None = None
    generate_first: bool = False
    endpoint_silence_ms: int = 600
    max_turn_ms: int = 30_000
    interruptible: bool = True
    idle_ms: int = 15_000
    idle_prompts: int = 2
    idle_text: str = "Are you still there?"
    max_call_ms: int = 900_000
    max_length_text: str = "We have reached the longest time for a call. Goodbye."
    resume_ms: int = 30_000
    apology_text: str = "I am sorry, something went wrong on my side. Please say that again."
    not_understood_text: str = "Sorry, I did not catch that."
    max_tool_rounds: int = 5
    max_failures: int = 3
    stt_wait_ms: int = 12_000
    response_wait_ms: int = 20_000
