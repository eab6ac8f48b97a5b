"""The app as Django sees it."""

from django.apps import AppConfig


class CallsConfig(AppConfig):
    """Voice calls: the tables, the admin and the checks of one Django app."""

    name = "calls"
    verbose_name = "Voice calls"
    default_auto_field = "django.db.models.BigAutoField"
