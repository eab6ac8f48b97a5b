"""API keys from the command line: make one, list them, switch one off."""

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from typing_extensions import override

from calls.models import ApiKey, Site
from calls.models.keys import SCOPES
from calls.store.agents import AgentNotFoundError
from calls.store.keys import CALLS, key_create


class Command(BaseCommand):
    """A new key is the only line on standard output, so that a script can take it."""

    help = "Make, list and revoke the API keys of OpenAI Realtime clients and other programs."

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        create = actions.add_parser("create", help="make a key; it is shown this once")
        create.add_argument("name", help="whose it is")
        create.add_argument(
            "--agent",
            action="append",
            default=[],
            metavar="SLUG",
            help="may call this agent; again for more of them; without: every active one",
        )
        create.add_argument(
            "--fixed",
            action="store_true",
            help="its clients may not replace the agent's instructions and tools",
        )
        create.add_argument(
            "--scope",
            action="append",
            choices=SCOPES,
            help="good for this; again for more; without: calls",
        )
        create.add_argument(
            "--site", default="", metavar="SLUG", help="sees and opens calls of this site alone"
        )
        actions.add_parser("list", help="name, beginning, agents and state of each")
        revoke = actions.add_parser("revoke", help="switch a key off")
        revoke.add_argument("key", help="its name, or what it begins with")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        match options["action"]:
            case "create":
                self._create(options)
            case "list":
                self._list()
            case _:
                self._revoke(options["key"])

    def _create(self, options: Mapping[str, Any]) -> None:
        name, slug = options["name"], options["site"]
        site = Site.objects.filter(slug=slug).first()
        if slug and site is None:
            raise CommandError(f"No site is called {slug}.")
        try:
            ApiKey._meta.get_field("name").clean(name.strip(), None)
        except ValidationError as error:
            raise CommandError(f"That name will not do. {error.messages[0]}") from None
        try:
            _, text = key_create(
                name,
                options["agent"],
                configures=not options["fixed"],
                site=site,
                scopes=options["scope"] or (CALLS,),
            )
        except AgentNotFoundError as error:
            raise CommandError(f"No agent is called {error}.") from None
        self.stdout.write(text)
        self.stderr.write("Copy it now: it is kept only as a hash and cannot be shown again.")

    def _list(self) -> None:
        for key in ApiKey.objects.prefetch_related("agents"):
            agents = ",".join(agent.slug for agent in key.agents.all()) or "-"
            until = f"until {key.expires_at:%Y-%m-%d %H:%M}" if key.expires_at else "active"
            state = until if key.active else "revoked"
            used = f"{key.last_used_at:%Y-%m-%d %H:%M}" if key.last_used_at else "never used"
            reach = "every agent" if key.all_agents else agents
            self.stdout.write(f"{key.name}\t{key.prefix}…\t{state}\t{reach}\t{used}")

    def _revoke(self, wanted: str) -> None:
        by_prefix = ApiKey.objects.filter(prefix=wanted)
        keys = list(by_prefix or ApiKey.objects.filter(name=wanted))
        if len(keys) != 1:
            found = "None" if not keys else "More than one"
            raise CommandError(f"{found} is called that: say what the key begins with.")
        ApiKey.objects.filter(pk=keys[0].pk).update(active=False)
        self.stdout.write(f"{keys[0]} opens no more calls.")
