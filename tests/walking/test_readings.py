"""Readings only go forward, and snapshots cost nothing until they are looked at."""

from __future__ import annotations

import pickle
from collections import Counter
from datetime import timedelta

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.walking.lists import EXECUTION, order
from upvest_rebalancing.models import CancellationReason, ExecutionOrder, ExecutionOutcome
from upvest_rebalancing.protocol.readings import Readings, Snapshot, is_news

STATUSES = ("NEW", "PROCESSING", "HALTED", "FILLED", "CANCELLED", "SETTLED")
REASONS = (None, *CancellationReason)


@st.composite
def readings(draw: st.DrawFn) -> ExecutionOrder:
    status = draw(st.sampled_from(STATUSES))
    reason = draw(st.sampled_from(REASONS)) if status == "CANCELLED" else None
    return order(
        draw(st.integers(0, 5)), status, at=draw(st.integers(0, 3)), cancellation_reason=reason
    )


@settings(deadline=None)
@given(st.lists(st.lists(readings(), max_size=8), max_size=12))
def test_counts_and_snapshots_agree_with_the_orders(batches: list[list[ExecutionOrder]]) -> None:
    known = Readings()
    snapshots: list[tuple[Snapshot, tuple[ExecutionOrder, ...]]] = []
    for batch in batches:
        before = {each.id: each for each in known.snapshot()}
        news = known.take(batch)
        snapshot = known.snapshot()
        latest = {each.id: each for each in snapshot}
        snapshots.append((snapshot, tuple(latest.values())))
        assert len(snapshot) == len(latest) == len(known)
        # What is final stays so, and no status goes back.
        for each in before.values():
            now = latest[each.id].status
            assert now.rank >= each.status.rank
            assert not each.status.is_final or now in {each.status, "SETTLED"}
        assert {each.id for each in news} >= {i for i in latest if latest[i] != before.get(i)}
        outcome = ExecutionOutcome(execution_id=EXECUTION, orders=snapshot, expected=0)
        assert +Counter(known.by_status) == outcome.by_status
        assert +Counter(known.by_cancellation_reason) == outcome.by_cancellation_reason
        assert known.open == sum(not each.status.is_final for each in snapshot)
    for snapshot, then in snapshots:
        assert tuple(snapshot) == then


def test_a_snapshot_is_a_sequence_like_a_tuple() -> None:
    orders = [order(1, "NEW"), order(2, "FILLED"), order(3, "NEW")]
    known = Readings()
    assert known.take(orders) == orders
    snapshot = known.snapshot()
    known.take([order(1, "PROCESSING", at=1), order(4)])
    assert snapshot == tuple(orders)
    assert tuple(orders) == snapshot
    assert snapshot == snapshot.__class__(orders, 3, 3)
    assert snapshot != known.snapshot()
    assert snapshot != orders
    assert hash(snapshot) == hash(tuple(orders))
    assert repr(snapshot) == repr(tuple(orders))
    assert (len(snapshot), snapshot[0], snapshot[1:]) == (3, orders[0], tuple(orders[1:]))
    assert orders[1] in snapshot
    assert pickle.loads(pickle.dumps(snapshot)) == tuple(orders)


def test_readings_that_change_for_ever_do_not_pile_up() -> None:
    known = Readings()
    for at in range(1000):
        known.take([order(number, "PROCESSING", at=at) for number in range(10)])
    assert len(known) == 10
    assert len(known._journal) <= 20


@pytest.mark.parametrize(
    ("before", "after", "news"),
    [
        ("NEW", "PROCESSING", True),
        ("NEW", "HALTED", True),
        ("PROCESSING", "NEW", False),
        ("PROCESSING", "HALTED", True),
        ("FILLED", "PROCESSING", False),
        ("FILLED", "HALTED", False),
        ("FILLED", "CANCELLED", False),
        ("CANCELLED", "FILLED", False),
        ("FILLED", "SETTLED", True),
        ("SETTLED", "FILLED", False),
    ],
)
def test_a_status_never_goes_back(before: str, after: str, news: bool) -> None:
    assert is_news(order(1, after, at=5), order(1, before)) == news


def test_of_equal_statuses_the_later_reading_counts() -> None:
    known = order(1, "FILLED", at=5)
    assert not is_news(known, known)
    assert is_news(attrs.evolve(known, portfolio_order_id=EXECUTION), known)
    assert is_news(attrs.evolve(known, updated_at=known.updated_at + timedelta(1)), known)
    assert not is_news(order(1, "FILLED", at=4), known)
