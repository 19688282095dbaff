"""Walk over an execution's orders, page by page; the arithmetic is `protocol.pagination`'s."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Self

import attrs

from upvest_rebalancing.models import ExecutionOrder, Page, WalkVerdict
from upvest_rebalancing.protocol.pagination import Walk


@attrs.define(eq=False, kw_only=True)
class OrderWalk:
    """An execution's orders, each once, read page by page while one iterates.

    Nothing is sent before the first step. The list moves while it is read, so pages are read again
    until every order was seen, or until that brings nothing new; `verdict` says which it was.

    Example:
        >>> async def show(client, execution_id):
        ...     walk = client.orders(execution_id)
        ...     async for order in walk:
        ...         print(order.account_id, order.status)
        ...     assert walk.verdict.complete, walk.verdict
    """

    _read: Callable[[int, int], Awaitable[Page]]
    _page_size: int
    _start: int = 0
    _walk: Walk | None = attrs.field(default=None, init=False)

    def __aiter__(self) -> AsyncIterator[ExecutionOrder]:
        return _Orders(self.pages())

    def pages(self) -> AsyncIterator[Page]:
        """Walk page by page.

        Returns:
            An iterator of the pages that bring something new, each with its new orders only; the
            rows as they came are in `Page.raw`. An empty list is one empty page.
        """
        self._walk = Walk(start=self._start)
        return _Pages(self._walk, self._read, self._page_size)

    async def total(self) -> int:
        """Ask how many orders the list has now, by one request that brings none.

        Raises:
            RequestError: The call failed for good.
        """
        page = await self._read(self._start, 0)
        return max(0, page.meta.total_count)

    @property
    def verdict(self) -> WalkVerdict:
        """How complete the walk that was begun last is, or has been so far."""
        return (self._walk or Walk(start=self._start)).verdict


@attrs.define(eq=False)
class _Pages:
    _walk: Walk
    _read: Callable[[int, int], Awaitable[Page]]
    _page_size: int

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Page:
        while (offset := self._walk.offset) is not None:
            first = self._walk.verdict.pages == 0
            page = await self._read(offset, self._page_size)
            fresh = self._walk.take(page.meta, page.data)
            if fresh or first:
                return attrs.evolve(page, data=tuple(fresh))
        raise StopAsyncIteration


@attrs.define(eq=False)
class _Orders:
    _pages: AsyncIterator[Page]
    _waiting: deque[ExecutionOrder] = attrs.field(factory=deque, init=False)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ExecutionOrder:
        while not self._waiting:
            self._waiting.extend((await anext(self._pages)).data)
        return self._waiting.popleft()
