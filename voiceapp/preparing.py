"""What an installation needs before it can serve, done once and skipped when it is done.

Every function returns whether it had anything to do.
"""

import hashlib
import secrets
from collections.abc import Iterable
from pathlib import Path

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

ADMIN_NAME = "admin"
_PASSWORD_BYTES = 12


def migrate() -> bool:
    """Bring the database to the newest tables."""
    executor = MigrationExecutor(connection)
    if not executor.migration_plan(executor.loader.graph.leaf_nodes()):
        return False
    call_command("migrate", interactive=False, verbosity=0)
    return True


def collect_static() -> bool:
    """Collect the static files under hashed names, when one of them has changed."""
    if settings.DEBUG:  # they are served from where they lie
        return False
    stamp = Path(settings.STATIC_ROOT) / ".collected"
    state = _state(_static_files())
    if stamp.exists() and stamp.read_text() == state:
        return False
    stamp.unlink(missing_ok=True)
    call_command("collectstatic", interactive=False, verbosity=0)
    stamp.write_text(state)
    return True


def ensure_demo_agent() -> bool:
    """Make the agent that answers out of the box, unless there is one."""
    from calls.store.agents import demo_agent_ensure

    demo_agent_ensure()
    return False  # too quick to speak of


def ensure_own_site() -> bool:
    """Make the row of this server's own calls, unless there is one."""
    from calls.store.sites import own_site_ensure

    own_site_ensure()
    return False  # too quick to speak of


def ensure_admin() -> str | None:
    """Make an administrator when there is none; its password, which nobody can read again."""
    users = get_user_model().objects
    if users.filter(is_superuser=True).exists():
        return None
    password = secrets.token_urlsafe(_PASSWORD_BYTES)
    users.create_superuser(ADMIN_NAME, password=password)
    return password


def _static_files() -> Iterable[Path]:
    yield Path(__file__).with_name("staticfiles.py")
    for finder in get_finders():
        for path, storage in finder.list(ignore_patterns=None):
            yield Path(storage.path(path))


def _state(files: Iterable[Path]) -> str:
    """Changes when a file appears, goes, or is written."""
    facts = sorted((str(file), *_facts(file)) for file in files)
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def _facts(file: Path) -> tuple[int, int]:
    found = file.stat()
    return found.st_size, found.st_mtime_ns
