"""The arithmetic of a walk over a list that moves while it is read.

The list is sorted by status and statuses change, so rows move between pages: a plain walk misses
some and repeats others. This walk goes over the list again until it has seen as many distinct
orders as the list says it has, or until going again brings nothing new, and says which it was.

Nothing that an answer says of itself is believed against its rows. A pass ends where the rows
end, not where the total says so; a total that rows contradict, or that fell, proves nothing any
more, and a whole pass without news takes its place. Whatever the server does, the walk ends: a
pass after two pages in a row without news, the passes after three without news, and all of it
after a number of pages that follows from the length of the list at the first answer.

Pure: pages go in, offsets and a verdict come out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from upvest_rebalancing.models import ExecutionOrder, PageMeta, WalkVerdict

BARREN_PAGES: Final = 2
"""Pages in a row without a row that is new to the pass, after which the pass is over."""

BARREN_PASSES: Final = 3
"""Passes in a row without a new order, after which the walk is over."""

ALLOWANCE: Final = 1000
"""Pages that every walk may read, however short its list said that it is."""

ALLOWED_PASSES: Final = 3
"""Times that a walk may read the pages which its list had at the first answer."""

CREDIBLE_TOTAL: Final = 2_000_000
"""Orders that a first answer's total is believed to promise when the pages are allotted."""

LAST_OFFSET: Final = 2**31 - 1
"""The largest offset: the specification has it as an int32."""

_ALL_SEEN = "every order that the list says it has was seen"
_NOTHING_NEW = "the list's total can't be relied on, and a whole pass brought nothing new"


