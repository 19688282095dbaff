import json
import uuid
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sandbox.conftest import START, accounts
from upvest_rebalancing.sandbox import SandboxConfig
from upvest_rebalancing.sandbox.lifecycle import CANCELLATIONS, fate_of, identifier
from upvest_rebalancing.sandbox.orders import written_time
from upvest_rebalancing.sandbox.world import Execution, World

REASONS = {
    "ACCOUNT_IS_EMPTY",
    "ACCOUNT_NOT_FOUND",
    "CANCELLED_BY_CLIENT",
    "CANCELLED_BY_UPVEST",
    "CONFIGURATION_IS_MISSING",
    "INVALID_ACCOUNT_TYPE",
    "PORTFOLIO_IS_BALANCED",
    "UNKNOWN",
}
RANKS = {"NEW": 0, "PROCESSING": 1, "FILLED": 2, "CANCELLED": 2}


def execute(count: int, **settings: Any) -> Execution:
    return World(SandboxConfig(**settings)).trigger("me", "accounts", accounts(count), START)


def rows(execution: Execution, now: float, offset: int = 0, limit: int = 10**6) -> list[Any]:
    return [json.loads(row) for row in execution.orders.page(offset, limit, now).rows]


def test_all_reasons_of_the_specification_are_there() -> None:
    assert set(CANCELLATIONS) == REASONS
    execution = execute(2000, order_seconds=0)
    final = rows(execution, START)
    reasons = Counter(row.get("cancellation_reason") for row in final)
    assert set(reasons) == REASONS | {None}
    assert 140 < 2000 - reasons[None] < 260
    for row in final:
        reason = row.get("cancellation_reason")
        assert row["status"] == ("FILLED" if reason is None else "CANCELLED")
        if reason is not None:
            assert row["cancellation_details"] == CANCELLATIONS[reason]
    placed = {row.get("cancellation_reason") for row in final if row["portfolio_order_id"]}
    assert placed == {None, "CANCELLED_BY_CLIENT", "CANCELLED_BY_UPVEST", "UNKNOWN"}


@pytest.mark.parametrize(("share", "statuses"), [(0, {"FILLED"}), (1, {"CANCELLED"})])
def test_the_share_of_cancelled_orders_is_set(share: float, statuses: set[str]) -> None:
    final = rows(execute(100, order_seconds=0, cancelled_share=share), START)
    assert {row["status"] for row in final} == statuses


def test_the_seed_decides() -> None:
    first, again = (execute(50, seed=5), execute(50, seed=5))
    for later in (0, 0.7, 1.7, 9):
        assert rows(first, START + later) == rows(again, START + later)
    other = execute(50, seed=6)
    assert other.id != first.id
    assert rows(other, START + 9) != rows(first, START + 9)


def test_executions_of_a_world_are_different_ones() -> None:
    world = World(SandboxConfig())
    made = [world.trigger("me", "accounts", accounts(3), START) for _ in range(3)]
    assert len({execution.id for execution in made}) == 3
    ids = {row["id"] for execution in made for row in rows(execution, START)}
    assert len(ids) == 9
    assert world.execution("me", made[1].id) is made[1]
    assert world.execution("you", made[1].id) is None
    assert world.execution("me", "x") is None


@given(
    count=st.integers(0, 40),
    times=st.lists(st.floats(0, 4), max_size=8).map(sorted),
    moves=st.none() | st.integers(0, 50),
    seed=st.integers(0, 99),
)
@settings(deadline=None)
def test_orders_only_ever_go_forward(
    count: int, times: list[float], moves: int | None, seed: int
) -> None:
    execution = execute(count, moves_per_read=moves, seed=seed, cancelled_share=0.5)
    before: dict[str, Any] = {}
    for later in times:
        page = execution.orders.page(0, 1000, START + later)
        assert page.total == count
        current = {row["account_id"]: row for row in map(json.loads, page.rows)}
        assert set(current) == set(accounts(count))
        keys = [(row["status"], row["id"]) for row in current.values()]
        assert keys == sorted(keys)
        moved = 0
        for account, row in current.items():
            old = before.get(account)
            assert row["created_at"] <= row["updated_at"]
            if row["status"] == "NEW":
                assert row["portfolio_order_id"] is None
            if old is None:
                moved += row["status"] != "NEW"
                continue
            steps = RANKS[row["status"]] - RANKS[old["status"]]
            assert steps >= 0
            assert row["id"] == old["id"]
            moved += row["status"] != old["status"]
            if steps == 0:
                assert row == old
        if moves is not None:
            left = sum(RANKS[row["status"]] < 2 for row in before.values()) if before else count
            assert moved == min(moves, left)
        before = current


