"""The window counts what went, and says when there is room again."""

from __future__ import annotations

import math

import pytest

from upvest_rebalancing.protocol.pacing.window import Window


def window(per_second: float, *taken: float) -> Window:
    counting = Window()
    counting.limit(per_second, margin=0.25)
    for at in taken:
        counting.take(at)
    return counting


@pytest.mark.parametrize(
    ("per_second", "count", "seconds"),
    [(4, 4, 1.25), (4.9, 4, 1.25), (1, 1, 1.25), (0.5, 1, 2.5), (math.inf, math.inf, 1.25)],
)
def test_a_limit_is_a_whole_number_of_requests_in_a_span(
    per_second: float, count: float, seconds: float
) -> None:
    counting = window(per_second)
    assert (counting.count, counting.seconds) == (count, seconds)
    assert counting.rate == pytest.approx(count / seconds)


def test_there_is_room_until_it_is_full_and_when_the_first_is_long_gone() -> None:
    assert window(3, 10.0, 10.5).opens_at() == -math.inf
    assert window(3, 10.0, 10.5, 10.75).opens_at() == 11.25
    assert window(3, 10.0, 10.5, 10.75, 11.25).opens_at() == 11.75


def test_what_did_not_go_leaves_its_room() -> None:
    counting = window(2, 10.0, 10.5)
    counting.give_back(10.0)
    assert counting.opens_at() == -math.inf
    counting.take(10.75)
    assert counting.opens_at() == 11.75
    counting.give_back(3.0)
    assert counting.opens_at() == 11.75


def test_what_went_before_a_limit_counts() -> None:
    counting = window(math.inf, 10.0, 10.25, 10.5, 10.75)
    assert counting.opens_at() == -math.inf
    counting.limit(2, margin=0.25)
    assert counting.opens_at() == 11.75
    counting.limit(4, margin=0.25)
    assert counting.opens_at() == 11.25


def test_no_more_than_one_span_is_remembered() -> None:
    counting = window(math.inf)
    for number in range(1000):
        counting.take(number / 100)
    assert len(counting._gone) == 125
