"""Carry out a plan: trigger each batch once, follow its orders to the end, keep the results.

A trigger that fails for a reason that passes is sent again with its own key while its time is left,
and as long as the server is down no further batch is begun: an outage must not burn the plan.

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
    AnsweredError,
    APIError,
    AttemptOutcome,
    ClientClosedError,
    InvalidRequestError,
    NotSentError,
    OutcomeUnknownError,
    RequestError,
    ServerError,
    TokenError,
    WaitTimeoutError,
)
from upvest_rebalancing.events import (
    AttemptEvent,
    AttemptFinished,
    AttemptHook,
    AttemptStarted,
)
from upvest_rebalancing.models import ExecutionOutcome, TriggeredExecution
from upvest_rebalancing.protocol.retries import is_retryable

OUTAGE_PAUSE: Final = 5.0
"""Seconds after which a call is made again where the client has given up on it."""

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
    if isinstance(error, ClientClosedError):
        return False
    if isinstance(error, TokenError):
        return error.status is None or is_retryable(AttemptOutcome.ANSWERED, error.status)
    return isinstance(error, NotSentError | OutcomeUnknownError | ServerError) or (
        isinstance(error, APIError) and is_retryable(AttemptOutcome.ANSWERED, error.status)
    )


def _pause(error: RequestError) -> float:
    asked = error.retry_after if isinstance(error, APIError | TokenError) else None
    return max(OUTAGE_PAUSE, asked or 0.0)


class _Gate:
    """Hold back new batches while the server is down.

    A batch that fails for a reason that passes closes it; any answer to another one that shows the
    server at work opens it, and from then on that batch's failures are its own affair. Where the
    time of a batch runs out and nothing was answered since it began to fail, no more is begun.
    """

    def __init__(self) -> None:
        self._failing: set[int] = set()
        self._noted: set[int] = set()
        self._changed = asyncio.Event()
        self.is_shut = False
        """Whether it will not open again."""

    def fail(self, number: int) -> None:
        if number not in self._noted:
            self._noted.add(number)
            self._failing.add(number)

    def succeed(self, number: int) -> None:
        self._noted.discard(number)
        self._failing.clear()
        self._wake()

    def give_up(self, number: int) -> None:
        self.is_shut = self.is_shut or number in self._failing
        self._wake()

    async def passed(self) -> bool:
        """Wait until a batch may be begun; False where none may be any more."""
        while self._failing and not self.is_shut:
            self._changed.clear()
            await self._changed.wait()
        return not self.is_shut

    def _wake(self) -> None:
        self._changed.set()


class BulkJob:
    """Carry out a plan, a bounded number of batches at a time.

    A job exists as an object, and not as a function alone, because what it knows has to outlive
    the task that runs it: after a cancellation it is the only one who can say what was triggered.

    Args:
        batches: The plan.
        concurrency: How many batches are triggered and followed at once, from 1.
        timeout: Seconds for which a batch is triggered again where triggering fails for a reason
            that passes, and then seconds for which its orders are followed.
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
        self._by_key = {run.batch.idempotency_key: run for run in self._runs}
        self._gate = _Gate()

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
            self.stop()

    def stop(self) -> None:
        """Settle every batch that has not ended; `run` does so, however it ends."""
        for run in self._runs:
            run.stop()

    def hook(self, also: AttemptHook | None = None) -> AttemptHook:
        """Make a hook for the client, its option ``on_attempt``.

        With it, the job knows of a trigger that was cut off how often it was sent, and whether it
        was sent at all; without it, any that was cut off may have been executed.

        Args:
            also: A hook of your own; it is called after the job's.
        """

        def on_attempt(event: AttemptEvent) -> None:
            run = self._by_key.get(event.idempotency_key or "")
            if run is not None:
                run.is_hooked = True
                if isinstance(event, AttemptFinished):
                    run.finished.append(event.attempt)
            if also is not None:
                also(event)
            # Counted last: an attempt that the other hook refuses is none.
            if run is not None and isinstance(event, AttemptStarted):
                run.begun += 1

        return on_attempt

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
        while await self._gate.passed():
            run = next(waiting, None)
            if run is None:
                return
            execution_id = await self._trigger(client, run)
            if execution_id is not None:
                await self._follow(client, run, execution_id)

    async def _trigger(self, client: BulkClient, run: BatchRun) -> UUID | None:
        run.stage = Stage.TRIGGERING
        self._tell(run)
        key, number = run.batch.idempotency_key, run.batch.number
        try:
            triggered = await self._insist(client, run)
        except RequestError as error:
            if run.may_have_been_executed:
                run.settle(
                    Stage.UNKNOWN,
                    f"the trigger may have been executed (idempotency key {key}): {error}",
                )
            else:
                run.settle(Stage.FAILED, f"the trigger was not executed: {error}")
            if _is_passing(error):
                self._gate.give_up(number)
        except InvalidRequestError as error:
            run.is_calling = False
            run.settle(Stage.FAILED, f"the trigger was not sent: {error}")
        else:
            run.execution_id = triggered.id
            run.stage = Stage.FOLLOWING
        self._tell(run)
        return run.execution_id

    async def _insist(self, client: BulkClient, run: BatchRun) -> TriggeredExecution:
        batch, deadline = run.batch, self._clock() + self._timeout
        while True:
            run.is_calling = True
            try:
                triggered = await client.trigger(
                    accounts=batch.accounts, idempotency_key=batch.idempotency_key
                )
            except RequestError as error:
                run.is_calling = False
                run.told += error.attempts
                if not _is_passing(error):
                    if isinstance(error, AnsweredError):
                        self._gate.succeed(batch.number)
                    raise
                self._gate.fail(batch.number)
                pause = _pause(error)
                if self._clock() + pause >= deadline:
                    raise
            else:
                run.is_calling = False
                run.told += triggered.attempts
                self._gate.succeed(batch.number)
                return triggered
            await self._sleep(pause)

    async def _follow(self, client: BulkClient, run: BatchRun, execution_id: UUID) -> None:
        def progressed(outcome: ExecutionOutcome) -> None:
            run.outcome = outcome
            self._gate.succeed(run.batch.number)
            self._tell(run)

        late = f"not final after {self._timeout:g} s"
        try:
            run.outcome = await self._wait(client, execution_id, progressed)
        except WaitTimeoutError as error:
            run.outcome = error.outcome or run.outcome
            run.settle(Stage.UNFINISHED, f"{late}: {error}")
        except RequestError as error:
            run.settle(Stage.UNFINISHED, f"following the orders failed: {error}")
        else:
            complete = run.outcome.by_account.keys() >= set(run.batch.accounts)
            if complete and run.outcome.is_final:
                run.settle(Stage.DONE)
            elif complete:
                verdict = run.outcome.verdict
                why = "" if verdict is None else f": {verdict.reason}"
                run.settle(Stage.UNFINISHED, f"the list does not agree with its own total{why}")
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
