"""The one reader of environment variables: typed, and all that is wrong is said at once."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from django.core.exceptions import ImproperlyConfigured
from environ import FileAwareEnv
from environ.fileaware_mapping import FileAwareMapping
from typing_extensions import override

BASE_DIR = Path(__file__).resolve().parent.parent
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "[::1]")
NAMES = (
    "ADMIN_PATH",
    "ALLOWED_HOSTS",
    "ALLOWED_ORIGINS",
    "ALLOW_MISSING_ORIGIN",
    "AVR_AMI_URL",
    "AVR_HTTP",
    "AVR_SECRET",
    "AVR_URL_INSTRUCTIONS",
    "BACKGROUND",
    "CSRF_TRUSTED_ORIGINS",
    "CURRENCY",
    "DATABASE_URL",
    "DEBUG",
    "DEFAULT_AGENT",
    "DRAIN_MS",
    "ELEVENLABS_API_KEY",
    "ELEVENLABS_BASE_URL",
    "KEEP_AUDIO_DAYS",
    "KEEP_FIGURES_DAYS",
    "KEEP_TEXT_DAYS",
    "LEASE_SECONDS",
    "LLM_API_KEY",
    "LLM_BASE_URL",
    "LLM_MODEL",
    "LLM_PROFILE",
    "LOCAL",
    "LOG_FORMAT",
    "LOG_LEVEL",
    "MAX_CALLS",
    "METRICS_TOKEN",
    "MODEL_WARNING_DAYS",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "PROTOCOLS",
    "PUBLIC_URL",
    "REALTIME_OPEN",
    "REDIS_URL",
    "SECRET_KEY",
    "SECRET_KEY_FALLBACKS",
    "SECURE_SSL_REDIRECT",
    "SPEECH_WORKERS",
    "STATIC_ROOT",
    "STT_API_KEY",
    "STT_BASE_URL",
    "STT_MODEL",
    "STT_PROFILE",
    "TOKEN_SECONDS",
    "TRUSTED_PROXIES",
    "TRUST_PROXY",
    "TTS_API_KEY",
    "TTS_BASE_URL",
    "TTS_FORMAT",
    "TTS_MODEL",
    "TTS_PROFILE",
    "TTS_RATE_HZ",
    "TWILIO_AUTH_TOKEN",
    "VAR_DIR",
    "WEBHOOKS_TO_PRIVATE",
)
"""Every variable that is read; each may also be given as the name of a file in `<name>_FILE`."""

_SERVER = ("API_KEY", "BASE_URL", "MODEL", "PROFILE")

T = TypeVar("T")


class Secret(str):
    """A text that is not shown where settings are: by `diffsettings`, in errors, in a debugger."""

    __slots__ = ()

    @override
    def __repr__(self) -> str:
        return "'********'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What the environment decides.

    Attributes:
        var_dir: database, recordings, journal, collected static files and secrets live below it.
        local: only this machine can reach the server. Secure cookies, HTTPS and a secret key of
            one's own are not insisted on.
        secret_key: empty when the environment names none.
        database: Django's database settings; empty for SQLite below `var_dir`.
        admin_path: where the admin lies, with a slash at its end and none at its beginning.
        redis_url: empty when there is no Redis: the channel layer is then in memory.
        calls: keys of the setting `CALLS`, only those that the environment names.
    """

    var_dir: Path
    static_root: Path
    debug: bool
    local: bool
    secret_key: str = field(repr=False)
    secret_key_fallbacks: tuple[str, ...] = field(repr=False)
    admin_path: str
    allowed_hosts: tuple[str, ...]
    csrf_trusted_origins: tuple[str, ...]
    allowed_origins: tuple[str, ...]
    allow_missing_origin: bool
    ssl_redirect: bool
    trust_proxy: bool
    database: Mapping[str, Any] = field(repr=False)
    redis_url: str = field(repr=False)
    log_level: str
    log_format: str
    calls: Mapping[str, Any] = field(repr=False)


