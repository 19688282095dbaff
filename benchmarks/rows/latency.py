"""Walking 100,000 orders where each answer takes 50 ms to come."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final

from benchmarks import pages
from benchmarks.fixtures import bare_session
from benchmarks.loopback import Loopback
from benchmarks.measuring import Contender, Sample, compete
from benchmarks.processes import walk
from benchmarks.results import TIMES, Check, Goal, Row, duration
from benchmarks.walkers import walk_bare
from upvest_rebalancing.walking import READ_AHEAD

TOTAL: Final = 100_000
LATENCY: Final = 0.05
_PATIENCE: Final = 60.0

_OURS: Final = "ours, order by order"
_REQUEST: Final = "one bare aiohttp GET of a page"


def measure(seconds: float) -> Sequence[Row]:
    """Measure the walk, and the latency of one request in between."""
    return [asyncio.run(_measure(seconds))]


async def _measure(seconds: float) -> Row:
    with Loopback(latency=LATENCY) as server:
        async with bare_session() as session:
            some = partial(walk_bare, session, server.url, len, 1, 5 * pages.PAGE_SIZE)

            def walk_all() -> Sample:
                took = walk("orders", server.url, TOTAL, timeout=_PATIENCE)
                return Sample(count=1, wall=took["wall"], cpu=took["cpu"])

            async def requests() -> int:
                await some()
                return 5

            contenders = [Contender(_OURS, walk_all, "walk"), Contender(_REQUEST, requests)]
            figures = await compete(contenders, seconds=seconds, warm_up=False)
    ours, request = figures[_OURS], figures[_REQUEST]
    count = TOTAL // pages.PAGE_SIZE
    limit = request.wall * count / READ_AHEAD
    trips = 1 + -(-count // READ_AHEAD)
    return Row(
        name="walking 100,000 orders with 50 ms of latency",
        checks=[
            Check(
                measured=duration(ours.wall),
                against=f"{duration(limit)}: {duration(request.wall)} {TIMES} {count} pages / "
                f"{READ_AHEAD} at once",
                value=ours.wall / limit,
                goal=Goal("at most", 1.3),
            )
        ],
        figures=list(figures.values()),
        notes=[
            (
                "The first page is fetched alone, as it tells how long the list is, and one behind "
                f"the last shows that nothing follows: {trips} round trips in place of "
                f"{count / READ_AHEAD:g}, which makes the ratio at least "
                f"{trips / (count / READ_AHEAD):.2f}. "
                f"Of the walk, {duration(ours.cpu)} are processor time, in which nothing is on its "
                "way: between two steps of the iteration nothing is, by design, and so reading the "
                "pages of one window does not overlap with fetching the next."
            )
        ],
    )
