"""The REST API: `/api/v1/…`, for programs with a key. `docs/api.md` shows it by examples."""

from django.urls import URLPattern, URLResolver, re_path
from ninja import NinjaAPI

from calls.api import agents, conversations, erasures, tokens, usage, webhooks
from calls.api.door import BearerKey, StrictJson, errors_of, guarded, nothing

VERSION = "1.0.0"

api = NinjaAPI(
    title="Voice calls",
    version=VERSION,
    description="Agents that are called by voice: tokens for calls, what became of them, webhooks.",
    docs_url=None,
    parser=StrictJson(),
    urls_namespace="calls:api",
)
errors_of(api)

# The issue of tokens has an address without a version as well, for pages that name it.
api.post(
    "/tokens",
    auth=BearerKey("tokens"),
    response=tokens.RESPONSE,
    operation_id="create_token_unversioned",
    summary="Make a token",
    tags=["tokens"],
)(tokens.mint)

for _part in (tokens, agents, conversations, erasures, webhooks, usage):
    api.add_router("/v1", _part.router)


def _guarded(pattern: URLPattern | URLResolver) -> URLPattern:
    assert isinstance(pattern, URLPattern), pattern
    pattern.callback = guarded(pattern.callback)
    return pattern


_patterns, _app_name, _namespace = api.urls
urls = ([*map(_guarded, _patterns), re_path(r"", guarded(nothing))], _app_name, _namespace)
"""To be mounted below `api/`, behind whatever else lies there."""
