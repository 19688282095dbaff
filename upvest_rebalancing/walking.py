"""Walk over an execution's orders, page by page; the arithmetic is `protocol.pagination`'s.

Pages are read ahead in windows: one step reads as many pages as the window has, all at once, and
the steps after it take from what was read, until that is used up and the next window is read.
So nothing runs while the caller's code does, and an iterator that is left unfinished (a break, an
error, a cancellation, or nobody who asks again) has nothing to clean up: no task, no connection,
and no ``aclose`` that one could forget. A pipeline that kept reading behind the caller's back
would hide the time that the caller takes; it would also leave its tasks to the garbage collector.
The price is small where pages take about the same time: a list of n pages takes 1 + (n - 1) /
window round trips, since the first page, which says how long the list is, is read alone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, Self

import attrs

from upvest_rebalancing.errors import RequestError
from upvest_rebalancing.models import ExecutionOrder, Page, WalkVerdict
from upvest_rebalancing.protocol.pagination import Walk

READ_AHEAD: Final = 4
"""Pages read at once: four pages of 1000 orders take about 10 MB, and keep one core decoding."""


@attrs.define(eq=False, repr=False, kw_only=True)
class OrderWalk:
    """An execution's orders, each once, read page by page while one iterates.

    Nothing is sent before the first step, and nothing is under way between two steps. The list
    moves while it is read, so pages are read again until as many orders were seen as the list says
    it has, and, where it was seen to move, until going over it brings nothing new; `verdict` says
    what came of it. A list that fits into one page takes two requests, the second one to see that
    nothing follows. Several tasks may share one iterator: each
    order goes to one of them.

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
    _read_ahead: int = READ_AHEAD
    _passes: int | None = None
    _walk: Walk = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._walk = self._begin()

    def _begin(self) -> Walk:
        return Walk(page_size=self._page_size, start=self._start, passes=self._passes)

    def __aiter__(self) -> AsyncIterator[ExecutionOrder]:
        return _Orders(self.pages())

    def pages(self) -> AsyncIterator[Page]:
        """Walk page by page.

        Returns:
            An iterator of the pages that bring something new, each with its new orders only; the
            rows as they came are in `Page.raw`. An empty list is one empty page. A page that
            fails for good raises its `RequestError` after the pages before it; the next step of
            the same iterator tries it again, and that is the sound way to go on. Its offset is in
            `resume_offset`: a new walk from there may miss orders that moved to before it.
        """
        self._walk = self._begin()
        return _Pages(self._walk, self._read, self._page_size, self._read_ahead)

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
        return self._walk.verdict

    @property
    def largest_page(self) -> int:
        """The most rows that a page of the walk that was begun last has had so far."""
        return self._walk.largest_page


@attrs.define(eq=False, repr=False)
class _Pages:
    _walk: Walk
    _read: Callable[[int, int], Awaitable[Page]]
    _page_size: int
    _read_ahead: int
    _ready: deque[Page] = attrs.field(factory=deque, init=False)
    _window: int = attrs.field(init=False)
    _failure: BaseException | None = attrs.field(default=None, init=False)
    _turn: asyncio.Lock = attrs.field(factory=asyncio.Lock, init=False)

    def __attrs_post_init__(self) -> None:
        self._window = self._read_ahead

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Page:
        while not self._ready:
            async with self._turn:
                if not self._ready:
                    await self._read_on()
        return self._ready.popleft()

    async def _read_on(self) -> None:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        offsets = self._walk.plan(self._window)
        if not offsets:
            raise StopAsyncIteration
        # Cancelled, it ends every read before it ends itself.
        answers = await asyncio.gather(
            *(self._read(offset, self._page_size) for offset in offsets), return_exceptions=True
        )
        for number, (offset, answer) in enumerate(zip(offsets, answers, strict=True)):
            if offset != self._walk.offset:
                # Pages of uneven sizes: reading far ahead of them is for nothing.
                self._walk.waste(len(offsets) - number)
                self._window = max(1, self._window // 2)
                return
            if isinstance(answer, BaseException):
                self._failure = _at(offset, answer)
                return
            first = self._walk.verdict.pages == 0
            fresh = self._walk.take(answer.meta, answer.data)
            if fresh or first:
                has_stale = len(fresh) < len(answer.data)
                page = attrs.evolve(answer, data=tuple(fresh)) if has_stale else answer
                self._ready.append(page)
        self._window = min(self._window + 1, self._read_ahead)


@attrs.define(eq=False, repr=False)
class _Orders:
    _pages: AsyncIterator[Page]
    _waiting: deque[ExecutionOrder] = attrs.field(factory=deque, init=False)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ExecutionOrder:
        while not self._waiting:
            self._waiting.extend((await anext(self._pages)).data)
        return self._waiting.popleft()


def _at(offset: int, failure: BaseException) -> BaseException:
    if isinstance(failure, RequestError) and failure.resume_offset is None:
        failure.resume_offset = offset
        failure.message += (
            f" (the walk can go on at offset {offset} with the same iterator; a new walk from"
            " there may miss orders that moved)"
        )
        failure.args = (failure.message,)
    return failure
