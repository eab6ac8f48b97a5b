"""The names of a call's timers."""

ENDPOINT = "endpoint"
MAX_TURN = "max_turn"
STT_WAIT = "stt_wait"
RESPONSE_WAIT = "response_wait"
CUT = "cut"
IDLE = "idle"
MAX_CALL = "max_call"
HARD_END = "hard_end"
RESUME = "resume"
END = "end"
DIGITS = "digits"

CUT_WAIT_MS = 400
"""How long the client's exact playhead is waited for after an interruption."""

FAREWELL_MS = 12_000
"""How long the words at the longest call may take before the call ends anyway."""

END_WAIT_MS = 3_000
"""How long an ended call waits for its last words to be understood and stored."""

DIGITS_WAIT_MS = 1_500
"""How long a caller may take for the next key of a number."""
