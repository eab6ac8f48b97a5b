"""A lease that is kept for as long as its work goes on."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from django.db.models import Model

from calls.conf import calls_settings
from calls.store.database import AWAY, in_database
from calls.store.work import Lease, work_keep

logger = logging.getLogger(__name__)

_TIMES_A_LEASE = 3
"""So often it is renewed while it lasts: one that comes late loses nothing."""


@asynccontextmanager
async def lease_kept(model: type[Model], lease: Lease) -> AsyncIterator[None]:
    """Renew the lease on a row until the block is over.

    A lease that is lost all the same, in an outage, does not end the block: what it comes to is
    not written.
    """
    failed: Exception | None = None
    async with asyncio.TaskGroup() as group:
        renewing = group.create_task(_renew(model, lease), name="lease")
        try:
            yield
        except Exception as error:  # noqa: BLE001 - raised again, without a group around it
            failed = error
        finally:
            renewing.cancel()
    if failed is not None:
        raise failed


async def _renew(model: type[Model], lease: Lease) -> None:
    held = True
    while held:
        await asyncio.sleep(calls_settings().lease_seconds / _TIMES_A_LEASE)
        try:
            held = await in_database(work_keep, model, lease)
        except AWAY:
            logger.warning("The database is away: a lease is not renewed")
