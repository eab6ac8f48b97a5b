"""Whatever JSON a server sends: the answers take it, or say what is wrong, and raise nothing."""

from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response

from calls.ports.errors import ProviderFault
from calls.providers.openai.assembling import ChatAnswer
from calls.providers.openai.response_events import HANDLED_EVENTS, ResponseAnswer

ANYTHING = st.one_of(
    st.none(),
    st.integers(-1, 2),
    st.text(max_size=3),
    st.lists(st.integers(), max_size=1),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=1),
)


def thing(**fields):
    """As a rule an object with these fields, each as it should be or not."""
    whole = st.fixed_dictionaries(
        {name: st.one_of(ANYTHING, kind) for name, kind in fields.items()}
    )
    return st.one_of(whole, whole, whole, ANYTHING)


def some(kind):
    return st.lists(kind, max_size=2)


FUNCTION = thing(name=st.just("clock"), arguments=st.just("{}"))
PARTS = some(thing(type=st.sampled_from(["text", "output_text"]), text=st.just("Hello")))
DELTA = thing(
    content=PARTS,
    refusal=st.just("No."),
    tool_calls=some(thing(index=st.just(0), id=st.just("a"), function=FUNCTION)),
    function_call=FUNCTION,
)
CHOICES = some(thing(delta=DELTA, message=DELTA, finish_reason=st.just("length")))
USAGE = thing(prompt_tokens=st.just(1), prompt_tokens_details=thing(cached_tokens=st.just(1)))
PIECES = st.lists(
    st.fixed_dictionaries({"choices": st.one_of(ANYTHING, CHOICES), "usage": USAGE}), max_size=3
)

ITEM = thing(
    type=st.sampled_from(["message", "function_call"]),
    id=st.just("fc_1"),
    call_id=st.just("a"),
    name=st.just("clock"),
    arguments=st.just("{}"),
    content=PARTS,
)
RESPONSE = thing(
    status=st.sampled_from(["completed", "incomplete", "failed"]),
    output=some(ITEM),
    incomplete_details=thing(reason=st.just("max_output_tokens")),
    usage=USAGE,
)
EVENT = st.fixed_dictionaries(
    {
        "type": st.one_of(ANYTHING, st.sampled_from(sorted(HANDLED_EVENTS))),
        "delta": ANYTHING,
        "arguments": ANYTHING,
        "item": ITEM,
        "item_id": ANYTHING,
        "output_index": ANYTHING,
        "response": RESPONSE,
    }
)


def taken(answer, pieces):
    for piece in pieces:
        assert isinstance(answer.take(piece), str)
    assert isinstance(answer.end(), str)
    assert answer.fault() is None or isinstance(answer.fault(), ProviderFault)
    for call in answer.calls():
        assert {type(call.tool_call_id), type(call.name), type(call.arguments)} == {str}


class Held:
    """An object of the SDK's, as it is when nothing of it is checked."""

    def __init__(self, fields):
        self.__dict__.update({name: held(value) for name, value in fields.items()})


def held(value):
    if isinstance(value, dict):
        return Held(value)
    return [held(entry) for entry in value] if isinstance(value, list) else value


@given(PIECES)
def test_chunks_of_any_shape_are_taken(pieces):
    taken(ChatAnswer(), [ChatCompletionChunk.construct(None, **piece) for piece in pieces])
    taken(ChatAnswer(), [ChatCompletion.construct(None, **piece) for piece in pieces])
    taken(ChatAnswer(), held(pieces))


@given(st.lists(EVENT, max_size=4))
def test_events_of_any_shape_are_taken(events):
    taken(ResponseAnswer(), held(events))


@given(RESPONSE)
def test_wholes_of_any_shape_are_taken(whole):
    fields = whole if isinstance(whole, dict) else {}
    taken(ResponseAnswer(), [Response.construct(None, **fields)])
