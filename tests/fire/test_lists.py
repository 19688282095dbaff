"""Twenty thousand orders walked while their statuses change, under every fault of pagination."""

from uuid import UUID, uuid4

import pytest

from tests.fire.scale import SCALE
from tests.fire.test_faults import ORDEALS
from upvest_rebalancing.client import RebalancingClient
from upvest_rebalancing.models import ExecutionOrder, WalkVerdict
from upvest_rebalancing.sandbox import Fault, FaultKind, Sandbox

ORDERS = 20_000 * SCALE


async def walk(
    fault: Fault | None, count: int, page_size: int = 1000
) -> tuple[list[ExecutionOrder], set[UUID], WalkVerdict]:
    accounts = {uuid4() for _ in range(count)}
    async with (
        Sandbox(
            key_type="ed25519",
            rate_limit=None,
            moves_per_read=count // 100,
            faults=() if fault is None else (fault,),
        ) as sandbox,
        RebalancingClient.from_env(None, environ=sandbox.environment()) as client,
    ):
        triggered = await client.trigger(accounts=accounts)
        orders = client.orders(triggered.id, page_size=page_size)
        found = [order async for order in orders]
        return found, accounts, orders.verdict


HARMLESS = [
    None,
    Fault(FaultKind.PAGE_CAP, value=250),
    Fault(FaultKind.EMPTY_PAGE, probability=0.2),
    Fault(FaultKind.WRONG_COUNT, value=-3),
    Fault(FaultKind.REPEATED_ROWS, probability=0.5),
    Fault(FaultKind.UNKNOWN_ENUM),
    Fault(FaultKind.UNKNOWN_FIELDS),
    Fault(FaultKind.MISSING_FIELDS),
    Fault(FaultKind.ERROR, route="orders", value=500, probability=0.2),
    Fault(FaultKind.RESET_AFTER_WORK, route="orders", probability=0.2),
    Fault(FaultKind.TRUNCATED, route="orders", probability=0.2),
]


@pytest.mark.parametrize("fault", HARMLESS, ids=lambda f: "none" if f is None else f.kind.value)
async def test_each_order_is_seen_once_and_the_verdict_is_complete(fault: Fault | None) -> None:
    found, accounts, verdict = await walk(fault, ORDERS)
    assert len(found) == ORDERS
    assert {order.account_id for order in found} == accounts
    assert len({order.id for order in found}) == ORDERS
    assert verdict.complete
    assert verdict.missing == 0


HARMFUL = [
    Fault(FaultKind.OFFSET_IGNORED),
    Fault(FaultKind.OFFSET_CLAMPED, value=500),
    Fault(FaultKind.EMPTY_PAGE),
    Fault(FaultKind.WRONG_TOTAL, value=50),
    Fault(FaultKind.WRONG_TOTAL, value=-50),
    Fault(FaultKind.WRONG_TOTAL, value=-1),
    Fault(FaultKind.SHRINKING_LIST, value=5),
    Fault(FaultKind.GROWING_LIST, value=10),
    Fault(FaultKind.LATE_ORDERS, value=3),
]


@pytest.mark.parametrize("fault", HARMFUL, ids=lambda f: f"{f.kind.value}{f.value}")
async def test_a_list_that_can_not_be_read_whole_ends_with_an_honest_verdict(fault: Fault) -> None:
    found, accounts, verdict = await walk(fault, 2000, page_size=100)
    assert len({order.id for order in found}) == len(found)
    assert {order.account_id for order in found} <= accounts
    if verdict.complete:
        gone = fault.kind in {FaultKind.SHRINKING_LIST, FaultKind.EMPTY_PAGE}
        late = fault.kind in {FaultKind.LATE_ORDERS, FaultKind.GROWING_LIST}
        # A list that says that it is empty, or shorter, can't be known to be more.
        assert len(found) == 2000 or gone or late
    else:
        assert len(found) < 2000 or fault.kind is FaultKind.WRONG_TOTAL
        assert verdict.reason


def test_every_kind_of_fault_is_fired() -> None:
    listed = {fault.kind for fault in [*HARMLESS, *HARMFUL] if fault is not None}
    assert listed | {ordeal.fault.kind for ordeal in ORDEALS} == set(FaultKind)
