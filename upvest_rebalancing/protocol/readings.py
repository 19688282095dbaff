"""Keep the latest reading of each order, and hand out what is known without copying it.

Pure: orders go in, snapshots come out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, overload
from uuid import UUID

import attrs

from upvest_rebalancing.models import CancellationReason, ExecutionOrder, OrderStatus

SUPERSEDED: Final = 0.25
"""The share of readings that may be out of date before the journal is written anew."""


@attrs.define(eq=False)
class Snapshot(Sequence[ExecutionOrder]):
    """The latest reading of each order, as of one moment; put together when it is looked at.

    It exists because progress is told far more often than anyone looks at every order.
    """

    _journal: list[ExecutionOrder]
    _length: int
    _count: int
    _orders: tuple[ExecutionOrder, ...] | None = attrs.field(default=None, init=False)

    @property
    def _together(self) -> tuple[ExecutionOrder, ...]:
        if self._orders is None:
            journal = islice(self._journal, self._length)
            self._orders = tuple({order.id: order for order in journal}.values())
        return self._orders

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> ExecutionOrder: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[ExecutionOrder, ...]: ...
    def __getitem__(self, index: int | slice) -> ExecutionOrder | tuple[ExecutionOrder, ...]:
        return self._together[index]

    def __iter__(self) -> Iterator[ExecutionOrder]:
        return iter(self._together)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Snapshot):
            return self._together == other._together
        return self._together == other if isinstance(other, tuple) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._together)

    def __repr__(self) -> str:
        return repr(self._together)

    def __reduce__(self) -> tuple[Any, ...]:
        # Neither what came later nor what was superseded is worth a place in a pickle.
        return tuple, (self._together,)


@attrs.define(eq=False, repr=False)
class Readings:
    """The latest reading of each order.

    Attributes:
        by_status: The number of orders by status.
        by_cancellation_reason: The number of cancelled orders by reason.
        open: Orders that are not in a final status.
    """

    by_status: Counter[OrderStatus] = attrs.field(factory=Counter, init=False)
    by_cancellation_reason: Counter[CancellationReason] = attrs.field(factory=Counter, init=False)
    open: int = attrs.field(default=0, init=False)
    _latest: dict[UUID, ExecutionOrder] = attrs.field(factory=dict, init=False)
    # Only ever added to, so that a snapshot is no more than a length of it.
    _journal: list[ExecutionOrder] = attrs.field(factory=list, init=False)

    def __len__(self) -> int:
        return len(self._latest)

    def take(self, orders: Iterable[ExecutionOrder]) -> list[ExecutionOrder]:
        """Take orders as they were read.

        Args:
            orders: In any order; what is older than what is known is left out.

        Returns:
            Those that were news.
        """
        news = [order for order in orders if self._take(order)]
        if len(self._journal) > (1 + SUPERSEDED) * len(self._latest):
            self._journal = list(self._latest.values())
        return news

    def _take(self, order: ExecutionOrder) -> bool:
        known = self._latest.get(order.id)
        if known is not None:
            if not is_news(order, known):
                return False
            self._count(known, -1)
        self._count(order, 1)
        self._latest[order.id] = order
        self._journal.append(order)
        return True

    def _count(self, order: ExecutionOrder, by: int) -> None:
        self.by_status[order.status] += by
        self.open += 0 if order.status.is_final else by
        if order.status is OrderStatus.CANCELLED:
            reason = order.cancellation_reason or CancellationReason.UNKNOWN
            self.by_cancellation_reason[reason] += by

    def snapshot(self) -> Snapshot:
        """Give the latest readings as they are now; what is taken later does not change it."""
        return Snapshot(self._journal, len(self._journal), len(self._latest))


def is_news(order: ExecutionOrder, known: ExecutionOrder) -> bool:
    """Tell whether a reading says more than the one that is known.

    A reading may come from a server that lags behind: a status never goes back, and what is final
    gives way only to what comes after it.
    """
    before, after = known.status, order.status
    if before.rank != after.rank or (before.is_final and before != after):
        return after.rank > before.rank
    return order.updated_at >= known.updated_at and order != known
