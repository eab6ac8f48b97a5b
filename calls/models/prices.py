"""What services cost: rows, so that a new price needs no new version."""

from django.core.validators import MinValueValidator
from django.db import models
from typing_extensions import override


class Price(models.Model):
    """The price of one figure of a provider's usage, in the currency of `CALLS["CURRENCY"]`.

    Of several that fit a use the one that names the model counts, then the latest that is valid on
    the day of the call. `calls.ports.usage.ServiceReport` lists the figures.
    """

    provider = models.CharField(max_length=40, help_text="As on the calls' pages: openai.")
    model = models.CharField(max_length=100, blank=True, help_text="Empty: any of its models.")
    figure = models.CharField(
        max_length=40, help_text="What is counted: input_tokens, characters, audio_ms, ..."
    )
    amount = models.DecimalField(max_digits=14, decimal_places=6, validators=[MinValueValidator(0)])
    per = models.PositiveIntegerField(
        default=1_000_000,
        validators=[MinValueValidator(1)],
        help_text="So many of the figure cost the amount: 1000000 tokens, 60000 ms.",
    )
    valid_from = models.DateField()

    class Meta:
        """As they are looked up."""

        ordering = ("provider", "model", "figure", "-valid_from")
        constraints = (
            models.UniqueConstraint(
                fields=["provider", "model", "figure", "valid_from"], name="price_once"
            ),
        )

    @override
    def __str__(self) -> str:
        return f"{self.provider} {self.model or 'any model'}: {self.figure}"