class _Reader:
    """Reads one variable after the other and keeps what went wrong."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._env = FileAwareEnv()
        self._env.ENVIRON = FileAwareMapping(variables)
        self.errors: list[str] = []

    def text(self, name: str, default: str = "") -> str:
        assert name in NAMES, name
        return self._read(name, default, lambda: self._env.str(name, default=default).strip())

    def flag(self, name: str, *, default: bool) -> bool:
        return self._read(name, default, lambda: _flag(self.text(name), default))

    def words(self, name: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        listed = self.text(name, ",".join(default)).split(",")
        return tuple(word.strip() for word in listed if word.strip())

    def one_of(self, name: str, *known: str) -> str:
        """One of these words; the first when it is not named."""
        return self._read(name, known[0], lambda: _one_of(self.text(name), known))

    def number(self, name: str) -> int | None:
        """A whole number, one or more; nothing when it is not named."""
        return self._read(name, None, lambda: _number(self.text(name)))

    def path(self, name: str, default: str) -> str:
        """A path of letters, digits and dashes below the root, with a slash at its end."""
        return self._read(name, default, lambda: _path(self.text(name) or default))

    def folder(self, name: str, default: Path) -> Path:
        return Path(self.text(name, str(default))).expanduser().resolve()

    def database(self, name: str) -> Mapping[str, Any]:
        url = self.text(name)
        return self._read(name, {}, lambda: dict(self._env.db_url_config(url)) if url else {})

    def _read(self, name: str, default: T, read: Callable[[], T]) -> T:
        try:
            return read()
        except (ValueError, OSError, ImproperlyConfigured) as error:
            self.errors.append(f"{name}: {error}")
            return default


def _flag(text: str, default: bool) -> bool:
    known = {"": default} | dict.fromkeys(("1", "true", "yes", "on"), True)
    known |= dict.fromkeys(("0", "false", "no", "off"), False)
    if text.strip().lower() not in known:
        raise ValueError("say true or false")
    return known[text.strip().lower()]


def _one_of(text: str, known: tuple[str, ...]) -> str:
    if text and text not in known:
        raise ValueError(f"say one of {', '.join(known)}")
    return text or known[0]


def _path(text: str) -> str:
    if not re.fullmatch(r"/?[\w-]+(/[\w-]+)*/?", text, re.ASCII):
        raise ValueError("say a path of letters, digits and dashes, such as back-office/")
    return text.strip("/") + "/"


def _number(text: str) -> int | None:
    if text and not (text.isdecimal() and int(text)):
        raise ValueError("say a whole number, 1 or more")
    return int(text) if text else None


def read(variables: Mapping[str, str] | None = None) -> Environment:
    """Read the environment, and the file `.env` beside `manage.py` for what it does not name.

    Args:
        variables: instead of the process's own, for tests.

    Raises:
        ImproperlyConfigured: something cannot be understood; the message has a line for each.
    """
    if variables is None:
        FileAwareEnv.read_env(os.environ.get("ENV_FILE", BASE_DIR / ".env"))
        variables = os.environ
    reader = _Reader(variables)
    found = _environment(reader)
    if not found.local and not found.secret_key:
        reader.errors.append("SECRET_KEY: needed because ALLOWED_HOSTS names a public host")
    if reader.errors:
        raise ImproperlyConfigured("\n".join(["Environment variables:", *reader.errors]))
    return found


def _environment(reader: _Reader) -> Environment:
    allowed_hosts = reader.words("ALLOWED_HOSTS", LOOPBACK_HOSTS)
    local = reader.flag("LOCAL", default=set(allowed_hosts) <= set(LOOPBACK_HOSTS))
    var_dir = reader.folder("VAR_DIR", BASE_DIR / "var")
    return Environment(
        var_dir=var_dir,
        static_root=reader.folder("STATIC_ROOT", var_dir / "static"),
        debug=reader.flag("DEBUG", default=False),
        local=local,
        secret_key=reader.text("SECRET_KEY"),
        secret_key_fallbacks=reader.words("SECRET_KEY_FALLBACKS"),
        admin_path=reader.path("ADMIN_PATH", "admin"),
        allowed_hosts=allowed_hosts,
        csrf_trusted_origins=reader.words("CSRF_TRUSTED_ORIGINS"),
        allowed_origins=reader.words("ALLOWED_ORIGINS"),
        allow_missing_origin=reader.flag("ALLOW_MISSING_ORIGIN", default=local),
        ssl_redirect=reader.flag("SECURE_SSL_REDIRECT", default=not local),
        trust_proxy=reader.flag("TRUST_PROXY", default=False),
        database=reader.database("DATABASE_URL"),
        redis_url=reader.text("REDIS_URL"),
        log_level=reader.text("LOG_LEVEL", "INFO").upper(),
        log_format=reader.one_of("LOG_FORMAT", "line", "json"),
        calls=_calls(reader),
    )


_CALLS_TEXTS = (
    "AVR_AMI_URL",
    "AVR_SECRET",
    "AVR_URL_INSTRUCTIONS",
    "BACKGROUND",
    "CURRENCY",
    "DEFAULT_AGENT",
    "ELEVENLABS_API_KEY",
    "ELEVENLABS_BASE_URL",
    "METRICS_TOKEN",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "PUBLIC_URL",
    *(f"{stage}_{what}" for stage in ("LLM", "STT", "TTS") for what in _SERVER),
    "TTS_FORMAT",
    "TWILIO_AUTH_TOKEN",
)
_FLAGS = ("AVR_HTTP", "REALTIME_OPEN", "WEBHOOKS_TO_PRIVATE")
_SECRETS = ("AVR_SECRET", "METRICS_TOKEN", "TWILIO_AUTH_TOKEN")
_LISTS = ("PROTOCOLS", "TRUSTED_PROXIES")
_CALLS_NUMBERS = (
    "DRAIN_MS",
    "KEEP_AUDIO_DAYS",
    "KEEP_FIGURES_DAYS",
    "KEEP_TEXT_DAYS",
    "LEASE_SECONDS",
    "MAX_CALLS",
    "MODEL_WARNING_DAYS",
    "SPEECH_WORKERS",
    "TOKEN_SECONDS",
    "TTS_RATE_HZ",
)


def _shown(name: str) -> type[str]:
    return Secret if name.endswith("_API_KEY") or name in _SECRETS else str


def _calls(reader: _Reader) -> Mapping[str, Any]:
    found: dict[str, Any] = dict(_calls_named(reader))
    for name in _FLAGS:
        if reader.text(name):
            found[name] = reader.flag(name, default=False)
    for name in _LISTS:
        if words := reader.words(name):
            found[name] = words
    return found


def _calls_named(reader: _Reader) -> Mapping[str, str | int]:
    named = {name: _shown(name)(reader.text(name)) for name in _CALLS_TEXTS}
    numbers = {name: reader.number(name) for name in _CALLS_NUMBERS}
    return {name: value for name, value in (named | numbers).items() if value}
