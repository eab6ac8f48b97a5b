"""The app as Django sees it."""

from typing import TYPE_CHECKING, Any

from django.apps import AppConfig
from django.core.checks import Tags, register
from django.db import connections
from django.db.models.signals import post_delete, post_migrate, post_save
from typing_extensions import override

if TYPE_CHECKING:
    from calls.models import Agent, Site


class CallsConfig(AppConfig):
    """Voice calls: the tables, the admin and the checks of one Django app."""

    name = "calls"
    verbose_name = "Voice calls"
    default_auto_field = "django.db.models.BigAutoField"

    @override
    def ready(self) -> None:
        from calls.checks import (
            agents_check,
            agents_database_check,
            deployment_check,
            retention_check,
            sound_check,
            webhooks_check,
        )

        post_migrate.connect(_mend_index, sender=self, dispatch_uid="calls.fulltext")
        register(agents_check)
        register(agents_database_check, Tags.database)
        register(deployment_check, Tags.security)
        register(webhooks_check, Tags.database)
        register(retention_check, Tags.database)
        register(sound_check, Tags.security)
        _tell_others()


def _tell_others() -> None:
    """What is due, and what somebody changed, is told to the other processes as well."""
    from calls.models import Agent, Site
    from calls.store.tasks import tasks_tell
    from calls.store.wakers import wake_elsewhere

    wake_elsewhere(tasks_tell)
    wake_elsewhere(_wake_others)
    for model in (Site, Agent):
        for changed in (post_save, post_delete):
            changed.connect(_site_changed, sender=model, dispatch_uid="calls.control")


def _wake_others(kind: str) -> None:
    from calls.wiring.control import wake_others

    wake_others(kind)


def _site_changed(instance: "Agent | Site", **_: Any) -> None:
    from calls.wiring.control import site_changed

    site_changed(instance.slug)


def _mend_index(using: str, **_: Any) -> None:
    from calls.models.fulltext import index_mend

    index_mend(connections[using])
