"""The arithmetic of a walk over a list that moves while it is read.

The list is sorted by status and statuses change, so rows move between pages: a plain walk misses
some and repeats others. This walk goes over the list again until it has seen as many distinct
orders as the list says it has, or until going again brings nothing new, and says which it was.

Nothing that an answer says of itself is believed against its rows. A pass ends where the rows
end, not where the total says so: at an empty page, or at one that is shorter than a page before
it was. The largest total of a pass is the one to reach. Where the list was seen to move, reaching
it is not enough, and where rows contradict the total, it proves nothing: then a whole pass must
bring nothing new as well, without a row that comes twice in the second case. What no walk can
find out: a row behind an end of the list that rows and totals agree on, and, for a walk that
starts in the middle, rows that moved to before its start. Whatever the server does, it ends: a
pass after two pages in a row without news, the passes after three without news, and all of it
after a number of pages that follows from the length of the list at the first answer.

Pure: pages go in, offsets and a verdict come out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from upvest_rebalancing.models import ExecutionOrder, PageMeta, WalkVerdict
from upvest_rebalancing.protocol.seen import ID_SIZE, Marked, Seen

BARREN_PAGES: Final = 2
"""Pages in a row without a row that is new to the pass, after which the pass is over."""

BARREN_PASSES: Final = 3
"""Passes in a row without a new order, after which the walk is over."""

ALLOWANCE: Final = 1000
"""Pages that every walk may read, however short its list said that it is."""

ALLOWED_PASSES: Final = 3
"""Times that a walk may read the pages which its list had at the first answer."""

CREDIBLE_TOTAL: Final = 2_000_000
"""Orders that a total is believed to promise when pages and memory are allotted."""

LAST_OFFSET: Final = 2**31 - 1
"""The largest offset: the specification has it as an int32."""

_ALL_SEEN = "every order that the list says it has was seen"
_ALL_SEEN_FROM = "every order from offset {start} on was seen, and none moved meanwhile"
_MOVED_FROM = "orders moved, so that some may have left what lies from offset {start} on"
_NOTHING_NEW = "the list's total can't be relied on, and a whole pass brought nothing new"


@attrs.define(eq=False, repr=False, kw_only=True)
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
    _seen: Seen = attrs.field(factory=Seen, init=False)
    _pages: int = attrs.field(default=0, init=False)
    _repeats: int = attrs.field(default=0, init=False)
    _step: int = attrs.field(default=0, init=False)
    _total: int = attrs.field(default=0, init=False)
    _first_total: int = attrs.field(default=0, init=False)
    _pass_total: int = attrs.field(default=0, init=False)
    _wasted: int = attrs.field(default=0, init=False)
    # Whether the total was contradicted in this pass, and whether rows can have left the list.
    _is_doubtful: bool = attrs.field(default=False, init=False)
    _was_doubtful: bool = attrs.field(default=False, init=False)
    # Whether rows came on two pages of this pass, and whether the list was ever seen to move.
    _has_slipped: bool = attrs.field(default=False, init=False)
    _has_moved: bool = attrs.field(default=False, init=False)
    _pass: int = attrs.field(default=1, init=False)
    _in_pass: int = attrs.field(default=0, init=False)
    _pages_in_pass: int = attrs.field(default=0, init=False)
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
        last = min(self.offset + (window - 1) * step, self._pass_total, LAST_OFFSET)
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
        self._seen.expected = max(0, min(meta.total_count, CREDIBLE_TOTAL) - self.start)
        marked = self._seen.mark([row.id.int.to_bytes(ID_SIZE, "big") for row in rows])
        fresh = self._sift(rows, marked)
        is_barren = not marked.gained
        self._barren_pages = self._barren_pages + 1 if is_barren else 0
        # To read a row twice is harmless and to skip one is not: rows that a page repeats, or has
        # beyond its limit, may have no place of their own in the list.
        places = min(marked.distinct, self.page_size)
        asked = min(self.page_size, meta.limit) if meta.limit > 0 else self.page_size
        is_short = len(rows) < min(asked, self._step)
        # A server that does not go beyond its last page gives that again, but no shorter one.
        is_real = places > 0 and (is_short or not is_barren)
        self._note_total(max(0, meta.total_count), self.offset + places if is_real else 0)
        self._step = max(self._step, places)
        self._pages += 1
        self._pages_in_pass += 1
        self.offset += places or self._step or self.page_size
        self._advance(may_be_last=is_short or not rows)
        return fresh

    def waste(self, pages: int) -> None:
        """Count pages that were read ahead and turned out to be of no use."""
        self._wasted += pages

    def _sift(self, rows: Sequence[ExecutionOrder], marked: Marked) -> list[ExecutionOrder]:
        stale = set(marked.stale)
        fresh = [row for place, row in enumerate(rows) if place not in stale] if stale else [*rows]
        self._repeats += len(marked.stale)
        self._in_pass += marked.gained
        self._found_in_pass += len(fresh)
        self._has_slipped |= marked.gained < marked.distinct
        self._has_moved |= self._has_slipped or (self._pass > 1 and bool(fresh))
        return fresh

    def _note_total(self, total: int, end: int) -> None:
        if not self._pages:
            self._first_total = total
        if total < self._total or end > total or self._in_pass > max(0, total - self.start):
            self._is_doubtful = True
        self._total = total
        self._pass_total = max(total, self._pass_total) if self._pages_in_pass else total
        self._was_doubtful |= self._is_doubtful or len(self._seen) > self._expected

    def _advance(self, *, may_be_last: bool) -> None:
        assert self.offset is not None  # noqa: S101
        if (
            self._barren_pages >= BARREN_PAGES
            or self.offset > LAST_OFFSET
            or (may_be_last and self.offset >= self._pass_total)
        ):
            self._end_pass()
        if not self._reason and self._pages + self._wasted >= self._allowed:
            self._end(f"{self._pages} pages were read and the list still did not come to its end")

    def _end_pass(self) -> None:
        is_barren = not self._found_in_pass
        self._barren_passes = self._barren_passes + 1 if is_barren else 0
        proof = self._proof(is_barren=is_barren)
        if proof is not None:
            self._end(proof, complete=True)
        elif self._barren_passes >= BARREN_PASSES:
            reason = f"{BARREN_PASSES} passes over the list brought nothing new"
            moved = self.start and self._has_moved and len(self._seen) >= self._expected
            self._end(_MOVED_FROM.format(start=self.start) if moved else reason)
        elif self._pass == self.passes:
            self._end(f"no more than {self.passes} passes over the list were wanted")
        else:
            self.offset = self.start
            self._pass += 1
            self._seen.begin_pass()
            self._in_pass = self._found_in_pass = self._barren_pages = self._pages_in_pass = 0
            self._is_doubtful = self._has_slipped = False

    def _proof(self, *, is_barren: bool) -> str | None:
        """Say why the pass that is over shows that all was seen; None where it does not."""
        covered = self._in_pass >= self._expected
        if self.start:
            # What left for a place before the start was counted and makes up for what came.
            is_still = is_barren and not self._has_moved and self._in_pass == len(self._seen)
            return _ALL_SEEN_FROM.format(start=self.start) if is_still and covered else None
        # Distinct orders of several passes prove something only while none can have left the list.
        by_count = len(self._seen) >= self._expected and not self._was_doubtful
        by_pass = covered and not self._is_doubtful
        if (by_count or by_pass) and (is_barren or not self._has_moved):
            return _ALL_SEEN
        return _NOTHING_NEW if covered and is_barren and not self._has_slipped else None

    def _end(self, reason: str, *, complete: bool = False) -> None:
        self.offset = None
        self._reason = reason
        self._complete = complete

    @property
    def _expected(self) -> int:
        return max(0, self._pass_total - self.start)

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
