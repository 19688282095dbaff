"""One function per operation: checked arguments in, a `Request` out.

Whatever is wrong with an argument is said here, before anything is sent. Paths, parameters and
limits are those of the specification's page "Portfolios Rebalancing".
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Final, TypeAlias
from urllib.parse import quote
from uuid import UUID

from upvest_rebalancing.errors import InvalidRequestError
from upvest_rebalancing.protocol.messages import Request

API_VERSION: Final = "1"
EXECUTIONS_PATH: Final = "/portfolios/rebalancings/executions"
TOKEN_PATH: Final = "/auth/token"  # noqa: S105 - a path
MAX_PAGE_SIZE: Final = 1000
MAX_OFFSET: Final = 2**31 - 1

# A date, or a date and a time with its offset: a time without one could be anybody's.
_DATE_PATTERN = re.compile(
    r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d))?", re.ASCII
)
_KEY_PATTERN = re.compile(
    r"[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-5][0-9a-fA-F]{3}-?[089abAB][0-9a-fA-F]{3}-?[0-9a-fA-F]{12}"
)

Identifier: TypeAlias = UUID | str
"""A UUID, or its text."""
DateLike: TypeAlias = date | datetime | str
"""A date, an aware datetime, or the text of either in ISO 8601."""


def new_idempotency_key() -> str:
    """Make an idempotency key: a random UUID (version 4)."""
    return str(uuid.uuid4())


def check_idempotency_key(key: Identifier) -> str:
    """Check an idempotency key against the specification's pattern.

    Args:
        key: The key.

    Returns:
        Its text, as it was given.

    Raises:
        InvalidRequestError: The pattern refuses it; of UUIDs it takes the versions 0 to 5 only.
    """
    text = str(key)
    if not _KEY_PATTERN.fullmatch(text):
        raise InvalidRequestError(
            f"idempotency_key {text!r} does not match the specification's pattern: "
            "a UUID of version 0 to 5 is right (a UUIDv4, for example)"
        )
    return text


def trigger(
    *,
    client_id: str,
    idempotency_key: str,
    accounts: Iterable[Identifier] | None = None,
    allocations: Iterable[Identifier] | None = None,
) -> Request:
    """Build the request that triggers a rebalancing.

    Args:
        client_id: The tenant's client id.
        idempotency_key: The key of this logical trigger, already checked.
        accounts: Ids of the accounts to rebalance.
        allocations: Ids of the portfolio allocations to rebalance.

    Raises:
        InvalidRequestError: Both or neither are given, one is empty, or an id is no UUID.
    """
    if (accounts is None) == (allocations is None):
        given = "neither is" if accounts is None else "both are"
        raise InvalidRequestError(f"give either accounts or allocations; {given} given")
    name, values = ("accounts", accounts) if accounts is not None else ("allocations", allocations)
    body = json.dumps({name: _identifiers(name, values)}, separators=(",", ":")).encode()
    return Request(
        operation="trigger",
        method="POST",
        target=EXECUTIONS_PATH,
        headers=_headers(client_id)
        | {"content-type": "application/json", "idempotency-key": idempotency_key},
        body=body,
        idempotency_key=idempotency_key,
    )


def execution(*, client_id: str, execution_id: Identifier) -> Request:
    """Build the request that retrieves an execution.

    Raises:
        InvalidRequestError: The id is no UUID.
    """
    return Request(
        operation="execution",
        method="GET",
        target=f"{EXECUTIONS_PATH}/{identifier('execution_id', execution_id)}",
        headers=_headers(client_id),
    )


def orders(
    *,
    client_id: str,
    execution_id: Identifier,
    offset: int | None = None,
    limit: int | None = None,
    start_date: DateLike | None = None,
    end_date: DateLike | None = None,
    sort: str | None = None,
    order: str | None = None,
) -> Request:
    """Build the request that lists an execution's orders.

    Args:
        client_id: The tenant's client id.
        execution_id: The execution.
        offset: Rows to leave out, 0 or more; the server's default is 0.
        limit: Rows at the most, 0 to 1000; the server's default is 100.
        start_date: Orders with dates from and including this date (UTC).
        end_date: Orders with dates up until this date (UTC).
        sort: The field to sort by; ``status`` is the only one.
        order: The direction; ``ASC`` is the only one.

    Raises:
        InvalidRequestError: An argument is not as the specification has it.
    """
    parameters: dict[str, str] = {}
    if sort is not None:
        parameters["sort"] = _one_of("sort", sort, "status")
    if order is not None:
        parameters["order"] = _one_of("order", order, "ASC")
    if offset is not None:
        parameters["offset"] = str(_between("offset", offset, 0, MAX_OFFSET))
    if limit is not None:
        parameters["limit"] = str(_between("limit", limit, 0, MAX_PAGE_SIZE))
    if start_date is not None:
        parameters["start_date"] = _encoded(date_text("start_date", start_date))
    if end_date is not None:
        parameters["end_date"] = _encoded(date_text("end_date", end_date))
    if start_date is not None and end_date is not None:
        _in_order(_moment("start_date", start_date), _moment("end_date", end_date))
    query = "&".join([f"{name}={value}" for name, value in parameters.items()])
    path = f"{EXECUTIONS_PATH}/{identifier('execution_id', execution_id)}/orders"
    return Request(
        operation="orders",
        method="GET",
        target=f"{path}?{query}" if query else path,
        headers=_headers(client_id),
    )


def _encoded(value: str) -> str:
    # Everything reserved is encoded: a "+" or ":" left bare is read differently by different
    # servers, and the signature covers these very bytes.
    return quote(value, safe="")


def identifier(name: str, value: Identifier) -> str:
    """Give a UUID's canonical text.

    Args:
        name: The argument's name, for the error.
        value: A UUID or its text.

    Raises:
        InvalidRequestError: The value is no UUID.
    """
    if isinstance(value, UUID):
        return str(value)
    try:
        return str(UUID(value))
    except (ValueError, TypeError, AttributeError):
        raise InvalidRequestError(f"{name} is {value!r}; a UUID or its text is right") from None


def date_text(name: str, value: DateLike) -> str:
    """Write a date as the API reads it: ``2022-10-14`` or ``2022-10-14T00:00:00Z``.

    Args:
        name: The argument's name, for the error.
        value: A date, an aware datetime (it is turned to UTC), or a text that stays as it is.

    Raises:
        InvalidRequestError: The datetime is naive, or the text is no date.
    """
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise InvalidRequestError(
                f"{name} is {value!r}, which has no time zone; an aware datetime is right"
            )
        return _moment(name, value).replace(tzinfo=None).isoformat() + "Z"
    if isinstance(value, date):
        return value.isoformat()
    _moment(name, value)
    return value


def _moment(name: str, value: DateLike) -> datetime:
    wrong = InvalidRequestError(
        f"{name} is {value!r}; a date, an aware datetime, '2022-10-14' or "
        "'2022-10-14T00:00:00Z' is right"
    )
    if isinstance(value, str) and not _DATE_PATTERN.fullmatch(value):
        raise wrong
    try:
        moment = datetime.fromisoformat(value if isinstance(value, str) else value.isoformat())
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError, AttributeError):
        raise wrong from None


def _headers(client_id: str) -> dict[str, str]:
    return {
        "accept": "application/json",
        "upvest-api-version": API_VERSION,
        "upvest-client-id": client_id,
    }


def _identifiers(name: str, values: Iterable[Identifier] | None) -> list[str]:
    if isinstance(values, str | UUID):
        raise InvalidRequestError(f"{name} is a single id; a list of ids is right")
    if not isinstance(values, Iterable):
        raise InvalidRequestError(f"{name} is {values!r}; a list of ids is right")
    found = [identifier(f"{name}[{n}]", value) for n, value in enumerate(values)]
    if not found:
        raise InvalidRequestError(f"{name} is empty; at least one id is needed")
    return found


def _in_order(start: datetime, end: datetime) -> None:
    if start > end:
        raise InvalidRequestError(f"start_date {start} lies after end_date {end}; turn them round")


def _one_of(name: str, value: str, only: str) -> str:
    if value != only:
        raise InvalidRequestError(f"{name} is {value!r}; {only!r} is the only value there is")
    return str(value)


def _between(name: str, value: int, low: int, high: int) -> int:
    if type(value) is not int or not low <= value <= high:
        raise InvalidRequestError(f"{name} is {value!r}; a whole number, {low} to {high}, is right")
    return value
