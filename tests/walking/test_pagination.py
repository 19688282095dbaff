"""The arithmetic of the walk, against a list that moves in every way."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.walking.lists import (
    ALPHABETICAL,
    BY_LIFE,
    TOTALS,
    MovingList,
    carry_out,
    changes,
    order,
    page,
    played,
)
from upvest_rebalancing.models import ExecutionOrder
from upvest_rebalancing.protocol.pagination import ALLOWANCE, BARREN_PASSES, LAST_OFFSET, Walk

windows = st.integers(1, 6)
page_sizes = st.integers(1, 12)
counts = st.integers(0, 60)
SMALL_ALLOWANCE = 40


def checked(walk: Walk, source: MovingList, window: int) -> list[ExecutionOrder]:
    """Walk to the end, and check what holds for every walk over every list."""
    found = carry_out(walk, source, window)
    verdict = walk.verdict
    assert len({each.id for each in found}) == len(found) == verdict.seen
    assert walk.offset is None
    assert walk.plan(window) == ()
    assert verdict.pages <= len(source.reads)
    assert verdict.reason != "the walk is not over"
    assert verdict.missing == max(0, verdict.expected - verdict.seen)
    assert not (verdict.complete and verdict.missing)
    return found


@settings(deadline=None)
@given(counts, page_sizes, windows, changes("advance"), st.sampled_from([ALPHABETICAL, BY_LIFE]))
def test_the_verdict_on_a_list_that_moves_is_true(
    count: int,
    page_size: int,
    window: int,
    moves: list[list[tuple[str, int]]],
    sorting: tuple[str, ...],
) -> None:
    source = MovingList.of(count, before_read=played(moves), sorting=sorting)
    walk = Walk(page_size=page_size)
    found = checked(walk, source, window)
    assert {each.id for each in found} <= source.ids
    assert walk.verdict.complete == (len(found) == count)
    assert walk.verdict.missing == count - len(found)


@settings(deadline=None)
@given(counts, page_sizes, windows, changes("advance", "add"))
def test_the_verdict_on_a_list_that_grows_is_true(
    count: int, page_size: int, window: int, moves: list[list[tuple[str, int]]]
) -> None:
    source = MovingList.of(count, before_read=played(moves))
    walk = Walk(page_size=page_size)
    found = checked(walk, source, window)
    # What was made after the last page that was taken is unknown to everyone.
    if walk.verdict.complete and walk.verdict.expected == len(source.orders):
        assert {each.id for each in found} == source.ids


@settings(deadline=None)
@given(counts, page_sizes, windows, changes("remove"))
def test_rows_that_leave_the_list_do_not_stand_in_for_rows_that_stay(
    count: int, page_size: int, window: int, moves: list[list[tuple[str, int]]]
) -> None:
    source = MovingList.of(count, before_read=played(moves[:5]))
    walk = Walk(page_size=page_size)
    found = checked(walk, source, window)
    if len(source.reads) > 5 + window:
        assert walk.verdict.complete
        assert source.ids <= {each.id for each in found}


@settings(deadline=None)
@given(
    count=counts,
    page_size=page_sizes,
    window=windows,
    moves=changes("advance", "add", "remove"),
    total=st.sampled_from(sorted(TOTALS)),
    largest_page=st.integers(1, 12),
    flags=st.tuples(*[st.booleans()] * 4),
    empty_reads=st.frozensets(st.integers(0, 30)),
    short_reads=st.frozensets(st.integers(0, 30)),
    start=st.integers(0, 20),
)
def test_every_walk_ends(
    count: int,
    page_size: int,
    window: int,
    moves: list[list[tuple[str, int]]],
    total: str,
    largest_page: int,
    flags: tuple[bool, ...],
    empty_reads: frozenset[int],
    short_reads: frozenset[int],
    start: int,
) -> None:
    source = MovingList.of(
        count,
        before_read=played(moves),
        total=TOTALS[total],
        largest_page=largest_page,
        ignores_offset=flags[0],
        clamps_offset=flags[1],
        ignores_limit=flags[2],
        repeats_a_row=flags[3],
        empty_reads=empty_reads,
        short_reads=short_reads,
    )
    walk = Walk(page_size=page_size, start=start, allowance=SMALL_ALLOWANCE)
    checked(walk, source, window)
    assert len(source.reads) <= 5000


@settings(deadline=None)
@given(counts, page_sizes, windows, st.integers(1, 12), st.sampled_from(sorted(TOTALS)))
def test_of_a_list_that_stands_still_nothing_is_missed_whatever_its_total_says(
    count: int, page_size: int, window: int, largest_page: int, total: str
) -> None:
    source = MovingList.of(count, total=TOTALS[total], largest_page=largest_page)
    walk = Walk(page_size=page_size)
    found = checked(walk, source, window)
    assert {each.id for each in found} == source.ids
    assert walk.verdict.complete == (TOTALS[total](count) <= count)


@settings(deadline=None)
@given(st.integers(0, 60), page_sizes, windows)
def test_a_list_that_stands_still_is_read_once(count: int, page_size: int, window: int) -> None:
    source = MovingList.of(count)
    walk = Walk(page_size=page_size)
    found = checked(walk, source, window)
    assert found == source.rows()
    assert walk.verdict.complete
    assert walk.verdict.repeats == 0
    # A last page that is full may hide more, and so may an only page, so that one more is read.
    more = [count] if 0 < count < page_size else []
    assert [offset for offset, _ in source.reads] == [*range(0, count + 1, page_size), *more]


@settings(deadline=None)
@given(counts, page_sizes, windows, st.integers(0, 80))
def test_a_walk_can_start_in_the_middle(
    count: int, page_size: int, window: int, start: int
) -> None:
    source = MovingList.of(count)
    walk = Walk(page_size=page_size, start=start)
    assert checked(walk, source, window) == source.rows()[start:]
    assert walk.verdict.complete
    assert walk.verdict.expected == max(0, count - start)


@pytest.mark.parametrize("window", [1, 3])
def test_what_slips_between_the_pages_is_found(window: int) -> None:
    # In this way a walk that reads each page once misses orders, and repeats as many.
    def ten_change(source: MovingList, number: int) -> None:
        source.advance(10)

    once = MovingList.of(60, before_read=ten_change)
    seen = [each.id for at in range(0, 60, 10) for each in once.read(at, 10).data]
    assert len(set(seen)) < 60

    walk = Walk(page_size=10)
    found = checked(walk, MovingList.of(60, before_read=ten_change), window)
    assert len(found) == 60
    assert walk.verdict.complete
    assert walk.verdict.repeats > 0


def test_a_list_that_grows_for_ever_is_left() -> None:
    walk = Walk(page_size=10)
    while walk.offset is not None:
        rows = [order(n) for n in range(walk.offset, walk.offset + 10)]
        walk.take(page(rows, total=walk.offset + 20).meta, rows)
    assert walk.verdict.pages == ALLOWANCE
    assert not walk.verdict.complete
    assert walk.verdict.missing > 0
    assert "1000 pages were read" in walk.verdict.reason


@pytest.mark.parametrize("total", [0, 60])
@pytest.mark.parametrize("size", [7, 10])
def test_a_list_that_invents_its_orders_is_left(total: int, size: int) -> None:
    numbers = itertools.count()

    def invent(source: MovingList, number: int) -> None:
        source.orders = {n: order(n) for n in itertools.islice(numbers, size)}

    source = MovingList(before_read=invent, ignores_offset=True, total=lambda _: total)
    walk = Walk(page_size=10, allowance=SMALL_ALLOWANCE)
    checked(walk, source, 1)
    assert walk.verdict.pages <= SMALL_ALLOWANCE


def test_the_pages_allowed_follow_from_the_first_total() -> None:
    numbers = itertools.count()
    walk = Walk(page_size=2, allowance=3)
    while walk.offset is not None:
        rows = [order(n) for n in itertools.islice(numbers, 2)]
        walk.take(page(rows, total=10**9 if walk.verdict.pages else 20).meta, rows)
    assert walk.verdict.pages == 3 * 10


def test_the_example_of_the_specification_is_read() -> None:
    # Four rows of which one repeats an id, a count and a total of 2, and a limit of 10.
    rows = [order(1, "CANCELLED"), order(2, "FILLED"), order(3, "FILLED"), order(1, "CANCELLED")]
    answer = page(rows, limit=10, total=2)
    walk = Walk(page_size=1000)
    assert walk.take(answer.meta, rows) == rows[:3]
    while offsets := walk.plan(1):
        rows_there = rows[offsets[0] :]
        walk.take(page(rows_there, limit=10, total=2).meta, rows_there)
    verdict = walk.verdict
    assert (verdict.seen, verdict.expected, verdict.missing) == (3, 2, 0)
    # A list that has a row twice and more rows than it says proves nothing.
    assert not verdict.complete


def test_a_server_that_ignores_the_offset_leaves_orders_missing() -> None:
    source = MovingList.of(60, ignores_offset=True)
    walk = Walk(page_size=10)
    assert len(checked(walk, source, 4)) == 10
    assert walk.verdict.missing == 50
    assert walk.verdict.quiet_passes == BARREN_PASSES
    assert "nothing new" in walk.verdict.reason


def test_one_empty_page_does_not_end_a_pass() -> None:
    source = MovingList.of(60, empty_reads=frozenset({2}))
    walk = Walk(page_size=10)
    assert len(checked(walk, source, 1)) == 60
    assert [offset for offset, _ in source.reads] == [*range(0, 70, 10)] * 3


def test_a_page_that_came_back_short_is_read_on_from_where_it_ended() -> None:
    source = MovingList.of(30, short_reads=frozenset({1}))
    walk = Walk(page_size=10)
    assert checked(walk, source, 1) == source.rows()
    assert [offset for offset, _ in source.reads] == [0, 10, 15, 25]


def test_a_pass_can_be_enough() -> None:
    source = MovingList.of(60, before_read=lambda source, _: source.advance(10))
    walk = Walk(page_size=10, passes=1)
    assert len(checked(walk, source, 1)) < 60
    assert not walk.verdict.complete
    assert "no more than 1 passes" in walk.verdict.reason


def test_no_page_is_planned_behind_the_largest_offset() -> None:
    walk = Walk(page_size=1000, start=LAST_OFFSET - 1500)
    rows = [order(n) for n in range(1000)]
    walk.take(page(rows, total=10**12).meta, rows)
    assert walk.plan(9) == (LAST_OFFSET - 500,)
    walk.take(page([], total=10**12).meta, [])
    assert walk.offset == LAST_OFFSET - 1500


def test_a_plan_is_the_same_until_a_page_is_taken() -> None:
    walk = Walk(page_size=10)
    assert walk.plan(4) == walk.plan(4) == (0,)
    rows = [order(n) for n in range(10)]
    walk.take(page(rows, total=100).meta, rows)
    assert walk.plan(4) == walk.plan(4) == (10, 20, 30, 40)
    assert walk.verdict.reason == "the walk is not over"
    assert not walk.verdict.complete
    assert walk.largest_page == 10


def test_a_walk_that_is_over_takes_no_page() -> None:
    walk = Walk(page_size=10)
    walk.take(page([], total=0).meta, [])
    assert walk.verdict.complete
    with pytest.raises(RuntimeError, match="over"):
        walk.take(page([], total=0).meta, [])


def test_the_page_behind_a_full_last_page_is_read_with_it() -> None:
    walk = Walk(page_size=10)
    rows = [order(n) for n in range(10)]
    walk.take(page(rows, total=30).meta, rows)
    assert walk.plan(9) == (10, 20, 30)
    walk = Walk(page_size=10)
    walk.take(page(rows, total=29).meta, rows)
    assert walk.plan(9) == (10, 20)


@pytest.mark.parametrize(
    ("cap", "total"),
    [
        (100, lambda _offset, rows: 250 if rows else 0),
        (100, lambda offset, _rows: 100 if offset else 250),
        (10, lambda _offset, rows: rows),
        (10, lambda offset, rows: offset + rows),
        (10, lambda _offset, _rows: 0),
    ],
)
@pytest.mark.parametrize("is_cut", [False, True])
def test_a_total_that_is_too_low_or_falls_ends_no_list(
    cap: int, total: Callable[[int, int], int], *, is_cut: bool
) -> None:
    orders = [order(number) for number in range(250)]
    walk = Walk(page_size=100)
    while walk.offset is not None:
        rows = orders[walk.offset : walk.offset + cap]
        if is_cut and walk.offset >= 100 and cap == 100:
            rows = []
        walk.take(page(rows, limit=100, total=total(walk.offset, len(rows))).meta, rows)
    assert walk.verdict.complete == (walk.verdict.seen == 250)
    assert walk.verdict.complete or walk.verdict.missing == 150


@settings(deadline=None)
@given(st.integers(5, 60), st.integers(5, 10), windows, changes("advance"))
def test_a_total_that_is_one_too_low_does_not_hide_an_order_that_moved(
    count: int, page_size: int, window: int, moves: list[list[tuple[str, int]]]
) -> None:
    source = MovingList.of(count, before_read=played(moves), total=lambda n: n - 1)
    walk = Walk(page_size=page_size)
    found = checked(walk, source, window)
    assert not walk.verdict.complete or len(found) == count


def test_from_the_middle_nothing_is_claimed_once_rows_moved() -> None:
    source = MovingList.of(200)
    source.before_read = lambda each, number: each.move(110, "CANCELLED") if number == 1 else None
    walk = Walk(page_size=10, start=100)
    checked(walk, source, 1)
    assert not walk.verdict.complete
    assert "from offset 100" in walk.verdict.reason


def test_what_was_read_for_nothing_counts_against_the_allowance() -> None:
    walk = Walk(page_size=10, allowance=3)
    walk.waste(5)
    rows = [order(number) for number in range(10)]
    walk.take(page(rows, total=20).meta, rows)
    assert walk.offset is None
