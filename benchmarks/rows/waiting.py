"""Waiting for an execution of 100,000 orders: how many requests the looks take.

Nothing is timed: requests are counted, in memory and on a clock that only the sleeping moves. So
the figures are the same on every machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import attrs

from benchmarks.results import Check, Goal, Row
from upvest_rebalancing.models import (
    Execution,
    ExecutionOrder,
    ExecutionOutcome,
    OrderStatus,
    Page,
    PageMeta,
)
from upvest_rebalancing.protocol.endpoints import MAX_PAGE_SIZE
from upvest_rebalancing.waiting import Watch

TOTAL: Final = 100_000
LOOKS: Final = 200
_BEGUN_AHEAD: Final = 0.2
"""The part of the list that is PROCESSING at a time, ahead of what is FILLED."""

_MOMENT: Final = datetime(2021, 7, 21, 14, 10, tzinfo=UTC)
_EXECUTION: Final = UUID(int=1, version=4)


@attrs.define(eq=False)
class World:
    """A list that moves while one sleeps, sorted by status as the sandbox sorts it.

    Orders take their steps in their order: those before `filled` are FILLED, those from there to
    `begun` PROCESSING, all others NEW. FILLED sorts before NEW, and NEW before PROCESSING.
    """

    time: float = 0.0
    sleeps: int = 0
    reads: list[int] = attrs.field(factory=list)
    _ids: list[UUID] = attrs.field(factory=lambda: [UUID(int=n, version=4) for n in range(TOTAL)])

    @property
    def filled(self) -> int:
        """How many orders are final by now: all of them by the last look."""
        return min(TOTAL, TOTAL * self.sleeps // (LOOKS - 1))

    @property
    def begun(self) -> int:
        """How many orders are no longer NEW."""
        return min(TOTAL, self.filled + int(TOTAL * _BEGUN_AHEAD))

    async def execution(self) -> Execution:
        """Give the execution, with the accounts that it was triggered for."""
        return Execution(
            id=_EXECUTION, created_at=_MOMENT, updated_at=_MOMENT, accounts=tuple(self._ids)
        )

    async def read(self, offset: int, limit: int) -> Page:
        """Give a page of the list as it is now."""
        self.reads.append(offset)
        rows = tuple(self._order(at) for at in range(offset, min(offset + limit, TOTAL)))
        meta = PageMeta(offset=offset, limit=limit, count=len(rows), total_count=TOTAL)
        return Page(meta=meta, data=rows)

    async def sleep(self, seconds: float) -> None:
        """Let time pass, and the orders move."""
        self.time += seconds
        self.sleeps += 1

    def _order(self, place: int) -> ExecutionOrder:
        filled, begun = self.filled, self.begun
        new = TOTAL - begun
        if place < filled:
            number, status = place, OrderStatus.FILLED
        elif place < filled + new:
            number, status = place - filled + begun, OrderStatus.NEW
        else:
            number, status = place - new, OrderStatus.PROCESSING
        return ExecutionOrder(
            id=self._ids[number],
            execution_id=_EXECUTION,
            account_id=self._ids[number],
            status=status,
            created_at=_MOMENT,
            updated_at=_MOMENT,
        )


def measure(seconds: float) -> Sequence[Row]:
    """Count once; the seconds are not asked for."""
    del seconds
    return [asyncio.run(_measure())]


async def _measure() -> Row:
    world = World()
    watch = Watch(
        execution=world.execution,
        read=world.read,
        timeout=None,
        clock=lambda: world.time,
        sleep=world.sleep,
        jitter=lambda longest: longest,
    )
    last: ExecutionOutcome | None = None
    before = 0
    requests: list[int] = []
    async for outcome in watch:
        requests.append(len(world.reads) - before)
        before, last = len(world.reads), outcome
    walk = TOTAL // MAX_PAGE_SIZE
    ended_well = last is not None and last.is_final and requests[-1] >= walk
    per_look = len(world.reads) / len(requests)
    return Row(
        name="waiting for an execution of 100,000 orders",
        checks=[
            Check(
                what="requests per look",
                measured=f"{per_look:.1f}",
                against=f"{walk} for a full walk",
                value=per_look / walk,
                goal=Goal("at most", 0.2),
            ),
            Check(
                what="full walks that confirm the end",
                measured=f"{requests[-1]} requests in the last look",
                value=1.0 if ended_well else 0.0,
                goal=Goal("at least", 1, "walk"),
            ),
        ],
        notes=[
            (
                f"{len(requests)} looks in {world.time:,.0f} s of the simulated clock took "
                f"{len(world.reads):,} requests; {sum(count >= walk for count in requests)} of the "
                "looks read the whole list."
            )
        ],
    )
