"""Time contenders in turns, round after round, and take medians.

On a machine that others use as well, what is measured a minute later is measured on another
machine. So every round lets each contender run for a moment, beginning with another one each time;
a slow spell then strikes all of them, and the medians pass over it. Beside the wall clock stands
the processor time of this process, all of its threads included: a contender that waits is cheaper
there, and one that hides its work in threads is not.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import statistics
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Final, TypeAlias

import attrs

from benchmarks.loopback import Loopback

clock: Final = time.perf_counter


@attrs.frozen(kw_only=True)
class Sample:
    """What one turn of a contender took, in all.

    Attributes:
        count: Operations that it did.
        wall: Seconds by the wall clock.
        cpu: Seconds of the process's processor time.
        server: Seconds of the server's processor time; None where there is no server, or where it
            is not watched.
    """

    count: int
    wall: float
    cpu: float
    server: float | None = None

    @classmethod
    def sum(cls, samples: Sequence[Sample]) -> Sample:
        """Put several together."""
        servers = [sample.server for sample in samples if sample.server is not None]
        return cls(
            count=sum(sample.count for sample in samples),
            wall=sum(sample.wall for sample in samples),
            cpu=sum(sample.cpu for sample in samples),
            server=sum(servers) if len(servers) == len(samples) else None,
        )


@attrs.frozen(kw_only=True)
class Figure:
    """What one operation of a contender takes: medians over the rounds.

    Attributes:
        name: The contender.
        unit: What one operation is.
        wall: Seconds by the wall clock.
        cpu: Seconds of processor time.
        low: The lower quartile of the wall clock's.
        high: The upper quartile.
        rounds: How many rounds there were.
        server_share: The part of one core that the server used meanwhile, from 0 to 1.
    """

    name: str
    unit: str
    wall: float
    cpu: float
    low: float
    high: float
    rounds: int
    server_share: float | None = None

    @property
    def rate(self) -> float:
        """Operations per second."""
        return 1 / self.wall

    @classmethod
    def of(cls, name: str, unit: str, samples: Sequence[Sample]) -> Figure:
        """Sum up a contender's turns."""
        walls = sorted(sample.wall / sample.count for sample in samples)
        quartiles = (
            statistics.quantiles(walls, n=4, method="inclusive")
            if len(walls) > 1
            else [walls[0]] * 3
        )
        shares = [s.server / s.wall for s in samples if s.server is not None]
        return cls(
            name=name,
            unit=unit,
            wall=statistics.median(walls),
            cpu=statistics.median(sample.cpu / sample.count for sample in samples),
            low=quartiles[0],
            high=quartiles[2],
            rounds=len(walls),
            server_share=statistics.median(shares) if shares else None,
        )


Turn: TypeAlias = Callable[[], int | Sample | Awaitable[int]]
"""Runs for a moment and says how many operations that were; or says itself what they took."""


@attrs.frozen
class Contender:
    """Somebody who takes part.

    Attributes:
        name: What the report calls it.
        turn: What it does in each round.
        unit: What one of its operations is.
    """

    name: str
    turn: Turn
    unit: str = "request"


async def compete(
    contenders: Iterable[Contender],
    *,
    seconds: float,
    least: int = 3,
    server: Loopback | None = None,
    warm_up: bool = True,
    is_frozen: bool = False,
) -> dict[str, Figure]:
    """Let contenders run in turns until the time is used up.

    Args:
        contenders: They, in the order of the first round.
        seconds: When no further round is begun; one that would go beyond it is not begun either.
        least: Rounds to do however long they take.
        server: The server whose processor time is to be watched.
        warm_up: Whether each has a turn beforehand that does not count.
        is_frozen: Whether what exists by now is kept out of the garbage collector's later rounds.

    Returns:
        A figure for each, by its name.
    """
    line = deque(contenders)
    samples: dict[str, list[Sample]] = {contender.name: [] for contender in line}
    units = {contender.name: contender.unit for contender in line}
    if warm_up:
        for contender in line:
            await _timed(contender, server)
    end, longest = clock() + seconds, 0.0
    rounds = 0
    with _only_their_own_garbage() if is_frozen else nullcontext():
        while rounds < least or clock() + longest < end:
            began = clock()
            for contender in line:
                samples[contender.name].append(await _timed(contender, server))
            line.rotate(1)
            longest = max(longest, clock() - began)
            rounds += 1
    return {name: Figure.of(name, units[name], found) for name, found in samples.items()}


@contextmanager
def _only_their_own_garbage() -> Iterator[None]:
    """Keep the collector from going over what is here by now, the modules of all peers."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


async def _timed(contender: Contender, server: Loopback | None) -> Sample:
    # Contenders that never suspend would keep an interruption waiting until the end.
    await asyncio.sleep(0)
    # Nobody pays for what the one before left lying about.
    gc.collect()
    before = server.usage().cpu if server else 0.0
    cpu, wall = time.process_time(), clock()
    outcome = contender.turn()
    done = await outcome if inspect.isawaitable(outcome) else outcome
    wall, cpu = clock() - wall, time.process_time() - cpu
    if isinstance(done, Sample):
        return done
    spent = server.usage().cpu - before if server else None
    return Sample(count=done, wall=wall, cpu=cpu, server=spent)


def times(count: int, action: Callable[[], object]) -> Callable[[], int]:
    """Make a turn of so many calls of a plain function."""

    def turn() -> int:
        for _ in range(count):
            action()
        return count

    return turn


async def drive(call: Callable[[], Awaitable[object]], *, tasks: int, seconds: float) -> int:
    """Call as often as so many tasks can until the time is up.

    Args:
        call: Makes one request.
        tasks: How many tasks do so, each of them one after the other.
        seconds: When no task begins another one.

    Returns:
        How many calls were made.
    """
    end = clock() + seconds

    async def work() -> int:
        count = 0
        while clock() < end:
            await call()
            count += 1
        return count

    async with asyncio.TaskGroup() as group:
        workers = [group.create_task(work()) for _ in range(tasks)]
    return sum(worker.result() for worker in workers)
