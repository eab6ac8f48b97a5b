"""The admin's tests: people with and without rights, and one finished call."""

from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client

from calls.models import Conversation
from tests.store.factories import demo_conversation


@pytest.fixture(autouse=True)
def own_folders(settings, tmp_path: Path) -> Path:
    settings.CALLS = settings.CALLS | {
        "RECORDINGS_DIR": tmp_path / "recordings",
        "JOURNAL_DIR": tmp_path / "journal",
    }
    return tmp_path


@pytest.fixture
def call(db) -> Conversation:
    return demo_conversation()


def person(*rights: str) -> User:
    """Somebody of the staff who may do just this."""
    user = User.objects.create_user(f"staff-{'-'.join(rights) or 'none'}", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=rights))
    assert user.user_permissions.count() == len(rights)
    return user


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def groups(db) -> None:
    """Those of the migration, which a test that flushes the database takes away."""
    migration = import_module("calls.migrations.0006_search")
    migration.make_groups(apps, SimpleNamespace(connection=connection))


@pytest.fixture
def boss(db) -> Client:
    return logged_in(User.objects.create_superuser("boss"))


@pytest.fixture
def reviewer(db) -> Client:
    """May read conversations, and nothing else."""
    return logged_in(person("view_conversation"))


@pytest.fixture
def listener(db) -> Client:
    return logged_in(person("view_conversation", "listen_recording"))
