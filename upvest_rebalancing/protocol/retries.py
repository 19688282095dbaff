"""Decide after each attempt: done, wait so long and try again, or give up and why.

Pure: elapsed seconds, the jitter and the server's words are arguments.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, Final, TypeAlias

import attrs

from upvest_rebalancing.errors import AttemptOutcome

_SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?")

LEAST_ROOM: Final = 1.0
"""Seconds that an attempt must have left before the deadline, or a tenth of it if that is less."""

RETRIED_STATUSES: Final = frozenset({429, 500, 502, 503, 504})

Jitter: TypeAlias = Callable[[float], float]
"""Take the longest pause in seconds, give one between 0 and it: full jitter."""


def _positive(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{attribute.name} must be a number, not {value!r}")
    if not (value > 0 and math.isfinite(value)):
        raise ValueError(f"{attribute.name} must be a positive, finite number, not {value!r}")


def _whole(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if value != int(value):
        raise ValueError(f"{attribute.name} must be a whole number, not {value!r}")


def _share(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not (value >= 0 and math.isfinite(value)):
        raise ValueError(f"{attribute.name} must be 0 or a positive number, not {value!r}")


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """How often and how long a call is tried.

    Attributes:
        max_attempts: Attempts of one call at the most, the first included; 1 turns retries off.
        deadline: Seconds over all attempts and the pauses between them.
        base: Seconds that the first pause lasts at the most; it doubles from there.
        cap: Seconds that no pause of our own goes beyond.
        retry_after_limit: Seconds; a server that asks for a longer pause gets no retry.
    """

    max_attempts: int = attrs.field(default=6, validator=[_positive, _whole])
    deadline: float = attrs.field(default=120.0, validator=_positive)
    base: float = attrs.field(default=0.25, validator=_positive)
    cap: float = attrs.field(default=20.0, validator=_positive)
    retry_after_limit: float = attrs.field(default=60.0, validator=_positive)

    @property
    def least_room(self) -> float:
        """Seconds before the deadline below which no attempt is begun any more.

        An attempt that can't be answered in time only turns "not sent" into "unknown".
        """
        return min(LEAST_ROOM, self.deadline / 10)


@attrs.frozen
class Wait:
    """Try again after so many seconds."""

    seconds: float


@attrs.frozen
class GiveUp:
    """Make no further attempt, for this reason."""

    reason: str


def is_retryable(outcome: AttemptOutcome, status: int | None) -> bool:
    """Tell whether an attempt that ended so may be made again.

    A request that carries an idempotency key, or changes nothing, may be sent again after a
    failure of the network; of the answers, only those that name a passing state.
    """
    return outcome is not AttemptOutcome.ANSWERED or status in RETRIED_STATUSES


def pause(policy: RetryPolicy, attempt: int, retry_after: float | None, jitter: Jitter) -> float:
    """Say how long to wait after the attempt of this number.

    Args:
        policy: The policy.
        attempt: The attempt that failed, counted from 1.
        retry_after: Seconds that the server asked for; a floor that jitter never shortens.
        jitter: Where between 0 and the longest pause to land.

    Returns:
        Seconds.
    """
    import backoff  # noqa: PLC0415 - most processes never come to a retry

    waits = backoff.expo(base=2, factor=policy.base, max_value=policy.cap)
    # The generator's first value is None: it waits to be sent the previous outcome.
    longest = next(itertools.islice(waits, attempt, None))
    return (retry_after or 0.0) + jitter(min(longest, policy.cap))


def decide(
    policy: RetryPolicy,
    *,
    attempt: int,
    outcome: AttemptOutcome,
    status: int | None,
    retry_after: float | None,
    elapsed: float,
    jitter: Jitter,
) -> Wait | GiveUp:
    """Decide what follows an attempt that failed.

    Args:
        policy: The policy.
        attempt: The attempt that failed, counted from 1.
        outcome: How it ended.
        status: The status that it was answered with, if any.
        retry_after: Seconds that the server asked for, if it did.
        elapsed: Seconds since the call began.
        jitter: Where between 0 and the longest pause to land.

    Returns:
        How long to wait, or why to give up.
    """
    if not is_retryable(outcome, status):
        return GiveUp("this failure is not one that passes")
    if attempt >= policy.max_attempts:
        return GiveUp(f"{attempt} of {policy.max_attempts} attempts are used up")
    if retry_after is not None and retry_after > policy.retry_after_limit:
        return GiveUp(
            f"the server asks for a pause of {retry_after:g} s, "
            f"beyond the limit of {policy.retry_after_limit:g} s"
        )
    seconds = pause(policy, attempt, retry_after, jitter)
    if elapsed + seconds + policy.least_room >= policy.deadline:
        return GiveUp(f"the deadline of {policy.deadline:g} s would pass before the next attempt")
    return Wait(seconds)


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Read a ``Retry-After`` header (RFC 9110, section 10.2.3): seconds or an HTTP-date.

    Args:
        value: The header's value; None where there is none.
        now: The time that an HTTP-date is measured from; best the answer's own ``Date``, so that
            a clock that is off does no harm.

    Returns:
        Seconds from now, never negative; None where the header is missing or makes no sense
        (``inf``, ``nan``, a negative number, a year that no calendar has).
    """
    if value is None:
        return None
    text = value.strip()
    if _SECONDS.fullmatch(text):
        seconds = float(text)
        return seconds if math.isfinite(seconds) else None
    when = parse_http_date(text)
    return None if when is None else max(0.0, (when - now).total_seconds())


@lru_cache(maxsize=16)
def parse_http_date(value: str | None) -> datetime | None:
    """Read an HTTP-date (RFC 9110, section 5.6.7).

    The answers of one second have the same one, so the last few are remembered.

    Returns:
        The time in UTC; None where the text is missing or is no date.
    """
    if value is None:
        return None
    try:
        when = parsedate_to_datetime(value)
        return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


# What is set once is checked once; every success sets `tokens`.
@attrs.define(eq=False, on_setattr=attrs.setters.NO_OP)
class RetryBudget:
    """Keep a client's retries in proportion to its successes.

    In an outage every call fails, and retrying them all multiplies the load on a server that is
    already down. Each retry takes one token, each success gives a part of one back, and without a
    token there is no retry. The scheme is that of gRPC's retry throttling (proposal A6).

    Attributes:
        capacity: Tokens at the most, and at the start.
        refund: Tokens that a success gives back.
    """

    capacity: float = attrs.field(default=100.0, validator=_share)
    refund: float = attrs.field(default=0.2, validator=_share)
    tokens: float = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.tokens = self.capacity

    def spend(self) -> bool:
        """Take a token for a retry; False where there is none."""
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

    def succeed(self) -> None:
        """Give a part of a token back after a success."""
        if self.tokens < self.capacity:
            self.tokens = min(self.capacity, self.tokens + self.refund)
