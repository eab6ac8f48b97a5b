"""Entries of a conversation as agents in code see them."""

import pytest

from calls.agents.messages import Message, message_of
from calls.domain.items import Item, Role, Source


@pytest.mark.parametrize(
    ("role", "told"),
    [
        (Role.USER, "user"),
        (Role.AGENT, "assistant"),
        (Role.TOOL, "tool"),
        (Role.SYSTEM, "system"),
    ],
)
def test_every_role_has_its_name(role, told):
    assert message_of(Item(1, role, "Hi", turn=1)).role == told


def test_an_instruction_of_the_client_is_a_message_of_the_system():
    item = Item(1, Role.SYSTEM, "Be brief.", turn=0, source=Source.CLIENT, ref="item_1")
    assert message_of(item) == Message("system", "Be brief.")
