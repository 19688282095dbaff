"""The values that the API speaks of: executions, their orders, pages and outcomes.

All are frozen; times are aware and in UTC; statuses and reasons are open enumerations, so that a
value which the server learns tomorrow is read today. Fields and their meaning come from the
specification's page "Portfolios Rebalancing".
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Self
from uuid import UUID

import attrs

from upvest_rebalancing.documents import FromJSON
from upvest_rebalancing.errors import Attempt


class OpenEnum(enum.StrEnum):
    """A string enumeration that takes any string.

    A value outside the documented ones becomes a member of its own that compares equal to its
    string and to itself, and says so by `is_documented`.
    """

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        member = str.__new__(cls, value)
        member._name_ = value
        member._value_ = value
        return member

    @property
    def is_documented(self) -> bool:
        """Tell whether the value is one that the documentation names."""
        return self._value_ in type(self)._value2member_map_


class OrderStatus(OpenEnum):
    """Where an order stands: NEW, then PROCESSING, then FILLED, or CANCELLED from anywhere."""

    NEW = "NEW"
    PROCESSING = "PROCESSING"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    SETTLED = "SETTLED"
    """Named only by an earlier description of the API (1.9.0); it comes after FILLED."""

    @property
    def is_final(self) -> bool:
        """Tell whether the order will not change any more; never True for an unknown status."""
        return self in _FINAL

    @property
    def rank(self) -> int:
        """Say how far along its life an order with this status is, from 0; unknown ones are 1."""
        return _RANKS.get(self, 1)


_FINAL = frozenset({OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.SETTLED})
_RANKS = {
    OrderStatus.NEW: 0,
    OrderStatus.PROCESSING: 1,
    OrderStatus.FILLED: 2,
    OrderStatus.CANCELLED: 2,
    OrderStatus.SETTLED: 3,
}


class CancellationReason(OpenEnum):
    """Why an order was cancelled."""

    ACCOUNT_IS_EMPTY = "ACCOUNT_IS_EMPTY"
    ACCOUNT_NOT_FOUND = "ACCOUNT_NOT_FOUND"
    CANCELLED_BY_CLIENT = "CANCELLED_BY_CLIENT"
    CANCELLED_BY_UPVEST = "CANCELLED_BY_UPVEST"
    CONFIGURATION_IS_MISSING = "CONFIGURATION_IS_MISSING"
    INVALID_ACCOUNT_STATUS = "INVALID_ACCOUNT_STATUS"
    """Named by the documentation, not by the specification's page."""
    INVALID_ACCOUNT_TYPE = "INVALID_ACCOUNT_TYPE"
    PORTFOLIO_IS_BALANCED = "PORTFOLIO_IS_BALANCED"
    UNKNOWN = "UNKNOWN"


class ListOrder(OpenEnum):
    """The direction in which a list is sorted."""

    ASC = "ASC"
    DESC = "DESC"


@attrs.frozen(kw_only=True)
class TriggeredExecution(FromJSON):
    """The answer to a trigger: an execution exists, and this is its id.

    Attributes:
        id: The execution's id.
        idempotency_key: The key that every attempt of this trigger carried.
        request_id: The server's correlation id, where it sent one.
        attempts: What each attempt did, oldest first.
    """

    id: UUID
    idempotency_key: str
    request_id: str | None = None
    attempts: tuple[Attempt, ...] = attrs.field(default=(), eq=False, repr=False)


@attrs.frozen(kw_only=True)
class Execution(FromJSON):
    """A rebalancing execution.

    Attributes:
        id: The execution's id.
        created_at: When it was created, in UTC.
        updated_at: When it last changed, in UTC.
        accounts: The accounts that it was triggered for; None where the answer does not say.
        allocations: The allocations that it was triggered for; None where the answer does not say.
        request_id: The server's correlation id, where it sent one.
        attempts: What each attempt of the call did, oldest first.
    """

    id: UUID
    created_at: datetime
    updated_at: datetime
    accounts: tuple[UUID, ...] | None = None
    allocations: tuple[UUID, ...] | None = None
    request_id: str | None = attrs.field(default=None, eq=False)
    attempts: tuple[Attempt, ...] = attrs.field(default=(), eq=False, repr=False)


