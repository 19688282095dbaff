from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upvest_rebalancing.sandbox.limits import (
    FixedWindow,
    RateLimits,
    SlidingWindow,
    TokenBucket,
)

TIMES = st.lists(st.floats(0, 5), min_size=1, max_size=80).map(sorted)
PER_SECOND = st.integers(1, 8)


@given(TIMES, PER_SECOND)
@settings(deadline=None)
def test_a_fixed_window_has_as_many_as_it_may(times: list[float], per_second: int) -> None:
    limit = FixedWindow(per_second)
    passed = Counter(int(now) for now in times if limit.allows(now))
    asked = Counter(int(now) for now in times)
    assert passed == {window: min(count, per_second) for window, count in asked.items()}


@given(TIMES, PER_SECOND)
@settings(deadline=None)
def test_a_sliding_window_never_has_more_in_any_second(times: list[float], per_second: int) -> None:
    limit = SlidingWindow(per_second)
    passed: list[float] = []
    for now in times:
        recent = sum(now - earlier < 1 for earlier in passed)
        allowed = limit.allows(now)
        assert allowed is (recent < per_second)
        if allowed:
            passed.append(now)


@given(TIMES, PER_SECOND)
@settings(deadline=None)
def test_a_bucket_never_gives_more_than_it_had_and_got(times: list[float], per_second: int) -> None:
    limit = TokenBucket(per_second)
    passed = 0
    for now in times:
        allowed = limit.allows(now)
        passed += allowed
        assert passed <= per_second * (1 + now - times[0]) + 1e-6
        if not allowed:
            assert passed >= per_second


def test_a_bucket_is_refilled_evenly_and_not_beyond_its_size() -> None:
    limit = TokenBucket(4)
    assert [limit.allows(0) for _ in range(5)] == [True] * 4 + [False]
    assert [limit.allows(0.25) for _ in range(2)] == [True, False]
    assert [limit.allows(100) for _ in range(5)] == [True] * 4 + [False]
    assert limit.allows(99) is False


@pytest.mark.parametrize("kind", ["fixed", "sliding", "bucket"])
def test_each_client_has_its_own_limit(kind: str) -> None:
    limits = RateLimits(2, kind)  # type: ignore[arg-type]
    assert [limits.allows("a", 10) for _ in range(3)] == [True, True, False]
    assert limits.allows("b", 10)
    assert limits.allows("a", 11)


def test_there_may_be_no_limit() -> None:
    limits = RateLimits(None, "fixed")
    assert all(limits.allows("a", 0) for _ in range(1000))


def test_clients_that_are_silent_are_forgotten() -> None:
    limits = RateLimits(1, "fixed")
    for number in range(3000):
        assert limits.allows(str(number), 0)
    assert len(limits._limits) == 1024
    assert not limits.allows("2999", 0)
