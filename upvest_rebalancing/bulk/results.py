"""Say for each account what came of it.

A result is compact, and what many share (statuses, reasons, the batch's error) is one object for
all of them: a hundred thousand results fit into a few dozen megabytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from uuid import UUID

import attrs

from upvest_rebalancing.bulk.plan import Batch
from upvest_rebalancing.models import ExecutionOrder, ExecutionOutcome, OrderStatus

NOT_TRIGGERED: Final = "NOT_TRIGGERED"
"""No trigger that names the account was sent."""
FAILED: Final = "FAILED"
"""The trigger failed, and the server has certainly not carried it out."""
UNKNOWN: Final = "UNKNOWN"
"""The trigger ended without an answer that tells whether it was carried out."""
TRIGGERING: Final = "TRIGGERING"
"""The trigger is on its way; an account of a job that has ended never has this status."""
TRIGGERED: Final = "TRIGGERED"
"""The execution exists, and no order of the account has been seen."""


@attrs.frozen
class AccountResult:
    """What came of one account.

    Attributes:
        account_id: The account.
        status: The order's last status, or one of `NOT_TRIGGERED`, `FAILED`, `UNKNOWN` and
            `TRIGGERED` where no order is known.
        order_id: The order's id, where one is known.
        execution_id: The execution's id, where one is known.
        idempotency_key: The key of its batch's trigger; the only one to ask again with.
        cancellation_reason: Why the order was cancelled, where it was.
        cancellation_details: More on that in words, where given.
        attempts: How often the trigger of the account's batch was sent.
        error: Why the result is not final; None where it is.
    """

    account_id: UUID
    status: str
    order_id: UUID | None = None
    execution_id: UUID | None = None
    idempotency_key: str | None = None
    cancellation_reason: str | None = None
    cancellation_details: str | None = None
    attempts: int = 0
    error: str | None = None

    @property
    def is_final(self) -> bool:
        """Tell whether the account has an order that will not change any more."""
        return self.error is None


def unordered(
    batch: Batch, status: str, *, attempts: int, error: str, execution_id: UUID | None = None
) -> tuple[AccountResult, ...]:
    """Make the results of a batch of which no order is known.

    Args:
        batch: The batch.
        status: The status that all of its accounts have.
        attempts: How often its trigger was sent.
        error: Why there is no order.
        execution_id: The execution's id, where one is known.

    Returns:
        A result per account, in the order of the batch.
    """
    return tuple(
        AccountResult(
            account,
            status,
            execution_id=execution_id,
            idempotency_key=batch.idempotency_key,
            attempts=attempts,
            error=error,
        )
        for account in batch.accounts
    )


def ordered(
    batch: Batch, outcome: ExecutionOutcome, *, attempts: int, error: str
) -> tuple[AccountResult, ...]:
    """Make the results of a batch from the orders of its execution.

    Args:
        batch: The batch.
        outcome: The latest reading of the orders.
        attempts: How often the batch's trigger was sent.
        error: What is wrong with an account whose order is not final or not known.

    Returns:
        A result per account, in the order of the batch.
    """
    orders = _by_account(outcome)
    return tuple(
        AccountResult(
            account,
            TRIGGERED,
            execution_id=outcome.execution_id,
            idempotency_key=batch.idempotency_key,
            attempts=attempts,
            error=error,
        )
        if (order := orders.get(account)) is None
        else AccountResult(
            account,
            order.status.value,
            order.id,
            outcome.execution_id,
            batch.idempotency_key,
            None if order.cancellation_reason is None else order.cancellation_reason.value,
            order.cancellation_details,
            attempts,
            None if order.status.is_final else error,
        )
        for account in batch.accounts
    )


def count_statuses(batch: Batch, outcome: ExecutionOutcome) -> dict[str, int]:
    """Count a batch's accounts by status, those without an order as `TRIGGERED`.

    Args:
        batch: The batch.
        outcome: The latest reading of its execution's orders.

    Returns:
        The number of accounts by status.
    """
    counts: dict[str, int] = {}
    seen = 0
    for order in _own_orders(batch, outcome):
        seen += 1
        counts[order.status.value] = counts.get(order.status.value, 0) + 1
    if seen < len(batch.accounts):
        counts[TRIGGERED] = len(batch.accounts) - seen
    return counts


def _own_orders(batch: Batch, outcome: ExecutionOutcome) -> Iterator[ExecutionOrder]:
    orders = _by_account(outcome)
    return (orders[account] for account in batch.accounts if account in orders)


def _by_account(outcome: ExecutionOutcome) -> dict[UUID, ExecutionOrder]:
    """Map each account to the order that stands for it: one that is not final, if it has any."""
    ordered = sorted(
        outcome.orders, key=lambda order: (not order.status.is_final, order.updated_at)
    )
    return {order.account_id: order for order in ordered}


def is_final_status(status: str) -> bool:
    """Tell whether a status of a result is one that an order ends in."""
    return OrderStatus(status).is_final