@given(offset=st.integers(0, 40), limit=st.integers(0, 40))
@settings(deadline=None)
def test_pages_are_cut_from_one_list(offset: int, limit: int) -> None:
    execution = execute(30)
    now = START + 1
    assert rows(execution, now, offset, limit) == rows(execution, now)[offset : offset + limit]


def test_orders_are_done_after_the_time_that_is_set() -> None:
    execution = execute(300, order_seconds=10, cancelled_share=0)
    assert {row["status"] for row in rows(execution, START + 0.9)} == {"NEW"}
    assert {row["status"] for row in rows(execution, START + 6)} == {"PROCESSING"}
    middle = Counter(row["status"] for row in rows(execution, START + 10))
    assert middle["FILLED"] > 100
    assert middle["PROCESSING"] > 100
    assert {row["status"] for row in rows(execution, START + 12.5)} == {"FILLED"}


def test_reading_seldom_or_often_comes_to_the_same() -> None:
    seldom, often = execute(80), execute(80)
    for step in range(40):
        often.orders.page(0, 10, START + step / 8)
    assert rows(often, START + 5) == rows(seldom, START + 5)
    assert often.orders.updated_at == seldom.orders.updated_at


def test_nothing_is_written_anew_while_nothing_moves() -> None:
    execution = execute(10)
    first = execution.orders.page(0, 10, START)
    again = execution.orders.page(0, 10, START + 0.001)
    assert all(row is other for row, other in zip(first.rows, again.rows, strict=True))


def test_an_allocation_stands_for_accounts() -> None:
    world = World(SandboxConfig(allocation_accounts=4))
    first, second = str(uuid.uuid4()), str(uuid.uuid4())
    assert world.accounts_of(first) == world.accounts_of(first) != world.accounts_of(second)
    assert len(set(world.accounts_of(first))) == 4
    world.add_allocation(second, [])
    assert world.accounts_of(second) == ()
    world.add_allocation(second, world.accounts_of(first))
    execution = world.trigger("me", "allocations", [first, second, first], START)
    assert execution.allocations == (first, second)
    assert execution.accounts == ()
    assert execution.orders.page(0, 0, START).total == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("x", "FILLED", None), "account_id='x'"),
        ((accounts(1)[0], "DONE", None), "outcome='DONE'"),
        ((accounts(1)[0], "CANCELLED", None), "reason=None: must be one of ACCOUNT_IS_EMPTY"),
        ((accounts(1)[0], "CANCELLED", "BORED"), "reason='BORED'"),
        ((accounts(1)[0], "FILLED", "UNKNOWN"), "must be None for an order that is FILLED"),
    ],
)
def test_an_outcome_has_to_be_one(arguments: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        World(SandboxConfig()).set_outcome(*arguments)


def test_allocations_have_to_be_uuids() -> None:
    world = World(SandboxConfig())
    with pytest.raises(ValueError, match="allocation_id='x'"):
        world.add_allocation("x", [])
    with pytest.raises(ValueError, match="account_ids='y'"):
        world.add_allocation(str(uuid.uuid4()), ["y"])


@given(st.integers(), st.lists(st.text(), max_size=3))
def test_identifiers_are_uuids_of_version_4(seed: int, names: list[str]) -> None:
    made = identifier(seed, *(name.encode("utf-8", "replace").decode() for name in names))
    parsed = uuid.UUID(made)
    assert parsed.version == 4
    assert parsed.variant == uuid.RFC_4122
    assert str(parsed) == made


@given(seed=st.integers(), share=st.floats(0, 1))
@settings(deadline=None)
def test_fates_take_their_time(seed: int, share: float) -> None:
    fate = fate_of(seed, accounts(1)[0], cancelled_share=share)
    if fate.processing_at is None:
        assert fate.reason in REASONS
        assert 0.1 <= fate.final_at <= 0.5
    else:
        assert 0.1 <= fate.processing_at <= 0.5
        assert 0.75 <= fate.final_at <= 1.25


@pytest.mark.parametrize(
    ("at", "form", "text"),
    [
        (0, 0, "1970-01-01T00:00:00.00Z"),
        (0.25, 1, "1970-01-01T00:00:00.250Z"),
        (1.999, 0, "1970-01-01T00:00:01.99Z"),
        (1.999, 2, "1970-01-01T00:00:01Z"),
    ],
)
def test_times_are_written_in_three_forms(at: float, form: int, text: str) -> None:
    assert written_time(at, form) == text
