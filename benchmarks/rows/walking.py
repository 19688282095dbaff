"""Walking 1,000,000 orders over loopback, against a bare GET and orjson of the same pages."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Sequence
from typing import Final

from benchmarks.loopback import Loopback
from benchmarks.measuring import Contender, Figure, Sample, Turn, compete
from benchmarks.pages import PAGE_SIZE
from benchmarks.processes import walk
from benchmarks.results import TIMES, Check, Goal, Row, duration, megabytes
from benchmarks.walkers import WARM_UP

TOTAL: Final = 1_000_000
_PAGES: Final = TOTAL // PAGE_SIZE
_PATIENCE: Final = 120.0

_NAMES: Final = {
    "orders": "ours, order by order",
    "pages": "ours, page by page",
    "orjson": "bare aiohttp GET and orjson, one after the other",
    "orjson-ahead": "the same, four at once",
    "msgspec": "bare aiohttp GET and msgspec into attrs classes",
    "get": "bare aiohttp GET alone",
}


def measure(seconds: float) -> Sequence[Row]:
    """Walk in each way, each time in a fresh process."""
    growth: dict[str, list[float]] = {way: [] for way in _NAMES}
    with Loopback() as server:
        contenders = [
            Contender(name, _turn(way, server, growth[way]), "page") for way, name in _NAMES.items()
        ]
        found = asyncio.run(compete(contenders, seconds=seconds, least=1, warm_up=False))
    figures = {way: found[name] for way, name in _NAMES.items()}
    return [_row(figures, {way: statistics.median(sizes) for way, sizes in growth.items()})]


def _turn(way: str, server: Loopback, growth: list[float]) -> Turn:
    def turn() -> Sample:
        before = server.usage().cpu
        took = walk(way, server.url, TOTAL, timeout=_PATIENCE)
        spent = server.usage().cpu - before
        growth.append(took["growth"])
        # The server has served the short list as well, which is not in the walker's own time.
        share = spent * TOTAL / (TOTAL + WARM_UP)
        return Sample(count=_PAGES, wall=took["wall"], cpu=took["cpu"], server=share)

    return turn


def _row(figures: dict[str, Figure], growth: dict[str, float]) -> Row:
    ours = figures["orders"]
    limit = min((figures["orjson"], figures["orjson-ahead"]), key=lambda figure: figure.wall)
    return Row(
        name="walking 1,000,000 orders over loopback",
        checks=[
            Check(
                what="speed",
                measured=duration(ours.wall * _PAGES),
                against=duration(limit.wall * _PAGES),
                value=limit.wall / ours.wall,
                goal=Goal("at least", 0.5),
            ),
            Check(
                what="peak memory growth",
                measured=megabytes(growth["orders"]),
                value=growth["orders"] / 1e6,
                goal=Goal("below", 30, "MB"),
            ),
        ],
        figures=list(figures.values()),
        notes=_notes(figures, limit, growth),
    )


def _notes(figures: dict[str, Figure], limit: Figure, growth: dict[str, float]) -> list[str]:
    ours, best, get = figures["orders"], figures["msgspec"], figures["get"]
    sizes = [f"{_NAMES[way]} {megabytes(size)}" for way, size in growth.items()]
    way = (
        "What stands in the way: GET and msgspec into attrs classes, with no signature, no repeats "
        f"left out and no order handed over, take {duration(best.wall * _PAGES)}, which is "
        f"{limit.wall / best.wall:.2f} of the limit's speed; ours reaches "
        f"{best.wall / ours.wall:.2f} of that. Of it, GET alone takes "
        f"{duration(get.wall * _PAGES)}."
    )
    return [
        f"The limit is “{limit.name}”, the faster of the two bare walks.",
        f"In processor time ours takes {ours.cpu / limit.cpu:.2f} {TIMES} the limit's.",
        way,
        f"Memory growth: {'; '.join(sizes)}.",
    ]
