"""The running call in the hands of an agent's code."""

import asyncio
import threading
from dataclasses import dataclass, field

import pytest

from calls.agents import LiveCall, Message
from calls.domain import events as ev
from calls.domain.errors import EndReason
from calls.domain.items import Item, ItemStatus, Role
from calls.domain.state import CallState, Policy
from calls.ports.tools import CallInfo


@dataclass
class RunningDouble:
    info: CallInfo
    state: CallState = field(default_factory=lambda: CallState(policy=Policy()))
    posted: list = field(default_factory=list)

    def post(self, event):
        self.posted.append((event, threading.current_thread() is threading.main_thread()))

    @property
    def events(self):
        return [event for event, _ in self.posted]


@pytest.fixture
def running(info):
    return RunningDouble(CallInfo(info.call_id, info.agent, "de", info.metadata))


@pytest.mark.asyncio
async def test_it_knows_its_call(info, running):
    live = LiveCall(info, asyncio.get_running_loop())
    assert (live.call_id, live.agent, live.language) == ("call-1", "booking", "en")
    assert live.metadata == {"page": "/pricing"}
    assert live.conversation == ()
    live.connect(running)
    assert live.language == "de"
    running.state = CallState(
        policy=Policy(),
        items=(
            Item(1, Role.USER, "Hm", 1, ItemStatus.CANCELLED),
            Item(2, Role.USER, "Hi", 2),
            Item(3, Role.AGENT, "", 2, ItemStatus.IN_PROGRESS, unheard="Hello"),
        ),
    )
    assert live.conversation == (Message("user", "Hi"),)


@pytest.mark.asyncio
@pytest.mark.parametrize("order", ["answer", "reset_conversation", "end"])
async def test_before_the_call_there_is_nothing_to_tell(info, order):
    live = LiveCall(info, asyncio.get_running_loop())
    arguments = [] if order == "end" else [""]
    with pytest.raises(RuntimeError, match="has not begun"):
        getattr(live, order)(*arguments)


def _give_all_orders(live):
    live.answer("One.")
    live.answer("Two.", {"a": 1})
    live.answer(Message("assistant", "Three.", {"a": 1, "b": 2}), {"b": 3})
    live.reset_conversation(
        [
            Message("system", "Be brief."),
            Message("user", "Hi"),
            Message("assistant", "Hello"),
            Message("tool", "4"),
        ]
    )
    live.reset_conversation([])
    live.end()


ORDERS = [
    ev.AnswerGiven(text="One.", metadata="{}"),
    ev.AnswerGiven(text="Two.", metadata='{"a": 1}'),
    ev.AnswerGiven(text="Three.", metadata='{"a": 1, "b": 3}'),
    ev.ConversationReset(entries=(("user", "Hi"), ("agent", "Hello")), system_prompt="Be brief."),
    ev.ConversationReset(entries=(), system_prompt=None),
    ev.EndAsked(reason=EndReason.AGENT_ENDED),
]


@pytest.mark.asyncio
@pytest.mark.parametrize("threaded", [False, True])
async def test_orders_arrive_on_the_loop_in_order_whoever_gives_them(info, running, threaded):
    live = LiveCall(info, asyncio.get_running_loop())
    live.connect(running)
    if threaded:
        await asyncio.to_thread(_give_all_orders, live)
    else:
        _give_all_orders(live)
        assert running.posted == []
    await asyncio.sleep(0)
    assert running.events == ORDERS
    assert all(on_loop for _, on_loop in running.posted)


@pytest.mark.asyncio
async def test_orders_that_cannot_be_carried_out_are_refused_where_they_are_given(info, running):
    from calls.agents import Commands

    live = LiveCall(info, asyncio.get_running_loop())
    live.connect(running)
    with pytest.raises(TypeError):
        live.answer("x", {"a": object()})
    with pytest.raises(ValueError, match="commands belong to generate_answer"):
        live.answer(Message("assistant", "x", commands=Commands(end_call=True)))
    await asyncio.sleep(0)
    assert running.posted == []


def test_after_the_loop_has_closed_nothing_happens(info, running):
    loop = asyncio.new_event_loop()
    live = LiveCall(info, loop)
    live.connect(running)
    loop.close()
    live.end()
    assert running.posted == []
