"""Keep track of one batch: how far it has come, and what is known of its accounts."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping
from uuid import UUID

import attrs

from upvest_rebalancing.bulk import results
from upvest_rebalancing.bulk.plan import Batch
from upvest_rebalancing.bulk.results import AccountResult
from upvest_rebalancing.errors import Attempt, AttemptOutcome
from upvest_rebalancing.models import ExecutionOutcome


class Stage(enum.StrEnum):
    """How far a batch has come."""

    PLANNED = "planned"
    """Nothing was sent."""
    TRIGGERING = "triggering"
    """The trigger is on its way, or waits to be sent again with the same key."""
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
        attempts: How many attempts were made to send the trigger.
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
class BatchRun:
    """Keep what is known of one batch while a job carries it out.

    Attributes:
        batch: The batch.
        stage: How far it has come.
        execution_id: The execution's id, where one is known.
        is_hooked: Whether the client's hook has told of any attempt of its trigger.
        begun: Attempts of its trigger that the client's hook has told of.
        finished: Those of them that are over.
        told: Attempts that the client's answers and errors have told of.
        is_calling: Whether a call of the client has not come back.
        outcome: The latest reading of its orders, until it is settled.
        error: What went wrong, where something did.
        results: A result per account, once it is settled.
    """

    batch: Batch
    stage: Stage = Stage.PLANNED
    execution_id: UUID | None = None
    is_hooked: bool = False
    begun: int = 0
    finished: list[Attempt] = attrs.field(factory=list)
    told: list[Attempt] = attrs.field(factory=list)
    is_calling: bool = False
    outcome: ExecutionOutcome | None = None
    error: str | None = None
    results: tuple[AccountResult, ...] | None = None

    @property
    def attempts(self) -> int:
        """How many attempts were made to send the trigger."""
        return max(self.begun, len(self.told))

    @property
    def may_have_been_executed(self) -> bool:
        """Tell whether any attempt so far may have had its effect on the server."""
        # Without a hook nobody knows how far a call has come that was cut off.
        is_open = self.is_calling and (not self.is_hooked or len(self.finished) < self.begun)
        return is_open or any(one.may_have_been_executed for one in self._attempts)

    @property
    def _attempts(self) -> list[Attempt]:
        return self.finished + self.told

    def report(self) -> BatchReport:
        """Say how far the batch has come."""
        return BatchReport(
            self.batch,
            self.stage,
            self.execution_id,
            self.attempts,
            self._by_status(),
            self.error,
        )

    def _by_status(self) -> Mapping[str, int]:
        if self.results is not None:
            return Counter(result.status for result in self.results)
        if self.outcome is not None:
            return results.count_statuses(self.batch, self.outcome)
        return {_WITHOUT_ORDERS[self.stage]: len(self.batch.accounts)}

    def settle(self, stage: Stage, error: str = "") -> None:
        """End the batch, and turn what is known into results.

        Args:
            stage: How it ended.
            error: What is wrong with those of its accounts that are not final.
        """
        self.stage, self.error = stage, error or None
        self.results = self.rows(error)
        # The reading holds every order's JSON; the results are all that is needed from here on.
        self.outcome = None

    def stop(self) -> None:
        """End the batch where it stands, if it has not ended: the job is over."""
        if self.results is not None:
            return
        if self.stage is Stage.PLANNED:
            self.settle(Stage.PLANNED, "the job ended before the trigger was sent")
        elif self.stage is Stage.FOLLOWING:
            self.settle(Stage.UNFINISHED, "the job ended while the orders were being followed")
        elif self.may_have_been_executed:
            key = self.batch.idempotency_key
            self.settle(
                Stage.UNKNOWN,
                "the job ended while the trigger was on its way; it may have been executed "
                f"(idempotency key {key})",
            )
        elif any(one.outcome is AttemptOutcome.ANSWERED for one in self._attempts):
            self.settle(Stage.FAILED, "the job ended after the trigger was refused for the time")
        else:
            self.settle(Stage.PLANNED, "the job ended before the trigger was sent")

    def rows(self, error: str = "the job has not come to an end") -> tuple[AccountResult, ...]:
        """Give a result for each account.

        Args:
            error: What is wrong with those that are not final, of a batch that has not ended.
        """
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
    Stage.TRIGGERING: results.TRIGGERING,
    Stage.FOLLOWING: results.TRIGGERED,
    Stage.UNFINISHED: results.TRIGGERED,
    Stage.FAILED: results.FAILED,
    Stage.UNKNOWN: results.UNKNOWN,
}
