"""OpenAI Realtime keeps the promises of a voice session, over a real socket."""

import pytest_asyncio

from tests.providers.parity import VoiceSessionPromises
from tests.providers.realtime_rig import realtime_rig


class TestRealtime(VoiceSessionPromises):
    @pytest_asyncio.fixture
    async def rig(self):
        async with realtime_rig() as rig:
            yield rig
