"""What a client event is refused with. No refusal closes the socket."""

INVALID_VALUE = "invalid_value"
MISSING = "missing_required_parameter"
NOT_FOUND = "item_not_found"
ACTIVE = "conversation_already_has_active_response"
NOT_ACTIVE = "response_cancel_not_active"
EMPTY = "input_audio_buffer_commit_empty"
UNSUPPORTED = "unsupported_event"
UNKNOWN = "unknown_event"
INVALID_JSON = "invalid_json"
FULL = "input_audio_buffer_full"
NOT_ALLOWED = "not_allowed"


class Refusal(Exception):  # noqa: N818 - not an error of ours
    """The client event is not done, and nothing of it is.

    Args:
        code: what clients look at.
        message: one sentence; never repeats what the client sent.
        param: the path of the field that is wrong.
    """

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param


def invalid(param: str, must: str) -> Refusal:
    return Refusal(INVALID_VALUE, f"`{param}` must be {must}.", param)


def missing(param: str) -> Refusal:
    return Refusal(MISSING, f"`{param}` is missing.", param)