@attrs.frozen(kw_only=True)
class ExecutionOrder(FromJSON):
    """One account's order within an execution.

    Attributes:
        id: The order's id.
        execution_id: The execution that it belongs to.
        account_id: The account that is rebalanced.
        portfolio_order_id: The portfolio order that was made; None until there is one.
        status: Where the order stands.
        created_at: When it was created, in UTC.
        updated_at: When it last changed, in UTC.
        cancellation_reason: Why it was cancelled, where it was.
        cancellation_details: More on that in words, where given.
    """

    id: UUID
    execution_id: UUID
    account_id: UUID
    status: OrderStatus
    created_at: datetime
    updated_at: datetime
    portfolio_order_id: UUID | None = None
    cancellation_reason: CancellationReason | None = None
    cancellation_details: str | None = None


@attrs.frozen(kw_only=True)
class PageMeta:
    """What a page says of itself; not to be trusted (the specification's example contradicts it).

    Attributes:
        offset: Where in the list the page starts.
        limit: How many rows it has at the most.
        count: How many rows it says that it has.
        total_count: How many rows the whole list has.
        sort: The field that the list is sorted by, where given.
        order: The direction, where given.
    """

    offset: int
    limit: int
    count: int
    total_count: int
    sort: str | None = None
    order: ListOrder | None = None


@attrs.frozen(kw_only=True)
class Page(FromJSON):
    """One page of an execution's orders, as the server sent it: repeats are not removed.

    Attributes:
        meta: What the page says of itself.
        data: Its orders.
        request_id: The server's correlation id, where it sent one.
        attempts: What each attempt of the call did, oldest first.
    """

    meta: PageMeta
    data: tuple[ExecutionOrder, ...]
    request_id: str | None = attrs.field(default=None, eq=False)
    attempts: tuple[Attempt, ...] = attrs.field(default=(), eq=False, repr=False)


@attrs.frozen(kw_only=True)
class WalkVerdict:
    """Whether a walk over a list that moves has seen all of it.

    Attributes:
        complete: True where everything that the list says it has was seen, by its largest total of
            the last pass, and where going over it again was quiet if it had moved.
        seen: Distinct orders seen.
        expected: Orders that the list should have, by its largest total of the last pass.
        pages: Pages read.
        repeats: Rows that came more than once.
        reason: Why the walk ended, in words.
        quiet_passes: Whole passes over the list, the last ones, that brought no new order.
    """

    complete: bool
    seen: int
    expected: int
    pages: int
    repeats: int
    reason: str
    quiet_passes: int = 0

    @property
    def missing(self) -> int:
        """Orders that the list should have and that were not seen."""
        return max(0, self.expected - self.seen)


@attrs.frozen(kw_only=True)
class ExecutionOutcome:
    """How an execution ended, or how far it had come when waiting ended.

    Attributes:
        execution_id: The execution.
        orders: The latest reading of each order seen, one per order id.
        expected: How many orders there should be: the largest of the accounts, of what the list
            claims, and of what is known; more than is known where the end is not sure.
        verdict: The last reading's verdict on completeness.
        readings: How many times the list was looked at.
        elapsed: Seconds spent waiting.
        by_status: The number of orders by status.
        by_cancellation_reason: How many were cancelled, by reason; UNKNOWN where none was given.
    """

    execution_id: UUID
    orders: Sequence[ExecutionOrder] = attrs.field(repr=False)
    expected: int
    verdict: WalkVerdict | None = None
    readings: int = 0
    elapsed: float = 0.0
    by_status: Counter[OrderStatus] = attrs.field(eq=False)
    by_cancellation_reason: Counter[CancellationReason] = attrs.field(eq=False)

    @by_status.default
    def _count_by_status(self) -> Counter[OrderStatus]:
        return Counter(order.status for order in self.orders)

    @by_cancellation_reason.default
    def _count_by_reason(self) -> Counter[CancellationReason]:
        cancelled = (o for o in self.orders if o.status is OrderStatus.CANCELLED)
        return Counter(o.cancellation_reason or CancellationReason.UNKNOWN for o in cancelled)

    @property
    def is_final(self) -> bool:
        """Tell whether every expected order was seen and is in a final status."""
        return len(self.orders) >= self.expected and all(s.is_final for s in self.by_status)

    @property
    def by_account(self) -> dict[UUID, ExecutionOrder]:
        """Map each account to its order; the one that changed last where there are several."""
        ordered = sorted(self.orders, key=lambda order: order.updated_at)
        return {order.account_id: order for order in ordered}


@attrs.frozen(kw_only=True)
class Authentication:
    """What a fresh access token grants, without the token.

    Attributes:
        scopes: The scopes that were granted.
        lifetime: Seconds that the token lives.
        clock_skew: Seconds that the server's clock is ahead of this machine's, measured at the
            middle of the token request and good to about a second; None where the answer had no
            ``Date``.
    """

    scopes: tuple[str, ...]
    lifetime: float
    clock_skew: float | None = None
