"""The OpenAPI document, and whether the API does what it says to whatever is made from it."""

import pytest
import schemathesis
from django.core.handlers.wsgi import WSGIHandler
from django.test import Client
from hypothesis import HealthCheck, Phase, settings
from schemathesis import checks

from calls.models import Webhook
from calls.models.keys import SCOPES
from calls.store.keys import key_create
from tests.api.conftest import call_of

DOCUMENT = "/api/openapi.json"
checks.load_all_checks()
CHECKS = [
    checks.CHECKS.get_one(name)
    for name in (
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
        "unsupported_method",
        "ignored_auth",
        "negative_data_rejection",
    )
]


@pytest.fixture
def key(transactional_db) -> str:
    call_of(None, "call-1", sound=True, caller="somebody")
    Webhook.objects.create(url="https://a.example/", events=["call.ended"])
    return key_create("Schemathesis", scopes=SCOPES)[1]


schema = schemathesis.openapi.from_wsgi(DOCUMENT, WSGIHandler())


@schema.parametrize()
@settings(
    max_examples=8,
    derandomize=True,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_it_does_what_its_document_says(case, key):
    case.call_and_validate(headers={"Authorization": f"Bearer {key}"}, checks=CHECKS)


@pytest.mark.django_db
def test_the_document_needs_no_key_and_names_the_scheme():
    document = Client().get(DOCUMENT).json()
    assert document["openapi"].startswith("3.")
    (scheme,) = document["components"]["securitySchemes"].values()
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            open_to_all = path == "/api/v1/recordings/{link}"
            assert ("security" in operation) != open_to_all, (method, path)
            assert operation["description"]
            errors = [status for status in operation["responses"] if status >= "400"]
            assert {"401", "413", "422"} <= set(errors)


@pytest.mark.django_db
def test_ids_are_unique_and_say_what_happens():
    document = Client().get(DOCUMENT).json()
    ids = [op["operationId"] for path in document["paths"].values() for op in path.values()]
    assert len(set(ids)) == len(ids) == 20
