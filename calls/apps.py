"""The app as Django sees it."""

from django.apps import AppConfig
from django.core.checks import Tags, register
from typing_extensions import override


class CallsConfig(AppConfig):
    """Voice calls: the tables, the admin and the checks of one Django app."""

    name = "calls"
    verbose_name = "Voice calls"
    default_auto_field = "django.db.models.BigAutoField"

    @override
    def ready(self) -> None:
        from calls.checks import agents_check, agents_database_check

        register(agents_check)
        register(agents_database_check, Tags.database)
