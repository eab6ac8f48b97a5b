"""The machine's own monotonic clock."""

import asyncio
import time
from collections.abc import Callable


class MonotonicClock:
    def now_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000

    def call_at(self, due_ms: int, callback: Callable[[], None]) -> Callable[[], None]:
        delay_s = max(0, due_ms - self.now_ms()) / 1000
        return asyncio.get_running_loop().call_later(delay_s, callback).cancel

    async def sleep(self, ms: int) -> None:
        await asyncio.sleep(max(0, ms) / 1000)
