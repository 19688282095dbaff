"""When an execution is over, decided from readings and the time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.walking.lists import EXECUTION, NOW, identifier, order
from upvest_rebalancing.models import Execution, ExecutionOrder, WalkVerdict
from upvest_rebalancing.protocol.progress import SETTLING, SETTLING_EMPTY, Progress


def progress(accounts: int | None = None, **more: Any) -> Progress:
    named = None if accounts is None else tuple(identifier(n, kind=2) for n in range(accounts))
    execution = Execution(id=EXECUTION, created_at=NOW, updated_at=NOW, accounts=named, **more)
    return Progress(execution=execution, started=100.0)


def verdict(
    seen: int, *, complete: bool = True, expected: int | None = None, quiet: int = 0
) -> Any:
    return WalkVerdict(
        complete=complete,
        seen=seen,
        expected=seen if expected is None else expected,
        pages=1,
        repeats=0,
        reason="so it was",
        quiet_passes=quiet,
    )


def read(known: Progress, orders: Sequence[ExecutionOrder], now: float, **more: Any) -> bool:
    known.take(orders)
    return known.finish(verdict(len(known.outcome(now).orders), **more), now)


def test_every_account_must_have_its_final_order() -> None:
    known = progress(accounts=2)
    assert (known.awaits_accounts, known.seems_final) == (True, False)
    assert not read(known, [], 100)
    assert not read(known, [order(0, "FILLED")], 101)
    assert (known.awaits_accounts, known.seems_final) == (True, True)
    assert not read(known, [order(0, "FILLED"), order(1, "NEW")], 102)
    assert (known.awaits_accounts, known.seems_final) == (False, False)
    assert read(known, [order(0, "FILLED"), order(1, "CANCELLED", at=1)], 103)
    outcome = known.outcome(104)
    assert outcome.is_final
    assert (outcome.expected, outcome.readings, outcome.elapsed) == (2, 4, 4.0)
    assert outcome.by_status == {"FILLED": 1, "CANCELLED": 1}
    assert set(outcome.by_account) == {identifier(0, kind=2), identifier(1, kind=2)}


def test_two_orders_of_one_account_do_not_stand_in_for_another() -> None:
    known = progress(accounts=2)
    assert not read(known, [order(0, "FILLED"), order(7, "FILLED", account=0)], 100)
    assert read(known, [order(1, "FILLED")], 101)
    assert known.outcome(101).expected == 3


def test_an_incomplete_reading_is_not_the_last_one() -> None:
    known = progress(accounts=1)
    assert not read(known, [order(0, "FILLED")], 100, complete=False, expected=2)
    assert read(known, [order(0, "FILLED")], 101, complete=False, expected=2, quiet=2)
    assert known.outcome(101).expected == 2
    assert not known.outcome(101).is_final


@pytest.mark.parametrize(("seen", "expected"), [(1, 1), (2, 1), (2, 3)])
def test_readings_that_agree_and_prove_nothing_end_it_without_being_final(
    seen: int, expected: int
) -> None:
    known = progress()
    known.take([order(0, "FILLED"), order(1, "FILLED")])
    ends = [
        known.finish(verdict(seen, complete=expected < 3, expected=expected), now)
        for now in (100, 110, 120, 121, 122, 129, 131)
    ]
    assert ends == [False] * 6 + [True]
    outcome = known.outcome(131)
    assert not outcome.is_final
    assert outcome.expected == 3
    assert outcome.verdict is not None
    assert not outcome.verdict.complete
    assert "readings agree" in outcome.verdict.reason


def test_without_accounts_two_equal_readings_are_needed() -> None:
    known = progress()
    assert known.settles_in(100) == 0
    assert not read(known, [order(0, "NEW")], 100)
    assert known.settles_in(100) == 0
    assert not read(known, [order(0, "FILLED")], 101)
    assert known.settles_in(101.5) == SETTLING - 0.5
    assert not read(known, [order(0, "FILLED")], 102)
    assert read(known, [order(0, "FILLED")], 101 + SETTLING)
    assert known.outcome(104).is_final


@pytest.mark.parametrize("allocations", [(), (EXECUTION,)])
def test_what_is_new_or_incomplete_starts_the_settling_anew(allocations: Any) -> None:
    known = progress(accounts=1 if allocations else None, allocations=allocations)
    assert not known.awaits_accounts
    assert not read(known, [order(0, "FILLED")], 100)
    assert not read(known, [order(0, "FILLED"), order(1, "FILLED")], 110)
    assert not read(known, [order(0, "FILLED")], 120, complete=False)
    assert not read(known, [order(0, "FILLED")], 130)
    assert known.settles_in(200) == 0
    known.take([order(2, "FILLED")])
    known.glance()
    assert not known.finish(verdict(3), 140)
    assert known.finish(verdict(3), 150)
    assert known.outcome(150).readings == 7


def test_an_empty_list_settles_later() -> None:
    known = progress()
    assert not read(known, [], 100)
    assert known.settles_in(101) == 0
    assert not read(known, [], 100 + SETTLING)
    assert read(known, [], 100 + SETTLING_EMPTY)
    assert known.outcome(160).is_final
    assert known.outcome(160).by_status == {}


def test_before_the_first_reading_nothing_is_known() -> None:
    outcome = progress(accounts=3).outcome(100)
    assert (len(outcome.orders), outcome.expected, outcome.verdict) == (0, 3, None)
    assert progress().outcome(100).expected == 0
    assert not outcome.is_final


def test_a_status_never_goes_back_between_outcomes() -> None:
    known = progress(accounts=1)
    read(known, [order(0, "FILLED", at=2)], 100)
    read(known, [order(0, "PROCESSING", at=1)], 101)
    assert known.outcome(101).by_status == {"FILLED": 1}


@settings(deadline=None)
@given(
    st.lists(
        st.lists(
            st.tuples(st.integers(0, 4), st.sampled_from(["NEW", "PROCESSING", "FILLED"])),
            max_size=6,
        ),
        max_size=8,
    )
)
def test_it_is_over_exactly_when_every_account_is_final(
    batches: list[list[tuple[int, str]]],
) -> None:
    known = progress(accounts=5)
    for number, batch in enumerate(batches):
        orders = [order(n, status, at=number) for n, status in batch]
        is_over = read(known, orders, 100 + number)
        outcome = known.outcome(100 + number)
        final = {o.account_id for o in outcome.orders if o.status.is_final}
        assert is_over == outcome.is_final == (len(final) == 5)
