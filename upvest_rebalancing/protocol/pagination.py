"""The arithmetic of a walk over a list that moves while it is read.

The list is sorted by status and statuses change, so rows move between pages: a plain walk misses
some and repeats others. This walk goes over the list again until it has seen as many distinct
orders as the list says it has, or until going again brings nothing new, and says which it was.

Pure: pages go in, offsets and a verdict come out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import attrs

from upvest_rebalancing.models import ExecutionOrder, PageMeta, WalkVerdict

BARREN_PAGES: Final = 2
"""Pages in a row without a row that is new to the pass, after which the pass is over."""

BARREN_PASSES: Final = 3
"""Passes in a row without a new order, after which the walk is over."""


@attrs.define(kw_only=True)
class Walk:
    """Lead one walk: ask `offset` where to read next, hand each page to `take`.

    Attributes:
        start: The offset that the walk begins at.
        offset: Where to read next; None once the walk is over.
        reason: Why the walk is over; empty until then.
    """

    start: int = 0
    offset: int | None = attrs.field(init=False)
    reason: str = attrs.field(default="", init=False)
    _seen: set[UUID] = attrs.field(factory=set, init=False)
    _pages: int = attrs.field(default=0, init=False)
    _repeats: int = attrs.field(default=0, init=False)
    _expected: int = attrs.field(default=0, init=False)
    _in_pass: set[UUID] = attrs.field(factory=set, init=False)
    _found_in_pass: int = attrs.field(default=0, init=False)
    _barren_pages: int = attrs.field(default=0, init=False)
    _barren_passes: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self.offset = self.start

    def take(self, meta: PageMeta, rows: Sequence[ExecutionOrder]) -> list[ExecutionOrder]:
        """Take the page that was read at `offset`.

        Args:
            meta: What the page says of itself; only its total is used, and that not blindly.
            rows: The page's orders.

        Returns:
            The orders that were not seen before, in the order of the page.
        """
        if self.offset is None:
            raise RuntimeError("the walk is over")
        self._pages += 1
        self._expected = max(0, meta.total_count - self.start)
        fresh: list[ExecutionOrder] = []
        new_to_pass = False
        for row in rows:
            new_to_pass = new_to_pass or row.id not in self._in_pass
            self._in_pass.add(row.id)
            if row.id in self._seen:
                self._repeats += 1
            else:
                self._seen.add(row.id)
                fresh.append(row)
        self._found_in_pass += len(fresh)
        self._barren_pages = 0 if new_to_pass else self._barren_pages + 1
        self.offset += len(rows)
        self._advance(page_was_empty=not rows)
        return fresh

    def _advance(self, *, page_was_empty: bool) -> None:
        assert self.offset is not None  # noqa: S101
        if len(self._seen) >= self._expected and self.offset - self.start >= self._expected:
            self._end("every order that the list says it has was seen")
        elif (
            page_was_empty
            or self._barren_pages >= BARREN_PAGES
            or self.offset - self.start >= self._expected
        ):
            self._next_pass()

    def _next_pass(self) -> None:
        self._barren_passes = 0 if self._found_in_pass else self._barren_passes + 1
        if self._barren_passes >= BARREN_PASSES:
            self._end(f"{BARREN_PASSES} passes over the list brought nothing new")
            return
        self.offset = self.start
        self._in_pass.clear()
        self._found_in_pass = 0
        self._barren_pages = 0

    def _end(self, reason: str) -> None:
        self.offset = None
        self.reason = reason

    @property
    def verdict(self) -> WalkVerdict:
        """Say how complete the walk is, or has been so far."""
        return WalkVerdict(
            complete=self.offset is None and len(self._seen) >= self._expected,
            seen=len(self._seen),
            expected=self._expected,
            pages=self._pages,
            repeats=self._repeats,
            reason=self.reason or "the walk is not over",
        )
