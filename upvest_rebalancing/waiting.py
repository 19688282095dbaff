"""Read an execution's orders again and again, with growing pauses, until all are final."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import attrs

from upvest_rebalancing.errors import WaitTimeoutError
from upvest_rebalancing.models import Execution, ExecutionOutcome
from upvest_rebalancing.protocol.progress import Progress
from upvest_rebalancing.walking import OrderWalk

FIRST_PAUSE: Final = 0.25
"""Seconds between the first two readings; the pause doubles while nothing happens."""

LONGEST_PAUSE: Final = 8.0
"""Seconds that no pause between two readings goes beyond."""


@attrs.frozen(kw_only=True)
class Waiter:
    """Wait for executions.

    Attributes:
        execution: Retrieves the execution.
        orders: Begins a walk over its orders.
        clock: Gives seconds that never go back.
        sleep: Sleeps for seconds.
        jitter: Picks a pause between 0 and the longest.
    """

    execution: Callable[[], Awaitable[Execution]]
    orders: Callable[[], OrderWalk]
    clock: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    jitter: Callable[[float], float]

    async def wait(
        self, timeout: float | None, on_progress: Callable[[ExecutionOutcome], None] | None
    ) -> ExecutionOutcome:
        """Wait until every order is final.

        Args:
            timeout: Seconds; None for no limit.
            on_progress: Called with what is known after each reading.

        Returns:
            The outcome.

        Raises:
            WaitTimeoutError: Time ran out; what is known is in its `outcome`.
            RequestError: A call failed for good.
        """
        started = self.clock()
        progress: Progress | None = None
        try:
            async with asyncio.timeout(timeout):
                progress = Progress(execution=await self.execution(), started=started)
                return await self._follow(progress, on_progress)
        except TimeoutError:
            outcome = None if progress is None else progress.outcome(self.clock())
            raise WaitTimeoutError(_words(timeout, outcome), outcome=outcome) from None

    async def _follow(
        self, progress: Progress, on_progress: Callable[[ExecutionOutcome], None] | None
    ) -> ExecutionOutcome:
        pause, known = FIRST_PAUSE, progress.outcome(self.clock()).by_status
        while True:
            walk = self.orders()
            orders = [order async for order in walk]
            done = progress.take(orders, walk.verdict, self.clock())
            outcome = progress.outcome(self.clock())
            if on_progress is not None:
                on_progress(outcome)
            if done:
                return outcome
            pause = FIRST_PAUSE if outcome.by_status != known else min(pause * 2, LONGEST_PAUSE)
            known = outcome.by_status
            # Half of it stands: a pause near zero would only ask the same question again.
            await self.sleep(pause / 2 + self.jitter(pause / 2))


def _words(timeout: float | None, outcome: ExecutionOutcome | None) -> str:
    if outcome is None:
        return f"the execution could not be retrieved within {timeout:g} s"
    counts = ", ".join(f"{status}: {count}" for status, count in sorted(outcome.by_status.items()))
    return (
        f"execution {outcome.execution_id} was not final within {timeout:g} s: "
        f"{len(outcome.orders)} of {outcome.expected} orders were seen ({counts or 'none'})"
    )
