"""A token from the command line."""

import pytest
from django.core.management import CommandError, call_command

from calls.models import Agent, Site
from calls.store.tokens import token_take

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def site():
    Agent.objects.create(slug="desk", name="Desk")
    Agent.objects.create(slug="night", name="Night")
    site = Site.objects.create(slug="shop", name="Shop", origins=["https://shop.example"])
    site.agents.add(Agent.objects.get(slug="desk"))


def test_it_prints_a_token_and_nothing_else(capsys):
    call_command("site_token", "shop", "desk", "--caller", "ann", "--seconds", "30")
    printed = capsys.readouterr()
    claims = token_take(printed.out.strip(), agent="desk", origin="https://shop.example")
    assert (claims.caller, claims.seconds) == ("ann", 30)
    assert "30 seconds" in printed.err


@pytest.mark.parametrize(
    "words",
    [
        ("other", "desk"),
        ("shop", "night"),
        ("shop", "nobody"),
        ("shop", "desk", "--seconds", "0"),
        ("shop", "desk", "--origin", "shop.example"),
        ("shop", "desk", "--caller", "x" * 201),
    ],
)
def test_what_cannot_be_makes_none(words, capsys):
    with pytest.raises(CommandError):
        call_command("site_token", *words)
    assert capsys.readouterr().out == ""


def test_a_site_that_is_off_gets_none():
    Site.objects.update(active=False)
    with pytest.raises(CommandError, match="off"):
        call_command("site_token", "shop", "desk")
