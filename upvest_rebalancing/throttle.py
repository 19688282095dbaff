"""Hold requests back: by number, by rate, and all together when the server asks for it.

There are never more at once than there are connections. A request is admitted before it is
signed: a signature that waits for a connection grows old. How fast they go is decided by
`upvest_rebalancing.protocol.pacing`; here they stand in line, with one timer for all of them.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Protocol, TypeAlias

import attrs

from upvest_rebalancing.errors import ClientClosedError
from upvest_rebalancing.protocol.pacing import Pacing, Reservation


class Timer(Protocol):
    """Something that was scheduled, and can be called off."""

    def cancel(self) -> None:
        """Call it off."""


PER_TURN: Final = 16
"""Requests that one turn of the event loop admits: to begin one takes it about 0.1 ms, and whatever
else runs on the loop must have its turn before a hundred of them are begun."""

Schedule: TypeAlias = Callable[[float, Callable[[], None]], Timer]
"""Take seconds and a callback, and call it back after them."""

# Ordered for a first one and a removal that both take the same time in a line of any length.
_Line: TypeAlias = OrderedDict[asyncio.Future[Reservation], None]


def call_later(seconds: float, callback: Callable[[], None]) -> Timer:
    """Schedule a callback on the running event loop."""
    return asyncio.get_running_loop().call_later(seconds, callback)


@attrs.define(eq=False, repr=False, kw_only=True)
class Throttle:
    """Admit requests one by one, in the order in which they asked.

    Each admission wakes one task, however many wait. All methods are for one event loop's thread.

    Attributes:
        concurrency: Requests under way at once, at the most.
        pacing: Says when the next one may go.
        clock: Gives seconds that never go back.
        schedule: Calls back after so many seconds; for tests.
        obeys_policies: Whether a limit that the server tells in ``RateLimit-Policy`` counts.
    """

    concurrency: int
    pacing: Pacing
    clock: Callable[[], float]
    schedule: Schedule = call_later
    obeys_policies: bool = False
    _active: int = attrs.field(default=0, init=False)
    _urgent: _Line = attrs.field(factory=OrderedDict, init=False)
    _calls: _Line = attrs.field(factory=OrderedDict, init=False)
    _timer: Timer | None = attrs.field(default=None, init=False)
    _timer_at: float = attrs.field(default=0.0, init=False)
    _is_closed: bool = attrs.field(default=False, init=False)
    _left_in_turn: int = attrs.field(default=PER_TURN, init=False)

    @property
    def active(self) -> int:
        """The number of requests that hold a place."""
        return self._active

    @property
    def waiting(self) -> int:
        """The number of requests that stand in line."""
        return len(self._urgent) + len(self._calls)

    def enter_now(self) -> bool:
        """Take a place if one is free at this moment, the pace allows it and nobody waits.

        Returns:
            Whether it was taken; whoever took one gives it back by `leave`.
        """
        if (
            self._is_closed
            or self._calls
            or self._urgent
            or self._active >= self.concurrency
            or not self._left_in_turn
        ):
            return False
        now = self.clock()
        if self.pacing.delay(now) > 0:
            return False
        self.pacing.take(now)
        self._active += 1
        self._count()
        return True

    async def enter(self) -> None:
        """Wait for a place and for the pace; `leave` gives the place back.

        Raises:
            ClientClosedError: The throttle is closed, or was closed meanwhile.
        """
        await self._stand_in(self._calls)

    def leave(self) -> None:
        """Give a place back."""
        self._active -= 1
        if self._calls or self._urgent:
            self._let_go()

    async def pace(self) -> None:
        """Wait for the pace alone, before all that wait in `enter`.

        This is for the token request: it takes no place, as those who hold one may wait for its
        token, and goes first, as those in line are of no use without it.

        Raises:
            ClientClosedError: The throttle is closed, or was closed meanwhile.
        """
        await self._stand_in(self._urgent)

    def answered(
        self,
        status: int,
        *,
        sent_at: float,
        retry_after: float | None = None,
        policy: str | None = None,
    ) -> None:
        """Learn from an answer; best before its place is given back.

        Args:
            status: The answer's status.
            sent_at: When the request was admitted, in seconds on the throttle's clock.
            retry_after: Seconds that the server asks to wait.
            policy: The answer's ``RateLimit-Policy`` header.
        """
        if policy is not None and self.obeys_policies:
            self.pacing.told(policy)
        self.pacing.answered(self.clock(), status, sent_at=sent_at, retry_after=retry_after)
        if self._timer is not None:
            self._let_go()  # A hold may have ended before its time.

    def open(self) -> None:
        """Admit again after `close`."""
        self._is_closed = False
        # The event loop may be another one, and the turn of the old one never ended.
        self._left_in_turn = PER_TURN

    def close(self) -> None:
        """Send all that wait away, leave no timer behind, and admit nobody from now on."""
        self._is_closed = True
        for line in (self._urgent, self._calls):
            while line:
                waiter, _ = line.popitem()
                if not waiter.done():
                    waiter.set_exception(ClientClosedError("the client was closed in mid-call"))
        self._stop_timer()

    async def _stand_in(self, line: _Line) -> None:
        if self._is_closed:
            raise ClientClosedError("the client is closed; use it inside 'async with'")
        waiter: asyncio.Future[Reservation] = asyncio.get_running_loop().create_future()
        line[waiter] = None
        self._let_go()
        if waiter.done():
            return
        try:
            await waiter
        except asyncio.CancelledError:
            line.pop(waiter, None)
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                # Admitted in the same turn of the loop in which its task was cancelled.
                self.pacing.give_back(waiter.result())
                if line is self._calls:
                    self._active -= 1
            self._let_go()
            raise

    def _next_line(self) -> _Line | None:
        if self._urgent:
            return self._urgent
        return self._calls if self._calls and self._active < self.concurrency else None

    def _let_go(self) -> None:
        """Admit all that may go now, and set the timer for the one that is next."""
        while self._left_in_turn and (line := self._next_line()) is not None:
            now = self.clock()
            seconds = self.pacing.delay(now)
            if seconds > 0:
                self._wake_at(now, seconds)
                return
            waiter, _ = line.popitem(last=False)
            if waiter.done():
                continue  # Cancelled, and its task did not run since.
            if line is self._calls:
                self._active += 1
            waiter.set_result(self.pacing.take(now))
            self._count()
        if self._left_in_turn:
            self._stop_timer()

    def _count(self) -> None:
        self._left_in_turn -= 1
        if self._left_in_turn == PER_TURN // 2:
            # Not at the first of each turn: a turn that admits one needs no end.
            asyncio.get_running_loop().call_soon(self._begin_turn)

    def _begin_turn(self) -> None:
        self._left_in_turn = PER_TURN
        if self._calls or self._urgent:
            self._let_go()

    def _wake_at(self, now: float, seconds: float) -> None:
        if self._timer is not None:
            if self._timer_at <= now + seconds:
                return  # It comes too early, if anything, and is set again then.
            self._timer.cancel()
        self._timer_at = now + seconds
        self._timer = self.schedule(seconds, self._woken)

    def _woken(self) -> None:
        self._timer = None
        self._let_go()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
