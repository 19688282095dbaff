"""Pages made ahead while nobody waits, so that a client's wait is not the page's making."""

from __future__ import annotations

from typing import Final

import attrs

from benchmarks import pages

AHEAD: Final = 4
"""Pages that are made ahead of the one that was asked for last, as many as a walk reads at once."""

_Place = tuple[str, int, int]


@attrs.define(eq=False)
class Shelf:
    """Keep a few pages, those that are likely to be asked for next."""

    _ready: dict[_Place, bytes] = attrs.field(factory=dict, init=False)
    _wanted: list[_Place] = attrs.field(factory=list, init=False)

    def take(self, identifier: str, *, offset: int, limit: int) -> bytes:
        """Give a page, and note which ones are likely to follow it."""
        page = self._ready.pop((identifier, offset, limit), None)
        if page is None:
            page = pages.page(identifier, offset=offset, limit=limit)
        following = [(identifier, offset + limit * step, limit) for step in range(1, AHEAD + 1)]
        # What nobody has come for by now was made for a walk that is over.
        self._ready = {place: self._ready[place] for place in following if place in self._ready}
        self._wanted = [place for place in following if place not in self._ready]
        return page

    @property
    def is_stocked(self) -> bool:
        """Whether there is nothing to be made ahead."""
        return not self._wanted

    def stock(self) -> None:
        """Make one page ahead."""
        place = self._wanted.pop(0)
        identifier, offset, limit = place
        if limit and offset < pages.total_of(identifier):
            self._ready[place] = pages.page(identifier, offset=offset, limit=limit)
