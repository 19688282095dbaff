"""Find out by reading little whether orders are still open in a list that is sorted by status.

Which status comes before which is the server's business. A reading of the whole list shows it,
and with it where the open orders lie: behind all those with a final status that sorts before
theirs, whose number can only grow, and before all those with one that sorts after theirs. One
page from between the two is enough to tell that the execution goes on. Where no page there has an
open order, or the list turns out not to be sorted, the whole list has to be read.

Pure: pages go in, offsets come out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby, pairwise
from typing import Final

import attrs

from upvest_rebalancing.models import ExecutionOrder, OrderStatus

SEARCH_PAGES: Final = 8
"""Pages that one search reads at the most, before the whole list is the better way."""

RUNS: Final = 100
"""Kinds of pages that are remembered, by their statuses; a sorted list has but a few."""


@attrs.define(eq=False, repr=False)
class Search:
    """Look for an order that is open: read at `offset`, hand the page to `take`.

    Attributes:
        low: No order before this offset is open.
        high: No order from this offset on is open, if the list's total is right.
        seen: No order that was seen lay from this offset on and was open.
        page_size: Rows that a page is likely to have.
        before: Final statuses that sort before those of open orders.
        after: Final statuses that sort after those of open orders.
        found: Whether an open order was found.
    """

    low: int
    high: int
    seen: int
    page_size: int
    before: frozenset[OrderStatus]
    after: frozenset[OrderStatus]
    found: bool = attrs.field(default=False, init=False)
    _pages: int = attrs.field(default=0, init=False)

    @property
    def offset(self) -> int | None:
        """Where to read next; None once there is nowhere left to look."""
        if self.found or self.low >= self.high or self._pages >= SEARCH_PAGES:
            return None
        if not self.before:
            return self.low
        # The open ones lie at the end where nothing sorts after them, and in the middle otherwise.
        last = self.high - self.page_size
        return max(self.low, (self.low + last) // 2 if self.after else last)

    def take(self, rows: Sequence[ExecutionOrder]) -> None:
        """Take the page that was read at `offset`.

        Raises:
            RuntimeError: The search is over.
        """
        offset = self.offset
        if offset is None:
            raise RuntimeError("the search is over")
        self._pages += 1
        self.found = not all(row.status.is_final for row in rows)
        if not rows:
            self.high = min(offset, self.seen)
        elif rows[-1].status in self.before:
            self.low = offset + len(rows)
        elif rows[0].status in self.after:
            self.high = offset
        else:
            # The two kinds meet on this page, or a status is new: nothing is left to look at.
            self.high = self.low


@attrs.define(eq=False, repr=False)
class Layout:
    """Learn from a reading of the whole list how its statuses are sorted."""

    _rows: Counter[OrderStatus] = attrs.field(factory=Counter, init=False)
    _places: Counter[OrderStatus] = attrs.field(factory=Counter, init=False)
    _runs: set[tuple[OrderStatus, ...]] = attrs.field(factory=set, init=False)
    _count: int = attrs.field(default=0, init=False)

    def add(self, rows: Iterable[ExecutionOrder]) -> None:
        """Add the orders of a page that no earlier page had; pages come in their order."""
        run: list[OrderStatus] = []
        for status, group in groupby(row.status for row in rows):
            run.append(status)
            size = sum(1 for _ in group)
            self._rows[status] += size
            self._places[status] += size * self._count + size * (size - 1) // 2
            self._count += size
        if len(self._runs) < RUNS:
            self._runs.add(tuple(run))

    @property
    def _is_sorted(self) -> bool:
        # Only within a page: between two pages the list has moved.
        ranks = {status: rank for rank, status in enumerate(self._statuses)}
        return all(ranks[a] < ranks[b] for run in self._runs for a, b in pairwise(run))

    @property
    def _statuses(self) -> list[OrderStatus]:
        # By their place on average, which rows that moved between two pages do not change.
        return sorted(self._rows, key=lambda status: self._places[status] / self._rows[status])

    def search(self, *, total: int, page_size: int) -> Search | None:
        """Begin a search for an open order.

        Args:
            total: Orders that the list says it has by now.
            page_size: Rows that a page is likely to have.

        Returns:
            The search; None where none was open, or where the open ones are in no one place.
        """
        if not self._is_sorted:
            return None
        statuses = self._statuses
        open_at = [at for at, status in enumerate(statuses) if not status.is_final]
        if not open_at or len(open_at) != open_at[-1] - open_at[0] + 1:
            return None
        before, after = statuses[: open_at[0]], statuses[open_at[-1] + 1 :]
        behind = sum(self._rows[status] for status in after)
        return Search(
            low=sum(self._rows[status] for status in before),
            high=max(total, self._count) - behind,
            seen=self._count - behind,
            page_size=page_size,
            before=frozenset(before),
            after=frozenset(after),
        )
