"""How long the event loop is held up while 200 tasks send signed requests."""

from __future__ import annotations

import asyncio
import gc
import math
import statistics
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from types import TracebackType
from typing import Final, Self

import attrs

from benchmarks.fixtures import EXECUTION, Key, bare_session
from benchmarks.loopback import Loopback
from benchmarks.measuring import Contender, Figure, Turn, clock, compete, drive
from benchmarks.results import Check, Goal, Row, duration, per_second
from benchmarks.rows.rates import PATH

_TASKS: Final = 200
_TURN: Final = 1.2
_BEAT: Final = 0.001
"""Seconds that a heartbeat sleeps; what it comes too late by is a stall."""

_INLINE: Final = "ours, signing on the loop"
_OURS: Final = "ours, by default"
_BARE: Final = "bare aiohttp, unsigned"
_IDLE: Final = "nothing but the heartbeat"


class Heartbeat:
    """Beat on the loop, and note by how much each beat comes too late.

    Attributes:
        stalls: Seconds by which each beat came too late.
        pauses: Seconds that each run of the garbage collector took, which holds up the loop too.
    """

    def __init__(self) -> None:
        self.stalls: list[float] = []
        self.pauses: list[float] = []
        self._collecting_since = 0.0

    def __enter__(self) -> Self:
        gc.callbacks.append(self._collect)
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time() + _BEAT
        self._handle = self._loop.call_at(self._due, self._beat)
        return self

    def _beat(self) -> None:
        now = self._loop.time()
        self.stalls.append(now - self._due)
        self._due = now + _BEAT
        self._handle = self._loop.call_at(self._due, self._beat)

    def _collect(self, phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            self._collecting_since = clock()
        else:
            self.pauses.append(clock() - self._collecting_since)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        gc.callbacks.remove(self._collect)
        self._handle.cancel()


@attrs.frozen
class _Stalls:
    """Stalls of one contender: medians over the rounds, and the worst of all rounds.

    Attributes:
        median: The median of a round.
        late: The 90th percentile of a round.
        longest: The longest of a round.
        worst: The longest of all rounds.
        pause: The longest run of the garbage collector in all rounds.
    """

    median: float
    late: float
    longest: float
    worst: float
    pause: float

    @classmethod
    def of(cls, rounds: Sequence[Heartbeat]) -> _Stalls:
        beats = [sorted(heartbeat.stalls) for heartbeat in rounds]
        return cls(
            median=statistics.median(statistics.median(stalls) for stalls in beats),
            late=statistics.median(stalls[math.ceil(len(stalls) * 0.9) - 1] for stalls in beats),
            longest=statistics.median(stalls[-1] for stalls in beats),
            worst=max(stalls[-1] for stalls in beats),
            pause=max((max(heartbeat.pauses, default=0.0) for heartbeat in rounds), default=0.0),
        )


def measure(seconds: float) -> Sequence[Row]:
    """Measure P-521, whose signatures are the long ones."""
    return [asyncio.run(_measure(Key.p521(), seconds))]


async def _measure(key: Key, seconds: float) -> Row:
    rounds: dict[str, list[Heartbeat]] = {_INLINE: [], _OURS: [], _BARE: [], _IDLE: []}
    with Loopback() as server:
        async with AsyncExitStack() as clients:
            enter = clients.enter_async_context
            inline = await enter(key.client(server.url, signing_threads=0))
            ours = await enter(key.client(server.url))
            bare = await enter(bare_session())

            async def get_bare() -> None:
                async with bare.get(server.url + PATH) as response:
                    await response.read()

            calls: dict[str, Callable[[], Awaitable[object]]] = {
                _INLINE: lambda: inline.execution(EXECUTION),
                _OURS: lambda: ours.execution(EXECUTION),
                _BARE: get_bare,
                _IDLE: partial(asyncio.sleep, _TURN),
            }
            for call in calls.values():
                # Connections and the token are there before anything counts.
                await drive(call, tasks=_TASKS, seconds=_TURN / 4)
            contenders = [
                Contender(name, _turn(call, rounds[name])) for name, call in calls.items()
            ]
            # How long a full collection takes depends on the whole process, and not on a client.
            figures = await compete(
                contenders, seconds=seconds, server=server, warm_up=False, is_frozen=True
            )
    return _row(figures, {name: _Stalls.of(found) for name, found in rounds.items()})


def _turn(call: Callable[[], Awaitable[object]], rounds: list[Heartbeat]) -> Turn:
    async def turn() -> int:
        with Heartbeat() as heartbeat:
            count = await drive(call, tasks=_TASKS, seconds=_TURN)
        rounds.append(heartbeat)
        return count

    return turn


def _row(figures: dict[str, Figure], stalls: dict[str, _Stalls]) -> Row:
    ours, inline = figures[_OURS], figures[_INLINE]
    return Row(
        name="P-521 signing off the loop, 200 tasks",
        checks=[
            Check(
                what="the loop's longest stall",
                measured=duration(stalls[_OURS].longest),
                value=stalls[_OURS].longest * 1000,
                goal=Goal("below", 5, "ms"),
            ),
            Check(
                what="throughput against signing on the loop",
                measured=per_second(ours.rate),
                against=per_second(inline.rate),
                value=ours.rate / inline.rate,
                goal=Goal("at least", 1.5),
            ),
        ],
        figures=list(figures.values()),
        notes=[
            *(_note(name, found) for name, found in stalls.items()),
            _cores(ours, inline, figures[_BARE]),
        ],
    )


def _note(name: str, stalls: _Stalls) -> str:
    return (
        f"Stalls, {name}: {duration(stalls.median)} at the median, {duration(stalls.late)} at the "
        f"90th percentile, {duration(stalls.longest)} the longest of a round, "
        f"{duration(stalls.worst)} the longest of all rounds. The garbage collector's longest run "
        f"was {duration(stalls.pause)}."
    )


def _cores(ours: Figure, inline: Figure, bare: Figure) -> str:
    used = ours.cpu * ours.rate + (ours.server_share or 0)
    return (
        f"With threads the client and the server kept {used:.2f} cores busy, of which the server "
        f"{ours.server_share or 0:.2f}; without, the client had "
        f"{inline.cpu * inline.rate:.2f} and the server {inline.server_share or 0:.2f}. What the "
        "server used was not free for signing. Bare aiohttp's exchange takes "
        f"{duration(bare.cpu)} of one core; the rest of {duration(inline.cpu)}, the signature and "
        f"what ours does beside it, could at the best be shared by two. Ours keeps "
        f"{inline.cpu / ours.wall:.2f} cores at work that it would do on one."
    )
