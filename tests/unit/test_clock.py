"""What an answer's ``Date`` says about this machine's clock."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from upvest_rebalancing.protocol.clock import EXPLAINS, TOLERATED, ServerClock

SKEW = st.floats(-4000, 4000)


def answer(
    clock: ServerClock, at: float, skew: float, way: float = 0.05, *, is_refused: bool = False
) -> bool:
    """Let a server whose clock is ahead by `skew` answer a request sent `at` this time."""
    date = math.floor(at + way / 2 + skew)
    return clock.observe(date=date, sent=at, received=at + way, is_refused=is_refused)


def test_nothing_is_known_at_first() -> None:
    clock = ServerClock()
    assert clock.skew is None
    assert clock.correction == 0
    assert not clock.explains(0.0)


@given(SKEW, st.lists(st.tuples(st.floats(0, 1000), st.floats(0.001, 5)), min_size=1, max_size=20))
def test_the_true_skew_is_always_within_the_estimate(
    skew: float, answers: list[tuple[float, float]]
) -> None:
    clock = ServerClock()
    for after, way in answers:
        answer(clock, 1e9 + after, skew, way)
        assert clock.skew is not None
        assert abs(clock.skew - skew) <= (1 + way) / 2 + 1e-3
    narrowest = min(way for _, way in answers)
    assert abs(clock.skew - skew) <= (1 + narrowest) / 2 + 1e-3  # type: ignore[operator]


@given(st.floats(-0.9, 0.9), st.floats(0, 1), st.floats(0.001, 60))
def test_clocks_that_agree_are_never_corrected(skew: float, at: float, way: float) -> None:
    clock = ServerClock()
    assert not answer(clock, 1e9 + at, skew, way)
    assert clock.correction == 0
    assert clock.jumps == 0


@given(SKEW, st.floats(0, 1))
def test_clocks_that_are_apart_are_corrected_and_said_once(skew: float, at: float) -> None:
    assume(abs(skew) > TOLERATED + 2)
    clock = ServerClock()
    assert answer(clock, 1e9 + at, skew)
    assert abs(clock.correction - skew) <= 0.6
    assert clock.explains(0.0)
    assert not clock.explains(clock.correction)
    for second in range(1, 10):
        assert not answer(clock, 1e9 + at + second * 1.37, skew)
    assert clock.jumps == 1
    assert abs(clock.correction - skew) <= 0.6


def test_many_answers_narrow_it_down() -> None:
    clock = ServerClock()
    for n in range(50):
        answer(clock, 1e9 + n * 1.0173, 300.25, way=0.002)
    assert clock.skew == pytest.approx(300.25, abs=0.05)


@given(SKEW, SKEW)
def test_a_jump_is_followed(first: float, second: float) -> None:
    assume(abs(first - second) > EXPLAINS + 2 and abs(second) > TOLERATED + 2)
    clock = ServerClock()
    answer(clock, 1e9, first)
    before = clock.correction
    assert answer(clock, 1e9 + 10, second, is_refused=True)
    assert clock.explains(before)
    assert clock.skew is not None
    assert abs(clock.skew - second) <= 0.6


def test_a_clock_that_jumps_back_to_right_is_corrected_no_more() -> None:
    clock = ServerClock()
    answer(clock, 1e9, 3600)
    for second in range(3):
        assert clock.correction != 0
        assert not answer(clock, 1e9 + 10 + second, 0)
    assert clock.correction == 0


def test_one_server_of_many_whose_clock_is_off_is_not_believed() -> None:
    clock = ServerClock()
    answer(clock, 1e9, 0)
    for second in range(1, 100):
        answer(clock, 1e9 + second, 300 if second % 3 == 0 else 0)
        assert clock.correction == 0


def test_dates_beyond_a_week_are_nonsense() -> None:
    clock = ServerClock()
    assert not answer(clock, 1e9, 8 * 86_400)
    assert clock.skew is None


def test_a_slow_answer_does_not_spoil_a_good_estimate() -> None:
    clock = ServerClock()
    answer(clock, 1e9, 120, way=0.01)
    good = clock.skew
    answer(clock, 1e9 + 3, 120, way=50)
    assert clock.skew == pytest.approx(good, abs=0.51)
