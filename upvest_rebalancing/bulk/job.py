"""Carry out a plan: trigger each batch once, follow its orders to the end, keep the results.

The job never guesses. A trigger whose outcome is not known leaves its accounts "UNKNOWN" with the
idempotency key beside them, and after any end, a cancellation as well, `BulkJob.reports` and
`BulkJob.results` say of every batch and account how far they came.
"""

from __future__ import annotations

import asyncio
import enum
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol
from uuid import UUID

import attrs

from upvest_rebalancing.bulk import results
from upvest_rebalancing.bulk.plan import Batch
from upvest_rebalancing.bulk.results import AccountResult
from upvest_rebalancing.errors import InvalidRequestError, RequestError, WaitTimeoutError
from upvest_rebalancing.models import ExecutionOutcome, TriggeredExecution


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


class Stage(enum.StrEnum):
    """How far a batch has come."""

    PLANNED = "planned"
    """Nothing was sent."""
    TRIGGERING = "triggering"
    """The trigger is on its way; a job that ends here leaves it `UNKNOWN`."""
    FOLLOWING = "following"
    """The execution exists, and its orders are being followed."""
    DONE = "done"
    """Every account has an order in a final status."""
    UNFINISHED = "unfinished"
    """The execution exists, and following ended before every order was final."""
    FAILED = "failed"
    """The trigger failed, and the server has certainly not carried it out."""
    UNKNOWN = "unknown"
    """The trigger ended without an answer that tells whether it was carried out."""


@attrs.frozen
class BatchReport:
    """How far one batch has come.

    Attributes:
        batch: The batch, with its idempotency key.
        stage: How far it has come.
        execution_id: The execution's id, where one is known.
        attempts: How often the trigger was sent, once it has ended.
        by_status: The number of its accounts by status.
        error: What went wrong, where something did.
    """

    batch: Batch
    stage: Stage
    execution_id: UUID | None = None
    attempts: int = 0
    by_status: Mapping[str, int] = attrs.field(factory=dict)
    error: str | None = None


@attrs.define
class _Run:
    batch: Batch
    stage: Stage = Stage.PLANNED
    execution_id: UUID | None = None
    attempts: int = 0
    outcome: ExecutionOutcome | None = None
    error: str | None = None
    results: tuple[AccountResult, ...] | None = None

    def report(self) -> BatchReport:
        return BatchReport(
            self.batch,
            self.stage,
            self.execution_id,
            self.attempts,
            self.by_status(),
            self.error,
        )

    def by_status(self) -> Mapping[str, int]:
        if self.results is not None:
            return Counter(result.status for result in self.results)
        if self.outcome is not None:
            return results.count_statuses(self.batch, self.outcome)
        return {_WITHOUT_ORDERS[self.stage]: len(self.batch.accounts)}

    def settle(self, stage: Stage, error: str = "") -> None:
        self.stage, self.error = stage, error or None
        self.results = self.rows(error)
        # The reading holds every order's JSON; the results are all that is needed from here on.
        self.outcome = None

    def stop(self) -> None:
        if self.results is not None:
            return
        if self.stage is Stage.PLANNED:
            self.settle(Stage.PLANNED, "the job ended before the trigger was sent")
        elif self.stage is Stage.TRIGGERING:
            key = self.batch.idempotency_key
            self.settle(
                Stage.UNKNOWN,
                "the job ended while the trigger was on its way; it may have been executed "
                f"(idempotency key {key})",
            )
        else:
            self.settle(Stage.UNFINISHED, "the job ended while the orders were being followed")

    def rows(self, error: str) -> tuple[AccountResult, ...]:
        if self.results is not None:
            return self.results
        if self.outcome is not None:
            return results.ordered(self.batch, self.outcome, attempts=self.attempts, error=error)
        return results.unordered(
            self.batch,
            _WITHOUT_ORDERS[self.stage],
            attempts=self.attempts,
            error=error,
            execution_id=self.execution_id,
        )


_WITHOUT_ORDERS: Mapping[Stage, str] = {
    Stage.PLANNED: results.NOT_TRIGGERED,
    Stage.TRIGGERING: results.UNKNOWN,
    Stage.FOLLOWING: results.TRIGGERED,
    Stage.UNFINISHED: results.TRIGGERED,
    Stage.FAILED: results.FAILED,
    Stage.UNKNOWN: results.UNKNOWN,
}

_NOT_YET = "the job has not come to an end"


class BulkJob:
    """Carry out a plan, a bounded number of batches at a time.

    A job exists as an object, and not as a function alone, because what it knows has to outlive
    the task that runs it: after a cancellation it is the only one who can say what was triggered.

    Args:
        batches: The plan.
        concurrency: How many batches are triggered and followed at once, from 1.
        timeout: Seconds for which the orders of one batch are followed.
        on_event: Called with a batch's report each time that it has come further.
        clock: Seconds from any fixed moment on, for `seconds`.

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
        self._started = self._ended = clock()
        self._runs = [_Run(batch) for batch in batches]

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
            yield from run.rows(_NOT_YET)

    async def _work(self, client: BulkClient, waiting: Iterator[_Run]) -> None:
        for run in waiting:
            execution_id = await self._trigger(client, run)
            if execution_id is not None:
                await self._follow(client, run, execution_id)

    async def _trigger(self, client: BulkClient, run: _Run) -> UUID | None:
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

    async def _follow(self, client: BulkClient, run: _Run, execution_id: UUID) -> None:
        def progressed(outcome: ExecutionOutcome) -> None:
            run.outcome = outcome
            self._tell(run)

        try:
            run.outcome = await client.wait(
                execution_id, timeout=self._timeout, on_progress=progressed
            )
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

    def _tell(self, run: _Run) -> None:
        if self._on_event is not None:
            self._on_event(run.report())
