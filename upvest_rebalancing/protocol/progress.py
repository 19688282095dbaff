"""Put readings of an execution's orders together until nothing more can change.

Pure: readings and the time go in, an outcome and whether it is the last one come out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from uuid import UUID

import attrs

from upvest_rebalancing.models import Execution, ExecutionOrder, ExecutionOutcome, WalkVerdict

SETTLING: Final = 2.0
"""Seconds between two equal readings before they count as the whole list.

Only where nobody can say how many orders there should be: an execution that was triggered for
allocations, whose orders may still be being made.
"""

SETTLING_EMPTY: Final = 15.0
"""The same, where the list is empty: more likely late than empty."""


@attrs.define(kw_only=True)
class Progress:
    """Keep the latest of what was read of each order.

    Attributes:
        execution: The execution that is waited for.
        started: When waiting began, in seconds on the caller's clock.
    """

    execution: Execution
    started: float
    _orders: dict[UUID, ExecutionOrder] = attrs.field(factory=dict, init=False)
    _verdict: WalkVerdict | None = attrs.field(default=None, init=False)
    _readings: int = attrs.field(default=0, init=False)
    _same_since: float | None = attrs.field(default=None, init=False)
    _ids: frozenset[UUID] = attrs.field(default=frozenset(), init=False)

    @property
    def accounts(self) -> int | None:
        """How many orders there will be: one per account; None where nobody can say."""
        return len(set(self.execution.accounts)) if self.execution.accounts else None

    def take(self, orders: Iterable[ExecutionOrder], verdict: WalkVerdict, now: float) -> bool:
        """Take one reading of the whole list.

        Args:
            orders: What was read.
            verdict: How complete the reading is.
            now: When it was over, in seconds on the caller's clock.

        Returns:
            True where every order is there and final.
        """
        self._readings += 1
        self._verdict = verdict
        for order in orders:
            known = self._orders.get(order.id)
            if known is None or _is_news(order, known):
                self._orders[order.id] = order
        ids = frozenset(self._orders)
        if not verdict.complete:
            self._same_since = None
        elif self._same_since is None or ids != self._ids:
            self._same_since = now
        self._ids = ids
        return self._is_done(now)

    def _is_done(self, now: float) -> bool:
        if not all(order.status.is_final for order in self._orders.values()):
            return False
        if self.accounts is not None:
            return len(self._orders) >= max(self.accounts, self._expected)
        if self._same_since is None:
            return False
        return now - self._same_since >= (SETTLING if self._orders else SETTLING_EMPTY)

    @property
    def _expected(self) -> int:
        return self._verdict.expected if self._verdict is not None else 0

    def outcome(self, now: float) -> ExecutionOutcome:
        """Say what is known at this time."""
        return ExecutionOutcome(
            execution_id=self.execution.id,
            orders=tuple(self._orders.values()),
            expected=max(self.accounts or 0, self._expected, len(self._orders)),
            verdict=self._verdict,
            readings=self._readings,
            elapsed=now - self.started,
        )


def _is_news(order: ExecutionOrder, known: ExecutionOrder) -> bool:
    # A reading may come from a server that lags behind: what was final stays so.
    if order.status.rank != known.status.rank:
        return order.status.rank > known.status.rank
    return order.updated_at >= known.updated_at
