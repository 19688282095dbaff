"""Look at an execution's orders again and again, with growing pauses, until all are final.

Not every look reads the whole list. A long list is read whole every so many looks, for the counts
by status; in between, one page from where the open orders lie says whether it is worth while.
Once no open order is found, the whole list is read to confirm it. Where no reading can confirm it,
because the list contradicts itself for good, waiting ends as well, and says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Self

import attrs

from upvest_rebalancing.errors import WaitTimeoutError
from upvest_rebalancing.models import Execution, ExecutionOutcome, Page
from upvest_rebalancing.protocol.endpoints import MAX_PAGE_SIZE
from upvest_rebalancing.protocol.lookout import Layout
from upvest_rebalancing.protocol.progress import Progress
from upvest_rebalancing.walking import OrderWalk

FIRST_PAUSE: Final = 0.25
"""Seconds between the first two looks, at the most."""

PAUSE_GROWTH: Final = 1.5
"""What each pause is longer by: a third of the time waited, about, until the longest."""

LONGEST_PAUSE: Final = 8.0
"""Seconds that no pause between two looks goes beyond."""

PAGES_PER_LOOK: Final = 8
"""Pages of the list for each look from one reading of the whole list to the next.

A list of 100 pages is read whole at every 13th look, so that a look costs 9 requests on average.
"""


@attrs.define(eq=False, repr=False, kw_only=True)
class Watch:
    """What is known of an execution's orders after each look at them, until all are final.

    An async iterator of outcomes; the last one has every order known in a final status. Its
    `is_final` is False, and its verdict not complete, where thorough readings went on agreeing
    although the list claims more, or can't be trusted to have shown all. It pauses before
    each look but the first, and nothing is under way between two steps.

    Args:
        execution: Retrieves the execution.
        read: Reads a page of its orders, by offset and limit.
        timeout: Seconds from the first step on; None for no limit.
        clock: Gives seconds that never go back.
        sleep: Sleeps for seconds.
        jitter: Picks a pause between 0 and the longest, in seconds.
        page_size: Orders per request.
    """

    _execution: Callable[[], Awaitable[Execution]]
    _read: Callable[[int, int], Awaitable[Page]]
    _timeout: float | None
    _clock: Callable[[], float]
    _sleep: Callable[[float], Awaitable[None]]
    _jitter: Callable[[float], float]
    _page_size: int = MAX_PAGE_SIZE
    _started: float | None = attrs.field(default=None, init=False)
    _progress: Progress | None = attrs.field(default=None, init=False)
    _layout: Layout = attrs.field(factory=Layout, init=False)
    _total: int = attrs.field(default=0, init=False)
    _page_rows: int = attrs.field(default=1, init=False)
    _looks_left: int = attrs.field(default=0, init=False)
    _looked: bool = attrs.field(default=False, init=False)
    _pause: float = attrs.field(default=FIRST_PAUSE, init=False)
    _is_over: bool = attrs.field(default=False, init=False)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ExecutionOutcome:
        if self._is_over:
            raise StopAsyncIteration
        if self._started is None:
            self._started = self._clock()
        # The pauses keep to the caller's clock; this is for requests that take too long.
        limit = asyncio.timeout(self._left())
        try:
            async with limit:
                if self._progress is None:
                    execution = await self._execution()
                    self._progress = Progress(execution=execution, started=self._started)
                await self._rest(self._progress)
                self._is_over = await self._look(self._progress)
        except TimeoutError as error:
            if not limit.expired() and not isinstance(error, _TimeIsUpError):
                raise
            self._is_over = True
            raise self._timed_out() from None
        return self._progress.outcome(self._clock())

    async def last(
        self, on_progress: Callable[[ExecutionOutcome], None] | None = None
    ) -> ExecutionOutcome:
        """Go on to the end.

        Args:
            on_progress: Called with each outcome on the way, the last one included.

        Returns:
            The last outcome.

        Raises:
            WaitTimeoutError: Time ran out; what is known is in its `outcome`.
            RequestError: A call failed for good.
        """
        while True:
            outcome = await anext(self)
            if on_progress is not None:
                on_progress(outcome)
            if self._is_over:
                return outcome

    def _left(self) -> float | None:
        if self._timeout is None or self._started is None:
            return None
        return max(0.0, self._started + self._timeout - self._clock())

    async def _rest(self, progress: Progress) -> None:
        if not self._looked:
            return
        left = self._left()
        # Half of it stands: a pause near zero would only ask the same question again.
        pause = self._pause / 2 + self._jitter(self._pause / 2)
        pause = max(pause, progress.settles_in(self._clock()))
        self._pause = min(self._pause * PAUSE_GROWTH, LONGEST_PAUSE)
        if left is not None and pause > left / 2:
            # Rather look a few times more before the end than sleep past it.
            pause = left / 2 if left > FIRST_PAUSE else left
        await self._sleep(pause)
        if self._left() == 0:
            raise _TimeIsUpError

    async def _look(self, progress: Progress) -> bool:
        self._looked = True
        if self._looks_left > 0:
            self._looks_left -= 1
            found = await self._goes_on(progress)
            if found:
                progress.glance()
                return False
            return await self._read_all(progress, thoroughly=found is not None)
        return await self._read_all(progress, thoroughly=progress.needs_care)

    async def _goes_on(self, progress: Progress) -> bool | None:
        """Tell by a few requests that the execution goes on; None where they can't tell."""
        if progress.seems_final:
            if not progress.awaits_accounts:
                return False
            known = self._total
            self._note_total(await self._read(0, 0))
            return self._total <= known
        search = self._layout.search(total=self._total, page_size=self._page_rows)
        if search is None:
            return None
        while (offset := search.offset) is not None:
            page = await self._read(offset, self._page_size)
            self._note_total(page)
            progress.take(page.data)
            search.take(page.data)
        return search.found

    async def _read_all(self, progress: Progress, *, thoroughly: bool) -> bool:
        walk = OrderWalk(
            fetch=self._read,
            read=_as_it_is,
            page_size=self._page_size,
            passes=None if thoroughly else 1,
        )
        layout = Layout()
        async for page in walk.pages():
            progress.take(page.data)
            layout.add(page.data)
        verdict = walk.verdict
        self._layout, self._page_rows = layout, max(1, walk.largest_page)
        self._total = verdict.expected
        pages = -(-verdict.seen // self._page_rows)
        self._looks_left = -(-pages // PAGES_PER_LOOK) - 1
        return progress.finish(verdict, self._clock(), thoroughly=thoroughly)

    def _note_total(self, page: Page) -> None:
        self._total = max(0, page.meta.total_count)

    def _timed_out(self) -> WaitTimeoutError:
        progress = self._progress
        outcome = None if progress is None else progress.outcome(self._clock())
        return WaitTimeoutError(_words(self._timeout, outcome), outcome=outcome)


def _as_it_is(page: Page) -> Page:
    return page


class _TimeIsUpError(TimeoutError):
    """The caller's clock says that the time is up."""


def _words(timeout: float | None, outcome: ExecutionOutcome | None) -> str:
    if outcome is None:
        return f"the execution could not be retrieved within {timeout:g} s"
    counts = ", ".join(f"{status}: {count}" for status, count in sorted(outcome.by_status.items()))
    return (
        f"execution {outcome.execution_id} was not final within {timeout:g} s: "
        f"{len(outcome.orders)} of {outcome.expected} orders were seen ({counts or 'none'})"
    )
