"""A page of orders read by others into classes of the same shape."""

from __future__ import annotations

import enum
import gc
import json
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar
from uuid import UUID

import attrs
import cattrs
import msgspec

_T = TypeVar("_T")


class Status(enum.StrEnum):
    """An order's status; closed, where ours takes words that it does not know."""

    NEW = "NEW"
    PROCESSING = "PROCESSING"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"


class Reason(enum.StrEnum):
    """Why an order was cancelled."""

    ACCOUNT_IS_EMPTY = "ACCOUNT_IS_EMPTY"
    PORTFOLIO_IS_BALANCED = "PORTFOLIO_IS_BALANCED"
    UNKNOWN = "UNKNOWN"


@attrs.frozen(kw_only=True)
class Order:
    """An order, with the fields that ours has."""

    id: UUID
    execution_id: UUID
    account_id: UUID
    status: Status
    created_at: datetime
    updated_at: datetime
    portfolio_order_id: UUID | None = None
    cancellation_reason: Reason | None = None
    cancellation_details: str | None = None


@attrs.frozen(kw_only=True)
class Meta:
    """What a page says of itself."""

    offset: int
    limit: int
    count: int
    total_count: int
    sort: str | None = None
    order: str | None = None


@attrs.frozen(kw_only=True)
class OrderPage:
    """A page of orders."""

    meta: Meta
    data: tuple[Order, ...]


def with_msgspec() -> Callable[[bytes], OrderPage]:
    """Make a function that reads a page with msgspec."""
    return msgspec.json.Decoder(OrderPage).decode


@attrs.frozen
class Rows:
    """The rows of a page, as they came."""

    data: list[msgspec.Raw]


def with_msgspec_and_rows() -> Callable[[bytes], tuple[OrderPage, list[bytes]]]:
    """Make a function that reads a page with msgspec, and copies the bytes of each row."""
    read_page = msgspec.json.Decoder(OrderPage).decode
    read_rows = msgspec.json.Decoder(Rows).decode
    return lambda body: (read_page(body), [bytes(row) for row in read_rows(body).data])


def without_collection(read: Callable[[bytes], _T], body: bytes) -> _T:
    """Read a page while no garbage is collected."""
    gc.disable()
    try:
        return read(body)
    finally:
        gc.enable()


def with_cattrs() -> Callable[[bytes], OrderPage]:
    """Make a function that reads a page with cattrs as it comes, and the standard library."""
    converter = cattrs.Converter()
    converter.register_structure_hook(UUID, lambda value, _: UUID(value))
    converter.register_structure_hook(datetime, lambda value, _: datetime.fromisoformat(value))
    return lambda body: converter.structure(json.loads(body), OrderPage)
