"""Goodput under a limit of 300 requests per second."""

from __future__ import annotations

import asyncio
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs

from benchmarks.processes import RunningSandbox, sandbox
from benchmarks.results import Check, Goal, Row, per_second
from upvest_rebalancing import RebalancingClient
from upvest_rebalancing.settings import Settings

LIMIT: Final = 300
_TASKS: Final = 100
_FIRST: Final = 1.0
"""Seconds at the beginning that are also looked at apart: a client may need them to learn."""

_OK: Final = 200
_REFUSED: Final = 429


@attrs.frozen
class _Counts:
    """Successes and refusals so far, and when."""

    at: float
    good: int
    refused: int

    @classmethod
    def of(cls, client: RebalancingClient) -> _Counts:
        answers = client.statistics.answers
        return cls(time.perf_counter(), answers.get(_OK, 0), answers.get(_REFUSED, 0))

    def rate_until(self, later: _Counts) -> float:
        return (later.good - self.good) / (later.at - self.at)


def measure(seconds: float) -> Sequence[Row]:
    """Ask as fast as the client lets its tasks, for all of the seconds."""
    with tempfile.TemporaryDirectory() as name:
        options = ("--rate-limit", str(LIMIT), "--order-seconds", "0", "--key-type", "ed25519")
        with sandbox(Path(name), *options) as served:
            return [asyncio.run(_measure(served, seconds))]


async def _measure(served: RunningSandbox, seconds: float) -> Row:
    settings = Settings.from_env(served.file, environ={})
    async with RebalancingClient(settings) as client:
        execution = (await client.trigger(accounts=[uuid.uuid4()])).id
        start, spent = _Counts.of(client), served.cpu()
        first: list[_Counts] = []
        end = start.at + seconds

        async def work() -> None:
            while time.perf_counter() < end:
                await client.execution(execution)

        async def note() -> None:
            await asyncio.sleep(_FIRST)
            first.append(_Counts.of(client))

        async with asyncio.TaskGroup() as group:
            group.create_task(note())
            for _ in range(_TASKS):
                group.create_task(work())
        last = _Counts.of(client)
        share = ((served.cpu() or 0.0) - (spent or 0.0)) / (last.at - start.at)
    (after,) = first
    return _row(start, after, last, share)


def _row(start: _Counts, after: _Counts, last: _Counts, share: float) -> Row:
    good, refused = last.good - start.good, last.refused - start.refused
    overall, later = start.rate_until(last), after.rate_until(last)
    goal = Goal("at least", 0.97)
    seconds = last.at - start.at
    note = f"{good:,} successes in {seconds:.1f} s; the sandbox used {share:.0%} of a core."
    return Row(
        name="goodput under 300 requests per second",
        checks=[
            Check(
                what="over all",
                measured=per_second(overall),
                against=per_second(LIMIT),
                value=overall / LIMIT,
                goal=goal,
            ),
            Check(
                what="after the first second",
                measured=per_second(later),
                against=per_second(LIMIT),
                value=later / LIMIT,
                goal=goal,
            ),
            Check(
                what="answered 429",
                measured=f"{refused} of {good + refused}",
                value=100 * refused / (good + refused),
                goal=Goal("below", 1, "%"),
            ),
        ],
        notes=[note],
    )
