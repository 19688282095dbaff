"""Time that jumps: an event loop that never waits, and a clock with timers for a lone throttle."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import attrs

T = TypeVar("T")


class _JumpingSelector(selectors.SelectSelector):
    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "nothing will ever happen again"
            self.now += max(0.0, timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose seconds pass at once."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def run(main: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


@attrs.define(eq=False)
class Alarm:
    at: float
    callback: Callable[[], None]
    is_cancelled: bool = False

    def cancel(self) -> None:
        self.is_cancelled = True


@attrs.define(eq=False)
class FakeTime:
    """A clock that is set, and the timers that go by it."""

    now: float = 100.0
    scheduled: int = 0
    _alarms: list[tuple[float, int, Alarm]] = attrs.field(factory=list)
    _numbers: itertools.count[int] = attrs.field(factory=itertools.count)

    def clock(self) -> float:
        return self.now

    def schedule(self, seconds: float, callback: Callable[[], None]) -> Alarm:
        assert seconds > 0
        self.scheduled += 1
        alarm = Alarm(self.now + seconds, callback)
        heapq.heappush(self._alarms, (alarm.at, next(self._numbers), alarm))
        return alarm

    @property
    def pending(self) -> int:
        """The number of timers that are set."""
        return sum(not alarm.is_cancelled for _, _, alarm in self._alarms)

    def ring(self) -> None:
        """Let all timers go off that are due, and no task run."""
        while self._alarms and self._alarms[0][0] <= self.now:
            alarm = heapq.heappop(self._alarms)[2]
            if not alarm.is_cancelled:
                alarm.callback()

    async def advance(self, seconds: float) -> None:
        """Let time pass, timer by timer, and let the tasks run."""
        await settle()
        end = self.now + seconds
        while self._alarms and self._alarms[0][0] <= end:
            self.now = max(self.now, self._alarms[0][0])
            self.ring()
            await settle()
        self.now = max(self.now, end)
        await settle()


async def settle() -> None:
    """Let every task run until it waits for something."""
    for _ in range(5):
        await asyncio.sleep(0)
