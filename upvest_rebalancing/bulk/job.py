"""Carry out a plan: trigger each batch once, follow its orders to the end, keep the results.

The job never guesses. A trigger whose outcome is not known leaves its accounts "UNKNOWN" with the
idempotency key beside them, and after any end, a cancellation as well, `BulkJob.reports` and
`BulkJob.results` say of every batch and account how far they came.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final, Protocol
from uuid import UUID

from upvest_rebalancing.bulk.batches import BatchReport, BatchRun, Stage
from upvest_rebalancing.bulk.plan import Batch
from upvest_rebalancing.bulk.results import AccountResult
from upvest_rebalancing.errors import (
    APIError,
    AttemptOutcome,
    InvalidRequestError,
    NotSentError,
    OutcomeUnknownError,
    RequestError,
    TokenError,
    WaitTimeoutError,
)
from upvest_rebalancing.models import ExecutionOutcome, TriggeredExecution
from upvest_rebalancing.protocol.retries import is_retryable

OUTAGE_PAUSE: Final = 5.0
"""Seconds after which orders are asked for again where the client has given up on a call."""

_SHORTEST_WAIT: Final = 0.001


class BulkClient(Protocol):
    """The two calls that a job makes; `upvest_rebalancing.RebalancingClient` has them."""

    async def trigger(
        self, *, accounts: Sequence[UUID], idempotency_key: str
    ) -> TriggeredExecution:
        """Trigger a rebalancing."""
        ...

    async def wait(
        self,
        execution_id: UUID,
        *,
        timeout: float,
        on_progress: Callable[[ExecutionOutcome], None] | None,
    ) -> ExecutionOutcome:
        """Follow an execution until all of its orders are final."""
        ...


def _is_passing(error: RequestError) -> bool:
    if isinstance(error, TokenError):
        return error.status is None or is_retryable(AttemptOutcome.ANSWERED, error.status)
    return isinstance(error, NotSentError | OutcomeUnknownError) or (
        isinstance(error, APIError) and is_retryable(AttemptOutcome.ANSWERED, error.status)
    )


class BulkJob:
    """Carry out a plan, a bounded number of batches at a time.

    A job exists as an object, and not as a function alone, because what it knows has to outlive
    the task that runs it: after a cancellation it is the only one who can say what was triggered.

    Args:
        batches: The plan.
        concurrency: How many batches are triggered and followed at once, from 1.
        timeout: Seconds for which the orders of one batch are followed.
        on_event: Called with a batch's report each time that it has come further.
        clock: Gives seconds that never go back.
        sleep: Sleeps for seconds.

    Raises:
        InvalidRequestError: An argument is out of its range.
    """

    def __init__(
        self,
        batches: Sequence[Batch],
        *,
        concurrency: int = 8,
        timeout: float = 600.0,
        on_event: Callable[[BatchReport], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        if concurrency < 1:
            message = f"concurrency is {concurrency}; 1 or more would be right"
            raise InvalidRequestError(message)
        if not timeout > 0:
            message = f"timeout is {timeout}; more than 0 seconds would be right"
            raise InvalidRequestError(message)
        self._concurrency = concurrency
        self._timeout = timeout
        self._on_event = on_event
        self._clock = clock
        self._sleep = sleep
        self._started = self._ended = clock()
        self._runs = [BatchRun(batch) for batch in batches]

    async def run(self, client: BulkClient) -> None:
        """Trigger and follow every batch, once; read `reports` and `results` afterwards.

        A call that fails is recorded with its batch and does not end the job. Cancellation ends it
        at once and leaves no task behind.

        Args:
            client: Makes the calls.

        Raises:
            ExceptionGroup: Something failed that is no failed call.
        """
        waiting = iter(self._runs)
        self._started = self._clock()
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._concurrency, len(self._runs))):
                    group.create_task(self._work(client, waiting))
        finally:
            self._ended = self._clock()
            for run in self._runs:
                run.stop()

    @property
    def seconds(self) -> float:
        """Seconds that `run` took; 0 before it has ended."""
        return self._ended - self._started

    def reports(self) -> tuple[BatchReport, ...]:
        """Say how far every batch has come, in the order of the plan."""
        return tuple(run.report() for run in self._runs)

    def results(self) -> Iterator[AccountResult]:
        """Give a result for each account, in the order of the plan."""
        for run in self._runs:
            yield from run.rows()

    async def _work(self, client: BulkClient, waiting: Iterator[BatchRun]) -> None:
        for run in waiting:
            execution_id = await self._trigger(client, run)
            if execution_id is not None:
                await self._follow(client, run, execution_id)

    async def _trigger(self, client: BulkClient, run: BatchRun) -> UUID | None:
        run.stage = Stage.TRIGGERING
        self._tell(run)
        key = run.batch.idempotency_key
        try:
            triggered = await client.trigger(accounts=run.batch.accounts, idempotency_key=key)
        except RequestError as error:
            run.attempts = len(error.attempts)
            if error.may_have_been_executed:
                run.settle(
                    Stage.UNKNOWN,
                    f"the trigger may have been executed (idempotency key {key}): {error}",
                )
            else:
                run.settle(Stage.FAILED, f"the trigger was not executed: {error}")
        except InvalidRequestError as error:
            run.settle(Stage.FAILED, f"the trigger was not sent: {error}")
        else:
            run.attempts = len(triggered.attempts)
            run.execution_id = triggered.id
            run.stage = Stage.FOLLOWING
        self._tell(run)
        return run.execution_id

    async def _follow(self, client: BulkClient, run: BatchRun, execution_id: UUID) -> None:
        def progressed(outcome: ExecutionOutcome) -> None:
            run.outcome = outcome
            self._tell(run)

        try:
            run.outcome = await self._wait(client, execution_id, progressed)
        except WaitTimeoutError as error:
            run.outcome = error.outcome or run.outcome
            run.settle(Stage.UNFINISHED, f"not final after {self._timeout:g} s: {error}")
        except RequestError as error:
            run.settle(Stage.UNFINISHED, f"following the orders failed: {error}")
        else:
            complete = run.outcome.by_account.keys() >= set(run.batch.accounts)
            if complete and run.outcome.is_final:
                run.settle(Stage.DONE)
            else:
                run.settle(Stage.UNFINISHED, "the execution has no final order for this account")
        self._tell(run)

    async def _wait(
        self,
        client: BulkClient,
        execution_id: UUID,
        on_progress: Callable[[ExecutionOutcome], None],
    ) -> ExecutionOutcome:
        deadline = self._clock() + self._timeout
        while True:
            try:
                left = max(deadline - self._clock(), _SHORTEST_WAIT)
                return await client.wait(execution_id, timeout=left, on_progress=on_progress)
            except RequestError as error:
                # The orders live on while the server can't be asked: an outage that is longer than
                # the client's patience must not end a job that has time left.
                if not _is_passing(error) or self._clock() + OUTAGE_PAUSE >= deadline:
                    raise
            await self._sleep(OUTAGE_PAUSE)

    def _tell(self, run: BatchRun) -> None:
        if self._on_event is not None:
            self._on_event(run.report())
