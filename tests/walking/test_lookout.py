"""Where the open orders are is learned from the list, and one page is mostly enough to see them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.walking.lists import ALPHABETICAL, BY_LIFE, MovingList, order
from upvest_rebalancing.models import ExecutionOrder
from upvest_rebalancing.protocol.lookout import RUNS, SEARCH_PAGES, Layout, Search

PAGE = 10
SORTINGS = [ALPHABETICAL, BY_LIFE, tuple(reversed(ALPHABETICAL)), tuple(reversed(BY_LIFE))]
IN_THE_MIDDLE = ("CANCELLED", "NEW", "PROCESSING", "FILLED", "SETTLED")


def layout_of(rows: Sequence[ExecutionOrder]) -> Layout:
    layout = Layout()
    for at in range(0, len(rows), PAGE):
        layout.add(rows[at : at + PAGE])
    return layout


def searched(search: Search, source: MovingList) -> int:
    pages = 0
    while (offset := search.offset) is not None:
        search.take(source.read(offset, PAGE).data)
        pages += 1
    return pages


@st.composite
def lists(draw: st.DrawFn) -> MovingList:
    statuses = draw(st.lists(st.sampled_from(ALPHABETICAL), min_size=1, max_size=120))
    source = MovingList({n: order(n, status) for n, status in enumerate(statuses)})
    source.sorting = draw(st.sampled_from([*SORTINGS, IN_THE_MIDDLE]))
    return source


def is_open(source: MovingList) -> bool:
    return not all(each.status.is_final for each in source.orders.values())


@settings(deadline=None)
@given(lists(), st.integers(0, 120))
def test_an_open_order_is_found_wherever_open_orders_are_left(
    source: MovingList, steps: int
) -> None:
    layout = layout_of(source.rows())
    was_open = is_open(source)
    search = layout.search(total=len(source.orders), page_size=PAGE)
    assert (search is not None) == was_open
    if search is None:
        return
    source.advance(steps)
    pages = searched(search, source)
    assert pages <= SEARCH_PAGES
    known = {each.status for each in source.rows()} <= search.before | search.after | {
        each.status for each in source.rows() if not each.status.is_final
    }
    assert search.found <= is_open(source)
    if known and len({*search.before, *search.after}) > 1:
        assert search.found == is_open(source)


@pytest.mark.parametrize("sorting", SORTINGS)
def test_one_page_is_enough_where_the_open_ones_are_at_an_end(sorting: tuple[str, ...]) -> None:
    source = MovingList.of(1000, sorting=sorting)
    for number in range(500):
        source.move(number, "CANCELLED" if number % 10 else "FILLED")
    layout = layout_of(source.rows())
    for number in range(500, 999):
        source.move(number, "FILLED")
        search = layout.search(total=1000, page_size=PAGE)
        assert search is not None
        assert searched(search, source) == 1
        assert search.found
    source.move(999, "FILLED")
    search = layout.search(total=1000, page_size=PAGE)
    assert search is not None
    assert searched(search, source) <= 2
    assert not search.found


def test_the_middle_is_searched_by_halves() -> None:
    source = MovingList.of(1000, sorting=IN_THE_MIDDLE)
    source.move(0, "CANCELLED")
    source.move(1, "FILLED")
    layout = layout_of(source.rows())
    for number in range(2, 1000):
        if number != 777:
            source.move(number, "CANCELLED" if number < 300 else "FILLED")
    search = layout.search(total=1000, page_size=PAGE)
    assert search is not None
    assert 1 < searched(search, source) <= SEARCH_PAGES
    assert search.found


def test_a_total_that_is_too_large_costs_one_page() -> None:
    source = MovingList.of(50)
    source.move(0, "FILLED")
    layout = layout_of(source.rows())
    search = layout.search(total=10**9, page_size=PAGE)
    assert search is not None
    assert searched(search, source) == 2
    assert search.found


def test_a_total_that_is_too_small_costs_nothing() -> None:
    source = MovingList.of(50)
    source.move(0, "FILLED")
    search = layout_of(source.rows()).search(total=0, page_size=PAGE)
    assert search is not None
    assert searched(search, source) == 1
    assert search.found


def test_a_search_ends_for_a_server_that_ignores_the_offset() -> None:
    source = MovingList.of(500, ignores_offset=True, sorting=IN_THE_MIDDLE)
    for number in range(50):
        source.move(number, "CANCELLED")
    source.move(99, "SETTLED")
    layout = layout_of(source.rows())
    search = layout.search(total=500, page_size=1)
    assert search is not None
    assert searched(search, source) <= SEARCH_PAGES
    with pytest.raises(RuntimeError, match="over"):
        search.take([])


def test_a_list_that_is_not_sorted_is_not_searched() -> None:
    rows = [order(n, "FILLED" if n % 2 else "NEW") for n in range(40)]
    assert layout_of(rows).search(total=40, page_size=PAGE) is None


def test_pages_that_contradict_each_other_are_not_searched() -> None:
    layout = Layout()
    layout.add([order(1, "FILLED"), order(2, "NEW")])
    layout.add([order(3, "NEW"), order(4, "FILLED")])
    assert layout.search(total=4, page_size=PAGE) is None


def test_open_orders_in_two_places_are_not_searched() -> None:
    layout = Layout()
    layout.add([order(1, "BLOCKED"), order(2, "FILLED"), order(3, "NEW")])
    assert layout.search(total=3, page_size=PAGE) is None


def test_a_list_without_open_orders_is_not_searched() -> None:
    layout = Layout()
    layout.add([order(1, "FILLED")])
    assert layout.search(total=1, page_size=PAGE) is None
    assert Layout().search(total=0, page_size=PAGE) is None


def test_what_a_layout_remembers_is_bounded() -> None:
    layout = Layout()
    for count, statuses in enumerate(itertools.permutations(ALPHABETICAL)):
        layout.add([order(count * 5 + n, status) for n, status in enumerate(statuses)])
    assert len(layout._runs) == RUNS
    assert layout.search(total=1, page_size=PAGE) is None


def test_a_status_that_is_new_ends_the_search() -> None:
    source = MovingList.of(100)
    source.move(0, "FILLED")
    layout = layout_of(source.rows())
    for number in range(100):
        source.move(number, "SETTLED")
    search = layout.search(total=100, page_size=PAGE)
    assert search is not None
    assert searched(search, source) == 1
    assert not search.found
