"""A list of orders that moves while it is read, and servers that serve it well and badly."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import attrs
from hypothesis import strategies as st

from upvest_rebalancing.models import ExecutionOrder, OrderStatus, Page, PageMeta
from upvest_rebalancing.protocol.pagination import Walk

EXECUTION = UUID("735381ce-8380-4b07-9e42-97e2b6d3643e")
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ALPHABETICAL = ("CANCELLED", "FILLED", "NEW", "PROCESSING", "SETTLED")
BY_LIFE = ("NEW", "PROCESSING", "FILLED", "CANCELLED", "SETTLED")


def identifier(number: int, kind: int = 1) -> UUID:
    return UUID(int=(kind << 96) | (4 << 76) | (2 << 62) | number)


def order(
    number: int, status: str = "NEW", *, at: float = 0, account: int | None = None, **more: Any
) -> ExecutionOrder:
    return ExecutionOrder(
        id=identifier(number),
        execution_id=EXECUTION,
        account_id=identifier(number if account is None else account, kind=2),
        status=OrderStatus(status),
        created_at=NOW,
        updated_at=NOW + timedelta(seconds=at),
        **more,
    )


def page(rows: Sequence[ExecutionOrder], *, offset: int = 0, limit: int = 1000, total: int) -> Page:
    meta = PageMeta(offset=offset, limit=limit, count=len(rows), total_count=total)
    return Page(meta=meta, data=tuple(rows))


@attrs.define
class MovingList:
    """Orders that are sorted by status, then by id.

    `before_read` is called with the list and the number of the read, counted from 0, before each;
    `total` says what the answer claims the list's length to be.
    """

    orders: dict[int, ExecutionOrder] = attrs.field(factory=dict)
    sorting: Sequence[str] = ALPHABETICAL
    before_read: Callable[[MovingList, int], None] = lambda _list, _number: None
    total: Callable[[int], int] = lambda count: count
    largest_page: int = 1000
    ignores_offset: bool = False
    clamps_offset: bool = False
    ignores_limit: bool = False
    repeats_a_row: bool = False
    empty_reads: frozenset[int] = frozenset()
    short_reads: frozenset[int] = frozenset()
    reads: list[tuple[int, int]] = attrs.field(factory=list)
    clock: int = 0
    _sorted: tuple[object, list[ExecutionOrder]] = attrs.field(default=(None, []), init=False)

    @classmethod
    def of(cls, count: int, status: str = "NEW", **more: Any) -> MovingList:
        return cls({number: order(number, status) for number in range(count)}, **more)

    @property
    def ids(self) -> set[UUID]:
        return {order.id for order in self.orders.values()}

    def move(self, number: int, status: str, **more: Any) -> None:
        self.clock += 1
        self.orders[number] = order(number, status, at=self.clock, **more)

    def advance(self, count: int) -> None:
        """Let so many orders take their next step, those that come first by their id."""
        following = {"NEW": "PROCESSING", "PROCESSING": "FILLED"}
        moving = [n for n, each in self.orders.items() if each.status in following][:count]
        for number in moving:
            status = following[self.orders[number].status]
            self.move(number, "CANCELLED" if (status, number % 7) == ("FILLED", 3) else status)

    def add(self, count: int, status: str = "NEW") -> None:
        first = max(self.orders, default=-1) + 1
        for number in range(first, first + count):
            self.orders[number] = order(number, status)

    def remove(self, count: int) -> None:
        for number in list(self.orders)[:count]:
            del self.orders[number]

    def rows(self) -> list[ExecutionOrder]:
        state = (id(self.orders), self.clock, len(self.orders))
        if self._sorted[0] != state:
            self._sorted = (state, self._sort())
        return self._sorted[1]

    def _sort(self) -> list[ExecutionOrder]:
        places = {status: place for place, status in enumerate(self.sorting)}
        ranked = sorted(self.orders.items(), key=lambda item: (places[item[1].status], item[0]))
        return [each for _, each in ranked]

    def read(self, offset: int, limit: int) -> Page:
        number = len(self.reads)
        self.reads.append((offset, limit))
        self.before_read(self, number)
        rows = self.rows()
        start = 0 if self.ignores_offset else offset
        if self.clamps_offset:
            start = max(0, min(start, len(rows) - limit))
        size = len(rows) if self.ignores_limit else min(limit, self.largest_page)
        found = rows[start : start + size]
        if number in self.empty_reads:
            found = []
        if number in self.short_reads:
            found = found[: max(1, len(found) // 2)]
        if self.repeats_a_row:
            found = [*found, *found[:1]]
        return page(found, offset=offset, limit=limit, total=self.total(len(rows)))


@attrs.define
class Reader:
    """The `read` of a walk over a list, which counts what is under way."""

    source: MovingList
    delay: Callable[[int], Any] = lambda _offset: asyncio.sleep(0)
    fail: Callable[[int], BaseException | None] = lambda _offset: None
    under_way: int = 0
    most_under_way: int = 0

    async def __call__(self, offset: int, limit: int) -> Page:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self.delay(offset)
            failure = self.fail(offset)
            if failure is not None:
                raise failure
            return self.source.read(offset, limit)
        finally:
            self.under_way -= 1


def carry_out(walk: Walk, source: MovingList, window: int = 1) -> list[ExecutionOrder]:
    """Walk a list to the end, reading whole windows before anything of them is taken."""
    found: list[ExecutionOrder] = []
    while offsets := walk.plan(window):
        pages = [(offset, source.read(offset, walk.page_size)) for offset in offsets]
        for offset, answer in pages:
            if offset == walk.offset:
                found += walk.take(answer.meta, answer.data)
    return found


Change = tuple[str, int]


def played(changes: Iterable[Iterable[Change]]) -> Callable[[MovingList, int], None]:
    """Make a `before_read` that plays changes, some for each read, until they are used up."""
    script = [list(some) for some in changes]

    def play(source: MovingList, number: int) -> None:
        for kind, count in script[number] if number < len(script) else ():
            getattr(source, kind)(count)

    return play


def changes(*kinds: str) -> st.SearchStrategy[list[list[Change]]]:
    change = st.tuples(st.sampled_from(kinds), st.integers(1, 8))
    return st.lists(st.lists(change, max_size=2), max_size=30)


TOTALS: dict[str, Callable[[int], int]] = {
    "right": lambda count: count,
    "one too small": lambda count: count - 1,
    "half": lambda count: count // 2,
    "zero": lambda _count: 0,
    "negative": lambda _count: -5,
    "one too large": lambda count: count + 1,
    "a thousand million": lambda _count: 10**9,
    "beyond every offset": lambda _count: 10**12,
}
