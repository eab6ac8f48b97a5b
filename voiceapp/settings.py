"""Django's settings. What differs between machines comes from `voiceapp.environment`."""

from typing import Any

from csp.constants import NONE, SELF

from voiceapp import environment, keys, logs

BASE_DIR = environment.BASE_DIR
ENVIRONMENT = environment.read()
VAR_DIR = ENVIRONMENT.var_dir

DEBUG = ENVIRONMENT.debug
SECRET_KEY = ENVIRONMENT.secret_key or keys.kept_secret(VAR_DIR / "secret_key")
SECRET_KEY_FALLBACKS = list(ENVIRONMENT.secret_key_fallbacks)
ALLOWED_HOSTS = list(ENVIRONMENT.allowed_hosts)
CSRF_TRUSTED_ORIGINS = list(ENVIRONMENT.csrf_trusted_origins)

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "csp",
    "axes",
    "channels",
    "django_tasks",
    "django_tasks_db",
    "calls",
    "voiceapp",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "voiceapp.middleware.PermissionsPolicy",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "voiceapp.urls"
ASGI_APPLICATION = "voiceapp.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# --- data ---------------------------------------------------------------------------------------

_SQLITE: dict[str, Any] = {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": VAR_DIR / "db.sqlite3",
    "OPTIONS": {
        # Without IMMEDIATE a transaction that reads before it writes fails at once with
        # "database is locked" as soon as another one wrote, whatever the timeout.
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    },
}
_POSTGRESQL_OPTIONS: dict[str, Any] = {
    "pool": {"min_size": 1, "max_size": 8, "timeout": 5},
    "connect_timeout": 3,
    # A server that is gone without a word is found out in a quarter of a minute.
    "keepalives_idle": 10,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
    "options": "-c statement_timeout=5000 -c idle_in_transaction_session_timeout=10000",
}


def _database() -> dict[str, Any]:
    if not ENVIRONMENT.database:
        return _SQLITE
    database = dict(ENVIRONMENT.database)
    if database["ENGINE"] == "django.db.backends.postgresql":
        database["OPTIONS"] = _POSTGRESQL_OPTIONS | database.get("OPTIONS", {})
    elif database["ENGINE"] == "django.db.backends.sqlite3":
        database["OPTIONS"] = _SQLITE["OPTIONS"] | database.get("OPTIONS", {})
    return database | {"CONN_MAX_AGE": 0, "CONN_HEALTH_CHECKS": True}


DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"


def _channel_layer() -> dict[str, Any]:
    if not ENVIRONMENT.redis_url:
        return {"BACKEND": "channels.layers.InMemoryChannelLayer"}
    from redis.asyncio.retry import Retry
    from redis.backoff import ExponentialBackoff
    from redis.exceptions import ConnectionError as RedisConnectionError
    from redis.exceptions import TimeoutError as RedisTimeoutError

    # channels-redis builds its own pool, so redis-py's default retries do not reach it.
    host = {
        "address": ENVIRONMENT.redis_url,
        "retry": Retry(ExponentialBackoff(cap=1, base=0.1), 10),
        "retry_on_error": [RedisConnectionError, RedisTimeoutError],
        "socket_connect_timeout": 2,
        "socket_keepalive": True,
        "health_check_interval": 10,
    }
    return {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [host]},
    }


CHANNEL_LAYERS = {"default": _channel_layer()}

_WORKERS = ENVIRONMENT.calls.get("BACKGROUND") == "worker"
TASKS = {
    "default": {
        "BACKEND": "django_tasks_db.DatabaseBackend"
        if _WORKERS
        else "django_tasks.backends.immediate.ImmediateBackend"
    }
}

# --- static files -------------------------------------------------------------------------------

STATIC_URL = "/static/"
STATIC_ROOT = ENVIRONMENT.static_root
STATICFILES_DIRS = [BASE_DIR / "static"] if (BASE_DIR / "static").is_dir() else []
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "voiceapp.staticfiles.HashedModulesStorage"},
}
MEDIA_ROOT = VAR_DIR / "media"

# --- people -------------------------------------------------------------------------------------

ADMIN_PATH = ENVIRONMENT.admin_path
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
# So many wrong passwords for a name from an address, and it is locked there for so many hours: for
# the right password too, but not for the same name from elsewhere.
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = 1
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_CLIENT_IP_CALLABLE = "voiceapp.logins.client_ip"
AXES_LOCKOUT_TEMPLATE = "locked_out.html"
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_DISABLE_ACCESS_LOG = True  # of those who came in, Django's own admin log is enough
AXES_VERBOSE = False
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True

# --- what a browser may do ----------------------------------------------------------------------

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        "media-src": [SELF, "blob:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    },
}
PERMISSIONS_POLICY = "microphone=(self), camera=(), geolocation=()"
X_FRAME_OPTIONS = "DENY"
SECURE_SSL_REDIRECT = ENVIRONMENT.ssl_redirect
SECURE_REDIRECT_EXEMPT = [r"^livez$", r"^readyz$", r"^metrics$"]  # a supervisor asks past the proxy
SECURE_HSTS_SECONDS = 0 if ENVIRONMENT.local else 31_536_000
SECURE_HSTS_INCLUDE_SUBDOMAINS = not ENVIRONMENT.local
SECURE_HSTS_PRELOAD = not ENVIRONMENT.local
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = not ENVIRONMENT.local
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if ENVIRONMENT.trust_proxy else None

# --- calls --------------------------------------------------------------------------------------

CALLS: dict[str, Any] = {
    "RECORDINGS_DIR": VAR_DIR / "recordings",
    "JOURNAL_DIR": VAR_DIR / "journal",
    "DEBUG_DIR": VAR_DIR / "debug",
    "LOCAL_MODELS_DIR": VAR_DIR / "models",
    "ALLOWED_ORIGINS": list(ENVIRONMENT.allowed_origins),
    "ALLOW_MISSING_ORIGIN": ENVIRONMENT.allow_missing_origin,
    **ENVIRONMENT.calls,
}

# --- logs: never a query string, never what was said ---------------------------------------------

LOGGING = logs.logging_settings(ENVIRONMENT.log_format, ENVIRONMENT.log_level)
