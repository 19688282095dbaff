"""Strategies and builders that the tests of the bulk job share."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID, uuid5

from hypothesis import strategies as st

from upvest_rebalancing.bulk.plan import Batch
from upvest_rebalancing.models import (
    CancellationReason,
    ExecutionOrder,
    ExecutionOutcome,
    OrderStatus,
)

NOW = datetime(2024, 5, 17, 12, tzinfo=UTC)
EXECUTION = UUID("735381ce-8380-4b07-9e42-97e2b6d3643e")

uuids = st.uuids(version=4)
distinct_accounts = st.lists(uuids, max_size=40, unique=True)


def account(number: int) -> UUID:
    return UUID(f"00000000-0000-4000-8000-{number:012x}")


def batch(size: int, number: int = 1) -> Batch:
    first = 1000 * number
    return Batch(number, f"key-{number}", tuple(account(first + i) for i in range(size)))


def order(
    account_id: UUID,
    status: OrderStatus = OrderStatus.FILLED,
    reason: str | None = None,
    execution_id: UUID = EXECUTION,
    details: str | None = None,
) -> ExecutionOrder:
    return ExecutionOrder(
        id=uuid5(execution_id, str(account_id)),
        execution_id=execution_id,
        account_id=account_id,
        status=status,
        created_at=NOW,
        updated_at=NOW,
        cancellation_reason=None if reason is None else CancellationReason(reason),
        cancellation_details=details,
    )


def outcome(
    orders: Sequence[ExecutionOrder], expected: int | None = None, execution_id: UUID = EXECUTION
) -> ExecutionOutcome:
    return ExecutionOutcome(
        execution_id=execution_id,
        orders=tuple(orders),
        expected=len(orders) if expected is None else expected,
    )
