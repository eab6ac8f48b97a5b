"""The example as a Django app."""

from django.apps import AppConfig


class BookingAgentConfig(AppConfig):
    """Appointments, and an agent that makes them."""

    name = "booking_agent"
    verbose_name = "Appointments"
    default_auto_field = "django.db.models.BigAutoField"
