"""What the agent writes down."""

from django.db import models


class Appointment(models.Model):
    """A time that is taken, and the call in which it was given away."""

    day = models.CharField(max_length=9)
    time = models.CharField(max_length=5)
    call_id = models.CharField(max_length=64)

    class Meta:
        """Nobody gets a time that somebody else has."""

        constraints = (models.UniqueConstraint(fields=("day", "time"), name="one_a_time"),)

    def __str__(self) -> str:
        """As people say it."""
        return f"{self.day} at {self.time}"
