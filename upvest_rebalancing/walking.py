"""Walk over an execution's orders, page by page; the arithmetic is `protocol.pagination`'s.

Pages are fetched ahead in windows: one step fetches as many pages as the window has, all at once,
and the steps after it take from what was fetched, until that is used up and the next window is
fetched. So nothing runs while the caller's code does, and an iterator that is left unfinished (a
break, an error, a cancellation, or nobody who asks again) has nothing to clean up: no task, no
connection, and no ``aclose`` that one could forget. A pipeline that kept reading behind the
caller's back would hide the time that the caller takes; it would also leave its tasks to the
garbage collector. The price is small where pages take about the same time: a list of n pages takes
1 + (n - 1) / window round trips, since the first page, which says how long the list is, is fetched
alone.

A page is read from its bytes when its turn comes. So the orders of one page exist at a time, and
not those of a window: that takes less memory, and it is quicker, since they are gone before the
garbage collector has gone over them again and again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, Self, TypeAlias

import attrs

from upvest_rebalancing.documents import raw_of, set_raw
from upvest_rebalancing.errors import RequestError
from upvest_rebalancing.models import ExecutionOrder, Page, WalkVerdict
from upvest_rebalancing.protocol.pagination import Walk

READ_AHEAD: Final = 4
"""Pages fetched at once: four of 1000 orders keep one core reading where they come quickly."""

Fetched: TypeAlias = Any
"""What fetching a page brings; only the one who reads it knows what it is."""


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

    _fetch: Callable[[int, int], Awaitable[Fetched]]
    _read: Callable[[Fetched], Page]
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
        return _Pages(self._walk, self._fetch, self._read, self._page_size, self._read_ahead)

    async def total(self) -> int:
        """Ask how many orders the list has now, by one request that brings none.

        Raises:
            RequestError: The call failed for good.
        """
        page = self._read(await self._fetch(self._start, 0))
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
    _fetch: Callable[[int, int], Awaitable[Fetched]]
    _read: Callable[[Fetched], Page]
    _page_size: int
    _read_ahead: int
    _fetched: deque[tuple[int, Fetched | BaseException]] = attrs.field(factory=deque, init=False)
    _window: int = attrs.field(init=False)
    _turn: asyncio.Lock = attrs.field(factory=asyncio.Lock, init=False)

    def __attrs_post_init__(self) -> None:
        self._window = self._read_ahead

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Page:
        while True:
            if not self._fetched:
                async with self._turn:
                    if not self._fetched:
                        await self._fetch_on()
            page = self._take()
            if page is not None:
                return page

    async def _fetch_on(self) -> None:
        offsets = self._walk.plan(self._window)
        if not offsets:
            raise StopAsyncIteration
        # Cancelled, it ends every fetch before it ends itself.
        answers = await asyncio.gather(
            *(self._fetch(offset, self._page_size) for offset in offsets), return_exceptions=True
        )
        self._fetched.extend(zip(offsets, answers, strict=True))

    def _take(self) -> Page | None:
        """Take the next page that was fetched; None where it brings nothing new."""
        offset, answer = self._fetched.popleft()
        if offset != self._walk.offset:
            # Pages of uneven sizes: fetching far ahead of them is for nothing.
            self._walk.waste(1 + len(self._fetched))
            self._fetched.clear()
            self._window = max(1, self._window // 2)
            return None
        try:
            page = self._read(_result(answer))
        except BaseException as failure:
            # What lies behind it is fetched again, with it.
            self._fetched.clear()
            _add_offset(failure, offset)
            raise
        is_first = not self._walk.verdict.pages
        fresh = self._walk.take(page.meta, page.data)
        if not self._fetched:
            self._window = min(self._window + 1, self._read_ahead)
        if not (fresh or is_first):
            return None
        if len(fresh) == len(page.data):
            return page
        rest = attrs.evolve(page, data=tuple(fresh))
        set_raw(rest, raw_of(page))
        return rest


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


def _result(answer: Fetched | BaseException) -> Fetched:
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _add_offset(failure: BaseException, offset: int) -> None:
    if isinstance(failure, RequestError) and failure.resume_offset is None:
        failure.resume_offset = offset
        failure.message += (
            f" (the walk can go on at offset {offset} with the same iterator; a new walk from"
            " there may miss orders that moved)"
        )
        failure.args = (failure.message,)
