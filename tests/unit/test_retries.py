"""The decision after an attempt, and the server's word on when to come back."""

import itertools
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upvest_rebalancing.errors import AttemptOutcome
from upvest_rebalancing.protocol.retries import (
    GiveUp,
    RetryBudget,
    RetryPolicy,
    Wait,
    decide,
    is_retryable,
    parse_http_date,
    parse_retry_after,
    pause,
)

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
POLICY = RetryPolicy(max_attempts=6, deadline=120, base=0.25, cap=20, retry_after_limit=60)
ANSWERED, UNKNOWN, NOT_SENT = (
    AttemptOutcome.ANSWERED,
    AttemptOutcome.UNKNOWN,
    AttemptOutcome.NOT_SENT,
)


def whole(longest: float) -> float:
    return longest


def none(_: float) -> float:
    return 0.0


def after(
    attempt: int = 1,
    outcome: AttemptOutcome = ANSWERED,
    status: int | None = 503,
    retry_after: float | None = None,
    elapsed: float = 0.0,
) -> Wait | GiveUp:
    return decide(
        POLICY,
        attempt=attempt,
        outcome=outcome,
        status=status,
        retry_after=retry_after,
        elapsed=elapsed,
        jitter=whole,
    )


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_passing_answers_are_retried(status: int) -> None:
    assert after(status=status) == Wait(0.25)


@pytest.mark.parametrize("status", [200, 301, 400, 401, 403, 404, 405, 406, 409, 422, 501, 505])
def test_other_answers_are_final(status: int) -> None:
    assert isinstance(after(status=status), GiveUp)
    assert not is_retryable(ANSWERED, status)


@pytest.mark.parametrize("outcome", [UNKNOWN, NOT_SENT])
def test_failures_of_the_network_are_retried(outcome: AttemptOutcome) -> None:
    assert after(outcome=outcome, status=None) == Wait(0.25)


def test_pauses_double_up_to_the_cap() -> None:
    pauses = [pause(POLICY, attempt, None, whole) for attempt in range(1, 10)]
    assert pauses == [0.25, 0.5, 1, 2, 4, 8, 16, 20, 20]


@given(st.integers(1, 60), st.floats(0, 1), st.none() | st.floats(0, 60))
def test_a_pause_is_jittered_above_its_floor(
    attempt: int, where: float, floor: float | None
) -> None:
    seconds = pause(POLICY, attempt, floor, lambda longest: longest * where)
    assert (floor or 0) <= seconds <= (floor or 0) + POLICY.cap
    assert pause(POLICY, attempt, floor, none) == (floor or 0)


def test_the_last_attempt_ends_it() -> None:
    assert isinstance(after(attempt=5), Wait)
    assert after(attempt=6) == GiveUp("6 of 6 attempts are used up")


def test_a_pause_beyond_the_limit_ends_it() -> None:
    assert after(retry_after=60.0) == Wait(60.25)
    decision = after(retry_after=60.5)
    assert isinstance(decision, GiveUp)
    assert "60.5 s" in decision.reason


def test_the_deadline_ends_it() -> None:
    assert isinstance(after(elapsed=118.7), Wait)
    decision = after(elapsed=118.75)
    assert isinstance(decision, GiveUp)
    assert "deadline" in decision.reason


@pytest.mark.parametrize("field", ["max_attempts", "deadline", "base", "cap", "retry_after_limit"])
@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan")])
def test_a_policy_is_checked(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        RetryPolicy(**{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        ("120", 120.0),
        (" 1.5 ", 1.5),
        ("99999999999999999999", 1e20),
        ("inf", None),
        ("nan", None),
        ("-1", None),
        ("-inf", None),
        ("1e999", None),
        ("", None),
        ("soon", None),
        ("Sun, 22 Nov 2026 12:00:30 GMT", 30.0),
        ("Sun, 22 Nov 2026 11:00:00 GMT", 0.0),
        ("Sun, 22 Nov 99999 12:00:30 GMT", None),
        ("Sun, 99 Nov 2026 12:00:30 GMT", None),
        ("Sun, 22 Nov 2026 12:00:30 -0000", 30.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 251606951999.0),
        ("Sun, 22 Nov 2026 12:00:30 +9999", None),
        ("Fri, 31 Dec 9999 23:59:59 -2359", None),
        ("1_0", None),
        ("1e3", None),
        ("٣", None),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, NOW) == seconds


@given(st.text())
def test_no_retry_after_can_break_anything(value: str) -> None:
    seconds = parse_retry_after(value, NOW)
    assert seconds is None or 0 <= seconds < float("inf")


@given(st.integers(0, 10**6))
def test_retry_after_dates(seconds: int) -> None:
    value = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    assert parse_retry_after(value, NOW) == seconds
    assert parse_http_date(value) == NOW + timedelta(seconds=seconds)


def test_the_budget_lets_a_burst_through_and_then_a_share() -> None:
    budget = RetryBudget(capacity=10, refund=0.2)
    assert (
        list(itertools.islice((budget.spend() for _ in range(12)), 12)) == [True] * 10 + [False] * 2
    )
    retries = 0
    for _ in range(1000):
        budget.succeed()
        retries += budget.spend()
    assert 198 <= retries <= 200


def test_the_budget_does_not_grow_beyond_its_capacity() -> None:
    budget = RetryBudget(capacity=1, refund=0.2)
    budget.succeed()
    assert budget.tokens == 1
