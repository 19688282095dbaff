"""How faults change what a read of an execution's orders gets to see."""

from collections.abc import Iterable

import attrs

from upvest_rebalancing.sandbox.kinds import FaultKind
from upvest_rebalancing.sandbox.plan import Strike


@attrs.frozen(kw_only=True)
class Listing:
    """What a read of the list gets.

    Attributes:
        offset: How many orders to leave out.
        limit: The most orders to return.
        visible: How many of the orders are in the list at all.
        copies: How often each row is there.
        count_error: How far `meta.count` is off.
        total_error: How far `meta.total_count` is off.
    """

    offset: int
    limit: int
    visible: int
    copies: int = 1
    count_error: int = 0
    total_error: int = 0


def distorted(plain: Listing, strikes: Iterable[Strike], *, age: float) -> Listing:
    """Return what a read gets under some faults, each applied to what those before it left.

    Args:
        plain: What it would get without.
        strikes: The faults that strike it; `nth` counts those at this execution.
        age: The seconds since the execution was triggered.
    """
    listing = plain
    for strike in strikes:
        listing = _after(listing, strike, age)
    return listing


def _after(listing: Listing, strike: Strike, age: float) -> Listing:
    kind, value = strike.fault.kind, strike.fault.value
    changes: dict[FaultKind, dict[str, int]] = {
        FaultKind.PAGE_CAP: {"limit": min(listing.limit, value)},
        FaultKind.OFFSET_IGNORED: {"offset": 0},
        FaultKind.OFFSET_CLAMPED: {"offset": min(listing.offset, value)},
        FaultKind.EMPTY_PAGE: {"limit": 0},
        FaultKind.WRONG_COUNT: {"count_error": listing.count_error + value},
        FaultKind.WRONG_TOTAL: {"total_error": listing.total_error + value},
        FaultKind.REPEATED_ROWS: {"copies": 2 * listing.copies},
        FaultKind.SHRINKING_LIST: {"visible": max(0, listing.visible - value * strike.nth)},
        FaultKind.LATE_ORDERS: {"visible": listing.visible if _arrived(strike, age) >= 1 else 0},
        FaultKind.GROWING_LIST: {"visible": int(listing.visible * min(1, _arrived(strike, age)))},
    }
    return attrs.evolve(listing, **changes[kind])


def _arrived(strike: Strike, age: float) -> float:
    """Return how far the orders' arrival has come; from 1 on it is complete."""
    fault = strike.fault
    if fault.value:
        late = fault.kind is FaultKind.LATE_ORDERS
        return (strike.nth - 1 if late else strike.nth) / fault.value
    return age / fault.seconds if fault.seconds > 0 else 1.0
