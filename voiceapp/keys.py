"""The secret key of an installation that was given none."""

import secrets
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

_SECRET_BYTES = 48


def kept_secret(path: Path) -> str:
    """The secret in `path`, made at random the first time; only its owner can read the file.

    Two processes that start together end up with the same secret.

    Raises:
        ImproperlyConfigured: the file can be neither read nor written.
    """
    try:
        return _kept_secret(path)
    except OSError as error:
        raise ImproperlyConfigured(f"The secret key cannot be kept: {error}") from error


def _kept_secret(path: Path) -> str:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    if not path.exists():
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_urlsafe(_SECRET_BYTES))
        try:
            path.hardlink_to(fresh)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return path.read_text().strip()
