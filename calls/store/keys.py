"""API keys and realtime secrets: made here, shown once, and known by their hashes from then on.

All of it asks the database: from async code through `calls.store.database.in_database`.
"""

import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from django.db import DatabaseError, transaction
from django.db.models import Q
from django.db.models.functions import Now

from calls.conf import calls_settings
from calls.models import Agent, ApiKey, RealtimeSecret, Site
from calls.models.keys import SHOWN_CHARS
from calls.models.text import clean_json, clean_text
from calls.store.agents import AgentNotFoundError, agent_get

KEY_PREFIX = "sk-voice-"
SECRET_PREFIX = "ek_"  # noqa: S105 - clients ask for it
WITHOUT_KEY = "page"
"""The label of what a page did that has no key."""

CALLS = "calls"
"""The scope of OpenAI Realtime clients."""

_OPENING = (CALLS, "tokens")
"""What these are good for ends with the key's site."""
_CHANCE_BYTES = 32
_LONGEST = 200
_USED_EVERY = timedelta(minutes=1)
_PURGED_AT_ONCE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a key or a secret allows.

    Attributes:
        agents: those that it may call; empty: every active one.
        configures: whether its client may replace instructions and tools.
        session: what the maker of a secret configured, in the words of the protocol.
        label: whose it is, for the record.
        key_id: of the key behind it; None: there is none.
        site: slug of the key's site; None: it has none. Its calls are then this server's own.
        scopes: what the key is good for, as `calls.models.keys.SCOPES` names it.
    """

    agents: tuple[str, ...] = ()
    configures: bool = True
    session: Mapping[str, Any] | None = field(default=None, repr=False)
    label: str = ""
    key_id: int | None = None
    site: str | None = None
    scopes: tuple[str, ...] = (CALLS,)

    def allows(self, agent: str) -> bool:
        return not self.agents or agent in self.agents


@dataclass(frozen=True, slots=True)
class Minted:
    """A secret as its client gets it; `expires_at` counts seconds since 1970."""

    value: str = field(repr=False)
    expires_at: int


def key_create(
    name: str,
    agents: Collection[str] = (),
    *,
    configures: bool = True,
    expires_at: datetime | None = None,
    site: Site | None = None,
    scopes: Collection[str] = (CALLS,),
) -> tuple[ApiKey, str]:
    """A new key, and its text, which is nowhere else.

    Args:
        agents: slugs of those that it may call; empty: every active one.
        site: whose calls it opens and sees; None: this server's own, and those of every site.
        scopes: what it is good for, as `calls.models.keys.SCOPES` names it.

    Raises:
        AgentNotFoundError: no row has one of these slugs.
    """
    rows = list(Agent.objects.filter(slug__in=agents))
    if strangers := set(agents) - {row.slug for row in rows}:
        raise AgentNotFoundError(", ".join(sorted(strangers)))
    key = ApiKey(
        name=name,
        all_agents=not rows,
        configures=configures,
        expires_at=expires_at,
        site=site,
        scopes=list(scopes),
    )
    text = key_fill(key)
    with transaction.atomic():
        key.save()
        key.agents.set(rows)
    return key, text


def key_fill(key: ApiKey) -> str:
    """Give a row that is not saved yet its key; the text of it."""
    text = KEY_PREFIX + secrets.token_urlsafe(_CHANCE_BYTES)
    key.prefix, key.hash = text[:SHOWN_CHARS], _hash(text)
    return text


def key_check(text: str, *, scope: str | None = CALLS) -> Grant | None:
    """What the key allows; None: it is none, or is no longer good, or not for that.

    Notes that the key was used; a database that cannot be written does not matter to that.

    Args:
        scope: what it has to be good for; None: the caller looks at the grant's `scopes`. Keys of
            a site that is switched off open no calls and make no tokens.
    """
    if not text.startswith(KEY_PREFIX) or len(text) > _LONGEST:
        return None
    key = ApiKey.objects.filter(_good(), hash=_hash(text)).select_related("site").first()
    grant = None if key is None or not _for(key, scope) else _grant(key)
    if key is not None and grant is not None:
        _used(key)
    return grant


def key_grant(key_id: int) -> Grant | None:
    """What a key allows that was shown a moment ago; None: it is no longer good."""
    key = ApiKey.objects.filter(_good(), pk=key_id).select_related("site").first()
    return None if key is None else _grant(key)


def secret_mint(
    grant: Grant, session: Mapping[str, Any] | None, agent: str, seconds: int
) -> Minted:
    """A secret for calls with `agent`, which the grant has to allow; expired ones are deleted."""
    assert grant.allows(agent), agent
    _purge()
    value = SECRET_PREFIX + secrets.token_urlsafe(_CHANCE_BYTES)
    row = RealtimeSecret.objects.create(
        hash=_hash(value),
        expires_at=Now() + timedelta(seconds=seconds),
        agent_slug=agent,
        session=clean_json(session),
        api_key_id=grant.key_id,
    )
    row.refresh_from_db(fields=["expires_at"])
    return Minted(value, int(row.expires_at.timestamp()))


def secret_check(value: str) -> Grant | None:
    """What the secret allows: as much as its key still does; None: it is none, or has expired.

    It may begin any number of calls until it expires.
    """
    if not value.startswith(SECRET_PREFIX) or len(value) > _LONGEST:
        return None
    found = RealtimeSecret.objects.filter(
        Q(api_key=None) | _good("api_key__"), hash=_hash(value), expires_at__gt=Now()
    )
    secret = found.select_related("api_key__site").first()
    if secret is None:
        return None
    key = secret.api_key
    if key is None:
        behind: Grant | None = Grant(configures=False, label=WITHOUT_KEY)
    else:
        behind = _grant(key) if _for(key, CALLS) else None
    if behind is None or not behind.allows(secret.agent_slug):
        return None
    return replace(behind, agents=(secret.agent_slug,), session=secret.session)


def token_check(token: str) -> Grant | None:
    """What a key or a secret allows, whichever it is."""
    return secret_check(token) if token.startswith(SECRET_PREFIX) else key_check(token)


def agent_asked(grant: Grant, model: str) -> str:
    """The agent that a client of OpenAI's protocol reaches with this `model`.

    An agent's own slug is taken at its word. Any other name is one of a vendor's models, about
    which these clients insist: it stands for the default agent, or for the grant's first one.

    Raises:
        AgentNotFoundError: the grant does not allow that agent, or there is none; without a key
            behind it, it does not allow agents that want a token.
    """
    default = calls_settings().default_agent
    slug = clean_text(model)
    if slug not in calls_settings().agents and not Agent.objects.filter(slug=slug).exists():
        slug = default if grant.allows(default) else grant.agents[0]
    agent = agent_get(slug)
    without_key = grant.key_id is None
    if not grant.allows(slug) or (agent.token_required and without_key):
        raise AgentNotFoundError(slug)
    return slug


def _hash(text: str) -> str:
    return sha256(text.encode(errors="replace")).hexdigest()


def _good(key: str = "") -> Q:
    unexpired = Q(**{f"{key}expires_at": None}) | Q(**{f"{key}expires_at__gt": Now()})
    return Q(**{f"{key}active": True}) & unexpired


def _for(key: ApiKey, scope: str | None) -> bool:
    if scope is None:
        return True
    opens = key.site is None or key.site.active or scope not in _OPENING
    return scope in key.scopes and opens


def _grant(key: ApiKey) -> Grant | None:
    """None for a key whose agents are all gone: an empty list would mean every one."""
    agents = () if key.all_agents else tuple(key.agents.values_list("slug", flat=True))
    if not agents and not key.all_agents:
        return None
    return Grant(
        agents=agents,
        configures=key.configures,
        label=key.name,
        key_id=key.pk,
        site=None if key.site is None else key.site.slug,
        scopes=tuple(key.scopes),
    )


def _used(key: ApiKey) -> None:
    stale = Q(last_used_at=None) | Q(last_used_at__lt=Now() - _USED_EVERY)
    try:
        if ApiKey.objects.filter(stale, pk=key.pk).exists():
            ApiKey.objects.filter(pk=key.pk).update(last_used_at=Now())
    except DatabaseError:
        return


def _purge() -> None:
    """Bounded, so that nobody waits long for what others left."""
    expired = RealtimeSecret.objects.filter(expires_at__lt=Now()).values_list("pk", flat=True)
    RealtimeSecret.objects.filter(pk__in=list(expired[:_PURGED_AT_ONCE])).delete()
