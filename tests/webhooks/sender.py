"""A process that sends what is due, until it is killed; started by the tests."""

import asyncio

import django

django.setup()

from calls.wiring.webhooks import deliveries_run_due  # noqa: E402

asyncio.run(deliveries_run_due())
