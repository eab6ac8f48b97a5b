"""Download better ears and voices, for those who ask for them."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from typing_extensions import override

from calls.conf import calls_settings
from calls.providers.local.catalogue import LocalModel, RemoteFile, catalogue_read
from calls.providers.local.download import STALL_S
from calls.providers.local.errors import LocalModelError
from calls.providers.local.shelf import Shelf

_MB = 1_000_000


class Command(BaseCommand):
    """Nothing is ever downloaded but by `install`."""

    help = "List, install and remove speech models that run on this machine."

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        listing = actions.add_parser("list", help="what there is, and what is installed")
        install = actions.add_parser("install", help="download models; goes on where it was cut")
        install.add_argument("names", nargs="+", metavar="NAME")
        install.add_argument("--yes", action="store_true", help="do not ask")
        install.add_argument(
            "--trust-first-download",
            action="store_true",
            help="take files without a known checksum, and remember the checksum of what comes",
        )
        install.add_argument("--stall-seconds", type=float, default=STALL_S, metavar="S")
        remove = actions.add_parser("remove", help="delete models")
        remove.add_argument("names", nargs="+", metavar="NAME")
        for action in (listing, install):
            action.add_argument(
                "--catalogue", type=Path, metavar="FILE", help="a catalogue of your own"
            )

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        shelf = Shelf(
            calls_settings().local_models_dir, stall_s=options.get("stall_seconds", STALL_S)
        )
        action = {"list": self._list, "install": self._install, "remove": self._remove}
        try:
            action[options["action"]](shelf, options)
        except LocalModelError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandError("Interrupted; the same command goes on from here.") from None

    def _list(self, shelf: Shelf, options: dict[str, Any]) -> None:
        for model in catalogue_read(options["catalogue"]).values():
            state = "installed" if shelf.installed(model.name) else "not installed"
            self.stdout.write(f"{model.name}  [{state}]")
            self._describe(model, shelf)

    def _install(self, shelf: Shelf, options: dict[str, Any]) -> None:
        known = catalogue_read(options["catalogue"])
        if unknown := [name for name in options["names"] if name not in known]:
            raise LocalModelError(f"Unknown: {', '.join(unknown)}. There are: {', '.join(known)}.")
        models = [known[name] for name in dict.fromkeys(options["names"])]
        for model in models:
            self.stdout.write(model.name)
            self._describe(model, shelf)
        if not (options["yes"] or self._agreed(models, shelf)):
            self.stdout.write("Nothing was downloaded.")
            return
        for model in models:
            shelf.install(model, self._progress(), trusting=options["trust_first_download"])
            self.stdout.write(f"{model.name} is installed in {shelf.folder(model.name)}.")

    def _remove(self, shelf: Shelf, options: dict[str, Any]) -> None:
        for name in options["names"]:
            shelf.remove(name)
            self.stdout.write(f"{name} is removed.")

    def _describe(self, model: LocalModel, shelf: Shelf) -> None:
        self.stdout.write(f"  {model.about}; about {model.size_bytes / _MB:.0f} MB")
        self.stdout.write(f"  languages: {', '.join(model.languages)}")
        self.stdout.write(f"  licence: {model.licence} ({model.licence_url})")
        packages = ", ".join(f"{name} ({_version(name)})" for name in model.packages)
        self.stdout.write(f"  needs: pip install {packages}")
        if shelf.unknown(model):
            self.stdout.write("  no published checksum: needs --trust-first-download")

    def _agreed(self, models: list[LocalModel], shelf: Shelf) -> bool:
        total_mb = sum(shelf.missing_bytes(model) for model in models) / _MB
        try:
            answer = input(f"Download about {total_mb:.0f} MB under these licences? [y/N] ")
        except EOFError:
            raise LocalModelError("Nobody is there to ask; --yes agrees.") from None
        return answer.strip().lower() in ("y", "yes")

    def _progress(self) -> "_Progress":
        return _Progress(self)


class _Progress:
    """A line for each tenth of a file."""

    def __init__(self, command: BaseCommand) -> None:
        self._command = command
        self._told: dict[str, int] = {}

    def __call__(self, file: RemoteFile, got_bytes: int) -> None:
        tenths = min(10, got_bytes * 10 // max(1, file.size_bytes))
        if tenths > self._told.get(file.name, 0):
            self._told[file.name] = tenths
            self._command.stdout.write(f"  {file.name}: {got_bytes / _MB:.1f} MB")


def _version(package: str) -> str:
    try:
        return f"installed: {version(package)}"
    except PackageNotFoundError:
        return "not installed"
