"""Write orders one by one: as a table, as CSV, as JSON Lines."""

from __future__ import annotations

import enum
from collections.abc import Callable

from upvest_rebalancing.bulk.writer import csv_rows
from upvest_rebalancing.cli.screen import json_text, one_line, plain
from upvest_rebalancing.models import ExecutionOrder

FIELDS = (
    "id",
    "account_id",
    "status",
    "portfolio_order_id",
    "cancellation_reason",
    "cancellation_details",
    "created_at",
    "updated_at",
)
"""The names of an order's values, in the order of the columns."""


class OrderFormat(enum.StrEnum):
    """How orders are written."""

    TABLE = "table"
    """Columns of a fixed width, for a reader."""
    CSV = "csv"
    """A header, then a row per order; what is not known is empty."""
    JSONL = "jsonl"
    """A JSON object per order and line; what is not known is null."""


def order_writer(
    output_format: OrderFormat, write: Callable[[str], object], *, encoding: str = "utf-8"
) -> Callable[[ExecutionOrder], object]:
    """Make a function that writes one order; a header is written at once.

    Args:
        output_format: How orders are written.
        write: Takes text.
        encoding: What the text is to be encoded with.

    Returns:
        The function.
    """
    if output_format is OrderFormat.CSV:
        write_row = csv_rows(write)
        write_row(FIELDS)
        return lambda order: write_row(_values(order))
    if output_format is OrderFormat.JSONL:
        return lambda order: write(
            json_text(dict(zip(FIELDS, _values(order), strict=True)), encoding) + "\n"
        )
    write(_columns("ACCOUNT", "STATUS", "ORDER", "REASON"))
    return lambda order: write(
        _columns(str(order.account_id), order.status.value, str(order.id), _reason(order))
    )


def _columns(account: str, status: str, order: str, reason: str) -> str:
    return f"{account:<36}  {plain(status):<10}  {order:<36}  {plain(reason)}".rstrip() + "\n"


def _reason(order: ExecutionOrder) -> str:
    reason = "" if order.cancellation_reason is None else order.cancellation_reason.value
    details = one_line(order.cancellation_details or "")
    return f"{reason}: {details}" if reason and details else reason or details


def _values(order: ExecutionOrder) -> tuple[str | None, ...]:
    reason, portfolio_order = order.cancellation_reason, order.portfolio_order_id
    return (
        str(order.id),
        str(order.account_id),
        order.status.value,
        None if portfolio_order is None else str(portfolio_order),
        None if reason is None else reason.value,
        order.cancellation_details,
        order.created_at.isoformat(),
        order.updated_at.isoformat(),
    )
