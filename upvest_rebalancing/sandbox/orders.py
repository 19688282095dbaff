"""The orders of one execution, and the sorted list of them that moves while it is read."""

import heapq
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import attrs

from upvest_rebalancing.sandbox.lifecycle import CANCELLATIONS, Fate, identifier
from upvest_rebalancing.sandbox.messages import compact_json_text

# In the order of the list: ascending by the status's name.
_CANCELLED, _FILLED, _NEW, _PROCESSING = range(4)
_STATUSES: Final = ("CANCELLED", "FILLED", "NEW", "PROCESSING")
_FORM_LENGTHS: Final = (22, 23, 19)


def written_time(at: float, form: int = 0) -> str:
    """Write a time in one of the three forms in which Upvest writes them.

    Args:
        at: The time in Unix seconds.
        form: 0 for hundredths of a second, 1 for thousandths, 2 for whole seconds.
    """
    text = datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds")
    return f"{text[: _FORM_LENGTHS[form]]}Z"


@attrs.frozen
class OrderPage:
    """A page of an execution's orders.

    Attributes:
        rows: The orders of the page, each as JSON.
        total: How many orders there are in all.
    """

    rows: list[str] = attrs.field(repr=False)
    total: int


class OrderBook:
    """The orders of one execution.

    Orders are kept in the order of their ids, so that one stable sort by status gives the list;
    it is redone only after an order moved. Rows are written once per status of an order. So the
    list of a hundred thousand orders costs no more to read than one of a hundred.

    Args:
        seed: The world's seed.
        execution_id: The execution.
        created_at: When it was triggered, in Unix seconds.
        fates: What becomes of the order of each account.
        order_seconds: How long an order takes, about, in seconds.
        moves_per_read: How many orders move before each read, in place of the clock.
    """

    def __init__(
        self,
        *,
        seed: int,
        execution_id: str,
        created_at: float,
        fates: Mapping[str, Fate],
        order_seconds: float,
        moves_per_read: int | None,
    ) -> None:
        self._seed = seed
        self._execution_id = execution_id
        self._created_at = created_at
        self._created_texts = [written_time(created_at, form) for form in range(3)]
        self._moves_per_read = moves_per_read
        named = sorted(
            (identifier(seed, "order", execution_id, account), account) for account in fates
        )
        self._ids = [entry[0] for entry in named]
        self._accounts = [entry[1] for entry in named]
        self._fates = [fates[account] for account in self._accounts]
        self._seconds = order_seconds if moves_per_read is None else 1.0
        count = len(named)
        self._status = [_NEW] * count
        self._updated = [created_at] * count
        self._rows: list[str | None] = [None] * count
        self._sorted: list[int] | None = None
        # The next step of each order that is not final.
        self._steps = [
            (self._due(fate, processing=False), at) for at, fate in enumerate(self._fates)
        ]
        heapq.heapify(self._steps)
        self._all_done_at = created_at + self._seconds * max(
            (fate.final_at for fate in self._fates), default=0.0
        )
        self.updated_at = created_at

    def _due(self, fate: Fate, *, processing: bool) -> float:
        fraction = fate.final_at
        if not processing and fate.processing_at is not None:
            fraction = fate.processing_at
        return self._created_at + self._seconds * fraction

    def advance(self, now: float) -> None:
        """Let the clock move the orders, unless reads do.

        Args:
            now: The time in Unix seconds.
        """
        if self._moves_per_read is not None or not self._steps or self._steps[0][0] > now:
            return
        if self._all_done_at <= now:
            for _, at in self._steps:
                self._finish(at, self._due(self._fates[at], processing=True))
            self._steps.clear()
            return
        while self._steps and self._steps[0][0] <= now:
            due, at = heapq.heappop(self._steps)
            self._step(at, due)

    def __len__(self) -> int:
        return len(self._ids)

    def page(self, offset: int, limit: int, now: float, *, visible: int | None = None) -> OrderPage:
        """Read a page of the list, sorted by status and then by id.

        Args:
            offset: How many orders to leave out.
            limit: The most orders to return.
            now: The time in Unix seconds.
            visible: How many orders are in the list, those with the lowest ids; None for all.
        """
        if self._moves_per_read is not None:
            self._move(self._moves_per_read, now)
        self.advance(now)
        if self._sorted is None:
            self._sorted = sorted(range(len(self._ids)), key=self._status.__getitem__)
        listed: Sequence[int] = self._sorted
        if visible is not None and visible < len(listed):
            listed = [at for at in listed if at < visible]
        chosen = listed[offset : offset + limit]
        return OrderPage(rows=[self._row(at) for at in chosen], total=len(listed))

    def _move(self, count: int, now: float) -> None:
        # All are taken out before any is put back: each order takes one step a read.
        moving = [heapq.heappop(self._steps) for _ in range(min(count, len(self._steps)))]
        for _, at in moving:
            self._step(at, now)

    def _step(self, at: int, moment: float) -> None:
        fate = self._fates[at]
        if self._status[at] == _NEW and fate.processing_at is not None:
            self._set(at, _PROCESSING, moment)
            heapq.heappush(self._steps, (self._due(fate, processing=True), at))
        else:
            self._finish(at, moment)

    def _finish(self, at: int, moment: float) -> None:
        self._set(at, _FILLED if self._fates[at].reason is None else _CANCELLED, moment)

    def _set(self, at: int, status: int, moment: float) -> None:
        self._status[at] = status
        self._updated[at] = moment
        self._rows[at] = None
        self._sorted = None
        self.updated_at = max(self.updated_at, moment)

    def _row(self, at: int) -> str:
        row = self._rows[at]
        if row is None:
            row = self._rows[at] = self._written(at)
        return row

    def _written(self, at: int) -> str:
        fate, status = self._fates[at], self._status[at]
        portfolio_order_id = "null"
        if status != _NEW and fate.processing_at is not None:
            portfolio_order_id = f'"{identifier(self._seed, "portfolio order", self._ids[at])}"'
        cancellation = ""
        if status == _CANCELLED and fate.reason is not None:
            details = compact_json_text(CANCELLATIONS[fate.reason])
            cancellation = (
                f',"cancellation_reason":"{fate.reason}","cancellation_details":{details}'
            )
        # By hand, as nothing else in a row needs escaping: it takes a third of the time.
        return (
            f'{{"id":"{self._ids[at]}",'
            f'"created_at":"{self._created_texts[at % 3]}",'
            f'"updated_at":"{written_time(self._updated[at], at % 3)}",'
            f'"execution_id":"{self._execution_id}",'
            f'"account_id":"{self._accounts[at]}",'
            f'"portfolio_order_id":{portfolio_order_id},'
            f'"status":"{_STATUSES[status]}"{cancellation}}}'
        )
