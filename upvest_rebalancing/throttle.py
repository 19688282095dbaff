"""Hold requests back: by number, by rate, and all together when the server asks for it.

There are never more at once than there are connections. A request is admitted before it is
signed: a signature that waits for a connection grows old.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import attrs


@attrs.define(eq=False)
class Throttle:
    """Admit requests one by one, in the order in which they asked.

    Attributes:
        concurrency: Requests under way at once, at the most.
        rate: Requests per second, evenly spaced; None for no limit.
        clock: Gives seconds that never go back.
        sleep: Sleeps for seconds.
    """

    concurrency: int
    rate: float | None
    clock: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    _slots: asyncio.Semaphore = attrs.field(init=False)
    _next: float = attrs.field(default=0.0, init=False)
    _paused_until: float = attrs.field(default=0.0, init=False)

    def __attrs_post_init__(self) -> None:
        self._slots = asyncio.Semaphore(self.concurrency)

    @asynccontextmanager
    async def admit(self) -> AsyncIterator[None]:
        """Wait for a place, hold it for the length of the block, and give it back."""
        async with self._slots:
            await self.pace()
            yield

    async def pace(self) -> None:
        """Wait for the rate and for a pause that is on, without taking a place."""
        while True:
            now = self.clock()
            at = max(now, self._paused_until)
            if self.rate is not None:
                at = max(at, self._next)
                self._next = at + 1 / self.rate
            if at > now:
                await self.sleep(at - now)
            # A pause that began meanwhile sends everyone back, or they would all go at its end.
            if self.clock() >= self._paused_until:
                return

    def pause(self, seconds: float) -> None:
        """Let nobody go for so many seconds: the server is at its limit, whoever asks it."""
        self._paused_until = max(self._paused_until, self.clock() + seconds)