@attrs.define(kw_only=True)
class Walk:
    """Lead one walk: read where `plan` says, hand the pages to `take` in that order.

    Attributes:
        page_size: Rows that each page is asked for.
        start: The offset that the walk begins at.
        passes: Passes over the list at the most; None for as many as it takes.
        allowance: Pages that the walk may read, however short the list; see `ALLOWANCE`.
        offset: Where to read next; None once the walk is over.
    """

    page_size: int
    start: int = 0
    passes: int | None = None
    allowance: int = ALLOWANCE
    offset: int | None = attrs.field(init=False)
    _reason: str = attrs.field(default="", init=False)
    _complete: bool = attrs.field(default=False, init=False)
    # Each id, as a whole number of 128 bits, with the pass that saw it last: half of what a set
    # for the walk and one for the pass would take.
    _seen: dict[int, int] = attrs.field(factory=dict, init=False)
    _pages: int = attrs.field(default=0, init=False)
    _repeats: int = attrs.field(default=0, init=False)
    _step: int = attrs.field(default=0, init=False)
    _total: int = attrs.field(default=0, init=False)
    _first_total: int = attrs.field(default=0, init=False)
    # Whether the total was contradicted in this pass, and whether rows can have left the list.
    _is_doubtful: bool = attrs.field(default=False, init=False)
    _was_doubtful: bool = attrs.field(default=False, init=False)
    _pass: int = attrs.field(default=1, init=False)
    _in_pass: int = attrs.field(default=0, init=False)
    _found_in_pass: int = attrs.field(default=0, init=False)
    _barren_pages: int = attrs.field(default=0, init=False)
    _barren_passes: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self.offset = self.start

    def plan(self, window: int) -> tuple[int, ...]:
        """Say which pages can be read at once.

        Nothing changes by asking: what was planned and not read is planned again.

        Args:
            window: Pages at the most.

        Returns:
            Their offsets, in the order in which `take` wants the pages; the first is `offset`.
            None of them lies behind the end that the list says it has, except the first.
        """
        if self.offset is None:
            return ()
        if not self._pages:
            return (self.offset,)
        step = self._step or self.page_size
        # The total itself is included: behind a last page that is full there may be more.
        last = min(self.offset + (window - 1) * step, self._total, LAST_OFFSET)
        return (self.offset, *range(self.offset + step, last + 1, step))

    def take(self, meta: PageMeta, rows: Sequence[ExecutionOrder]) -> list[ExecutionOrder]:
        """Take the page that was read at `offset`.

        A page that was read ahead at another offset than `offset` is by now is of no use: where
        the page before it came back short, rows between the two would be left out.

        Args:
            meta: What the page says of itself.
            rows: The page's orders.

        Returns:
            The orders that were not seen before, in the order of the page.
        """
        if self.offset is None:
            raise RuntimeError("the walk is over")
        in_pass = self._in_pass
        fresh = self._sift(rows)
        self._barren_pages = 0 if self._in_pass > in_pass else self._barren_pages + 1
        self._note_total(max(0, meta.total_count))
        # To read a row twice is harmless and to skip one is not: rows that a page repeats, or has
        # beyond its limit, may have no place of their own in the list.
        places = min(len({row.id.int for row in rows}), self.page_size)
        self._step = max(self._step, places)
        self._pages += 1
        asked = min(self.page_size, meta.limit) if meta.limit > 0 else self.page_size
        self.offset += places or self._step or self.page_size
        self._advance(is_full=len(rows) >= asked)
        return fresh

    def _sift(self, rows: Sequence[ExecutionOrder]) -> list[ExecutionOrder]:
        fresh: list[ExecutionOrder] = []
        for row in rows:
            key = row.id.int
            seen_in = self._seen.get(key)
            if seen_in is None:
                fresh.append(row)
            else:
                self._repeats += 1
            if seen_in != self._pass:
                self._seen[key] = self._pass
                self._in_pass += 1
        self._found_in_pass += len(fresh)
        return fresh

    def _note_total(self, total: int) -> None:
        if not self._pages:
            self._first_total = total
        if total < self._total or self._in_pass > max(0, total - self.start):
            self._is_doubtful = True
        self._total = total
        self._was_doubtful |= self._is_doubtful or len(self._seen) > self._expected

    def _advance(self, *, is_full: bool) -> None:
        assert self.offset is not None  # noqa: S101
        if self._pass > 1 and self._has_seen_all:
            self._end(_ALL_SEEN, complete=True)
        elif (
            self._barren_pages >= BARREN_PAGES
            or self.offset > LAST_OFFSET
            or (not is_full and self.offset >= self._total)
        ):
            self._end_pass()
        if not self._reason and self._pages >= self._allowed:
            self._end(f"{self._pages} pages were read and the list still did not come to its end")

    def _end_pass(self) -> None:
        self._barren_passes = 0 if self._found_in_pass else self._barren_passes + 1
        covered = self._in_pass >= self._expected
        if self._has_seen_all or (covered and not self._is_doubtful):
            self._end(_ALL_SEEN, complete=True)
        elif covered and self._barren_passes:
            self._end(_NOTHING_NEW, complete=True)
        elif self._barren_passes >= BARREN_PASSES:
            self._end(f"{BARREN_PASSES} passes over the list brought nothing new")
        elif self._pass == self.passes:
            self._end(f"no more than {self.passes} passes over the list were wanted")
        else:
            self.offset = self.start
            self._pass += 1
            self._in_pass = self._found_in_pass = self._barren_pages = 0
            self._is_doubtful = False

    def _end(self, reason: str, *, complete: bool = False) -> None:
        self.offset = None
        self._reason = reason
        self._complete = complete

    @property
    def _expected(self) -> int:
        return max(0, self._total - self.start)

    @property
    def _has_seen_all(self) -> bool:
        # Distinct orders prove something only while none can have left the list.
        return not self._was_doubtful and len(self._seen) >= self._expected

    @property
    def _allowed(self) -> int:
        credible = min(self._first_total, CREDIBLE_TOTAL)
        pages = -(-credible // (self._step or self.page_size))
        return max(self.allowance, ALLOWED_PASSES * pages)

    @property
    def largest_page(self) -> int:
        """The most places of the list that a page has covered: what this server gives at once."""
        return self._step

    @property
    def verdict(self) -> WalkVerdict:
        """Say how complete the walk is, or has been so far."""
        return WalkVerdict(
            complete=self._complete,
            seen=len(self._seen),
            expected=self._expected,
            pages=self._pages,
            repeats=self._repeats,
            reason=self._reason or "the walk is not over",
            quiet_passes=self._barren_passes,
        )
