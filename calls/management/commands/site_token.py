"""A token from the command line, for trying things."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from typing_extensions import override

from calls.store.agents import AgentNotFoundError, agent_get
from calls.store.sites import SiteNotFoundError, site_get
from calls.store.tokens import MOST_SECONDS, token_mint


class Command(BaseCommand):
    """The token is the only line on standard output, so that a script can take it."""

    help = "Make a token that opens one call of a site. The exit status is 1 if none is made."

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("site", help="the site's slug; own: this server's own site")
        parser.add_argument("agent", help="the agent's slug")
        parser.add_argument("--caller", default="", help="who calls, in the site's words")
        parser.add_argument(
            "--origin", default="", help="of the page that shows the call; without: any of the site"
        )
        parser.add_argument(
            "--seconds",
            type=int,
            default=None,
            help=f"until it has to be used, 1 to {MOST_SECONDS}; without: as the settings say",
        )

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        self._check(options["site"], options["agent"])
        told = {name: options[name] for name in ("site", "agent", "caller", "origin", "seconds")}
        try:
            token = token_mint(**told)
        except ValueError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(token.value)
        self.stderr.write(f"It opens one call, within {token.seconds} seconds.")

    def _check(self, slug: str, agent: str) -> None:
        try:
            site = site_get(slug)
            agent_get(agent)
        except SiteNotFoundError:
            raise CommandError(f"No site is called {slug}.") from None
        except AgentNotFoundError:
            raise CommandError(f"No active agent is called {agent}.") from None
        if not site.active:
            raise CommandError(f"The site {slug} is switched off.")
        if not site.allows(agent):
            raise CommandError(f"The site {slug} has no agent {agent}.")
