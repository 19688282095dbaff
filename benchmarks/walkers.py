"""Walk one list in one way, in a process of its own, and say what it took.

Memory has high-water marks, and they are a process's: whoever walks second would walk in the
memory of the first.

    python -m benchmarks.walkers orders URL 1000000
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, TypeAlias

import aiohttp
import orjson

from benchmarks import memory, pages
from benchmarks.fixtures import Key, bare_session
from benchmarks.peers import decoders
from upvest_rebalancing import RebalancingClient
from upvest_rebalancing.walking import READ_AHEAD

WARM_UP: Final = 20_000
"""Orders of the list that is walked before the memory is looked at."""

Walk: TypeAlias = Callable[[int], Awaitable[int]]
"""Walks a list of so many orders and says how many it has seen."""


async def walk_orders(client: RebalancingClient, total: int) -> int:
    """Walk order by order, as a user does."""
    count = 0
    walk = client.orders(pages.execution_id(total))
    async for _ in walk:
        count += 1
    if not walk.verdict.complete:
        raise RuntimeError(f"the walk is not complete: {walk.verdict}")
    return count


async def walk_pages(client: RebalancingClient, total: int) -> int:
    """Walk page by page."""
    count = 0
    async for page in client.orders(pages.execution_id(total)).pages():
        count += len(page.data)
    return count


async def walk_bare(
    session: aiohttp.ClientSession, url: str, read: Callable[[bytes], int], tasks: int, total: int
) -> int:
    """Get the same pages without signing, and read them with a function."""
    path = f"{url}{pages.EXECUTIONS}/{pages.execution_id(total)}/orders"
    offsets = iter(range(0, total, pages.PAGE_SIZE))

    async def work() -> int:
        count = 0
        for offset in offsets:
            async with session.get(f"{path}?offset={offset}&limit={pages.PAGE_SIZE}") as response:
                count += read(await response.read())
        return count

    async with asyncio.TaskGroup() as group:
        workers = [group.create_task(work()) for _ in range(tasks)]
    return sum(worker.result() for worker in workers)


_OURS: Final[Mapping[str, Callable[[RebalancingClient, int], Awaitable[int]]]] = {
    "orders": walk_orders,
    "pages": walk_pages,
}
_decode: Final = decoders.with_msgspec()
_BARE: Final[Mapping[str, tuple[Callable[[bytes], int], int]]] = {
    "get": (lambda body: min(len(body), pages.PAGE_SIZE), 1),
    "orjson": (lambda body: len(orjson.loads(body)["data"]), 1),
    "orjson-ahead": (lambda body: len(orjson.loads(body)["data"]), READ_AHEAD),
    "msgspec": (lambda body: len(_decode(body).data), 1),
}
WAYS: Final = (*_OURS, *_BARE)


@asynccontextmanager
async def walking(way: str, url: str) -> AsyncIterator[Walk]:
    """Open what a way of walking needs."""
    if way in _OURS:
        async with Key.p521().client(url) as client:
            yield partial(_OURS[way], client)
    else:
        read, tasks = _BARE[way]
        async with bare_session() as session:
            yield partial(walk_bare, session, url, read, tasks)


async def measure(way: str, url: str, total: int) -> dict[str, float]:
    """Walk a short list, then the list; say what the latter took."""
    async with walking(way, url) as walk:
        await walk(WARM_UP)
        gc.collect()
        base = memory.reset()
        cpu, wall = time.process_time(), time.perf_counter()
        count = await walk(total)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        growth = memory.high_water() - base
    if count != total:
        raise RuntimeError(f"{way} has seen {count} of {total} orders")
    return {"wall": wall, "cpu": cpu, "growth": growth}


def main() -> None:
    """Measure one way, and print what it took as JSON."""
    parser = argparse.ArgumentParser(description="Walk a list, and print what it took.")
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("url")
    parser.add_argument("total", type=int)
    given = parser.parse_args()
    print(json.dumps(asyncio.run(measure(given.way, given.url, given.total))))


if __name__ == "__main__":
    main()
