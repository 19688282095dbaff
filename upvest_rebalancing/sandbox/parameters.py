"""The parameters of the list of orders, as the specification has them."""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Final
from urllib.parse import parse_qsl

import attrs

from upvest_rebalancing.sandbox.problems import ProblemError

_HIGHEST_INT32: Final = 2**31 - 1
_HIGHEST_LIMIT: Final = 1000
_DEFAULT_LIMIT: Final = 100
_WHOLE: Final = re.compile(r"\d{1,10}", re.ASCII)
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_DATE_TIME: Final = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt](\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?([Zz]|[+-]\d{2}:\d{2})", re.ASCII
)


@attrs.frozen
class OrderQuery:
    """What part of an execution's orders is asked for.

    Attributes:
        offset: How many orders to leave out.
        limit: The most orders to return.
        start: The earliest creation time, inclusive, in Unix seconds.
        end: The latest creation time, exclusive, in Unix seconds. The specification says "up
            until this date", which is read as: orders of the end date itself are left out.
    """

    offset: int = 0
    limit: int = _DEFAULT_LIMIT
    start: float | None = None
    end: float | None = None

    def includes(self, created_at: float) -> bool:
        """Tell whether an order's creation time is asked for.

        Args:
            created_at: The time in Unix seconds.
        """
        return (self.start is None or self.start <= created_at) and (
            self.end is None or created_at < self.end
        )


def order_query(query: str) -> OrderQuery:
    """Read the query of a list of orders; parameters that it does not know are ignored.

    Args:
        query: The query as sent, without its `?`.

    Raises:
        ProblemError: A parameter has a value that cannot be, or is given twice (400).
    """
    given: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in given and name in _KNOWN:
            raise ProblemError(400, f"the parameter {name} is given more than once")
        given[name] = value
    _choice(given, "sort", "status")
    _choice(given, "order", "ASC")
    return OrderQuery(
        offset=_whole(given, "offset", 0, _HIGHEST_INT32),
        limit=_whole(given, "limit", _DEFAULT_LIMIT, _HIGHEST_LIMIT),
        start=_moment(given, "start_date"),
        end=_moment(given, "end_date"),
    )


_KNOWN: Final = frozenset({"sort", "order", "offset", "limit", "start_date", "end_date"})


def _choice(given: Mapping[str, str], name: str, only: str) -> None:
    value = given.get(name, only)
    if value != only:
        raise ProblemError(400, f"{name}={value!r}: must be {only!r}, the only one there is")


def _whole(given: Mapping[str, str], name: str, default: int, highest: int) -> int:
    value = given.get(name)
    if value is None:
        return default
    if not _WHOLE.fullmatch(value) or int(value) > highest:
        raise ProblemError(400, f"{name}={value!r}: must be a whole number from 0 to {highest}")
    return int(value)


def _moment(given: Mapping[str, str], name: str) -> float | None:
    value = given.get(name)
    if value is None:
        return None
    try:
        return _parsed_moment(value)
    except (ValueError, OverflowError) as error:
        hint = ""
        if " " in value:
            hint = " (a + in a query stands for a space: write it as %2B)"
        detail = (
            f"{name}={value!r}: must be a date such as 2022-10-14 or an RFC 3339 date-time "
            f"such as 2022-10-14T00:00:00Z{hint}"
        )
        raise ProblemError(400, detail) from error


def _parsed_moment(value: str) -> float:
    if _DATE.fullmatch(value):
        day = date.fromisoformat(value)
        return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
    parts = _DATE_TIME.fullmatch(value)
    if parts is None:
        message = "neither a date nor a date-time"
        raise ValueError(message)
    day_text, clock, fraction, offset = parts.groups()
    moment = datetime.fromisoformat(f"{day_text}T{clock}{offset.upper()}")
    return (moment + timedelta(seconds=float(f"0.{fraction or 0}"))).timestamp()
