"""How faults distort lists of orders: by arithmetic, and over sockets."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sandbox.conftest import EXECUTIONS, Api, Clock, MakeApi
from upvest_rebalancing.sandbox import Fault, FaultKind
from upvest_rebalancing.sandbox.kinds import KINDS, Moment
from upvest_rebalancing.sandbox.listings import Listing, distorted
from upvest_rebalancing.sandbox.plan import Strike

LISTING = [kind for kind in FaultKind if KINDS[kind].moment is Moment.LISTING]


@pytest.fixture
async def listed(make_api: MakeApi) -> Any:
    """Return calls to a sandbox with an execution of 25 orders, and a way to read its list."""
    api = await make_api(key_type="ed25519", order_seconds=0, cancelled_share=0)
    await api.log_in()
    return Listed(api, f"{EXECUTIONS}/{await api.triggered(25)}/orders")


class Listed:
    def __init__(self, api: Api, target: str) -> None:
        self.api = api
        self.target = target

    async def read(self, query: str = "", target: str = "") -> tuple[dict[str, Any], list[str]]:
        page = (await self.api.get(f"{target or self.target}?limit=100{query}")).json()
        return page["meta"], [row["id"] for row in page["data"]]

    def inject(self, kind: str, **arguments: Any) -> None:
        self.api.sandbox.inject(Fault(kind, **arguments))


async def test_a_limit_is_silently_capped(listed: Listed) -> None:
    _, whole = await listed.read()
    listed.inject("page-cap", value=10)
    meta, rows = await listed.read("&offset=10")
    assert rows == whole[10:20]
    assert (meta["limit"], meta["count"], meta["total_count"]) == (100, 10, 25)


async def test_an_offset_is_ignored_or_clamped(listed: Listed) -> None:
    _, whole = await listed.read()
    listed.inject("offset-ignored", count=1)
    meta, rows = await listed.read("&offset=10")
    assert rows == whole
    assert meta["offset"] == 10
    listed.inject("offset-clamped", value=7)
    for offset in (3, 7, 9, 10_000):
        meta, rows = await listed.read(f"&offset={offset}")
        assert rows == whole[min(7, offset) :]
        assert meta["offset"] == offset


async def test_a_page_is_empty(listed: Listed) -> None:
    listed.inject("empty-page", count=1, after=1)
    assert len((await listed.read())[1]) == 25
    meta, rows = await listed.read()
    assert (rows, meta["count"], meta["total_count"]) == ([], 0, 25)
    assert len((await listed.read())[1]) == 25


@pytest.mark.parametrize(("value", "wrong"), [(1, 26), (-3, 22), (-30, -5)])
async def test_meta_is_wrong(listed: Listed, value: int, wrong: int) -> None:
    listed.inject("wrong-count", value=value, count=1)
    meta, rows = await listed.read()
    assert (meta["count"], meta["total_count"], len(rows)) == (wrong, 25, 25)
    listed.inject("wrong-total", value=value)
    meta, rows = await listed.read()
    assert (meta["count"], meta["total_count"], len(rows)) == (25, wrong, 25)


async def test_rows_are_repeated(listed: Listed) -> None:
    _, whole = await listed.read()
    listed.inject("repeated-rows")
    meta, rows = await listed.read()
    assert rows == [row for row in whole for _ in range(2)]
    assert (meta["count"], meta["total_count"]) == (25, 25)


async def test_a_list_shrinks_by_itself(listed: Listed) -> None:
    _, whole = await listed.read()
    other = f"{EXECUTIONS}/{await listed.api.triggered(5)}/orders"
    listed.inject("shrinking-list", value=10)
    for left in (15, 5, 0, 0):
        meta, rows = await listed.read()
        assert meta["total_count"] == meta["count"] == len(rows) == left
        assert rows == [row for row in whole if row in rows]
    meta, _ = await listed.read(target=other)
    assert meta["total_count"] == 0
    listed.api.sandbox.clear_faults()
    assert (await listed.read())[1] == whole


async def test_orders_come_late_by_reads(listed: Listed) -> None:
    other = f"{EXECUTIONS}/{await listed.api.triggered(5)}/orders"
    listed.inject("late-orders", value=2)
    assert [(await listed.read())[0]["total_count"] for _ in range(4)] == [0, 0, 25, 25]
    totals = [(await listed.read(target=other))[0]["total_count"] for _ in range(3)]
    assert totals == [0, 0, 5]


async def test_orders_come_late_by_time(listed: Listed, clock: Clock) -> None:
    listed.inject("late-orders", seconds=10)
    clock.now += 9.9
    meta, rows = await listed.read()
    assert (meta["total_count"], rows) == (0, [])
    clock.now += 0.1
    assert (await listed.read())[0]["total_count"] == 25


async def test_a_list_grows_by_reads(listed: Listed) -> None:
    listed.inject("growing-list", value=5)
    seen: set[str] = set()
    for total in (5, 10, 15, 20, 25, 25):
        meta, rows = await listed.read()
        assert meta["total_count"] == len(rows) == total
        assert seen <= set(rows)
        seen = set(rows)


async def test_a_list_grows_by_time(listed: Listed, clock: Clock) -> None:
    listed.inject("growing-list", seconds=10)
    totals = []
    for _ in range(4):
        totals.append((await listed.read())[0]["total_count"])
        clock.now += 4
    assert totals == [0, 10, 20, 25]


async def test_a_period_without_the_execution_stays_empty(listed: Listed) -> None:
    listed.inject("repeated-rows")
    meta, rows = await listed.read("&end_date=2020-01-01")
    assert (meta["total_count"], rows) == (0, [])


def test_without_seconds_nothing_is_late() -> None:
    plain = Listing(offset=0, limit=10, visible=9)
    strike = Strike(Fault("late-orders", seconds=0), 1)
    assert distorted(plain, [strike], age=0) == plain


@st.composite
def strikes(draw: st.DrawFn) -> Strike:
    kind = draw(st.sampled_from(LISTING))
    low, high = KINDS[kind].values
    arguments: dict[str, Any] = {}
    if "value" in KINDS[kind].parameters:
        arguments["value"] = draw(st.integers(max(low, -100), min(high, 100)))
    if "seconds" in KINDS[kind].parameters:
        arguments["seconds"] = draw(st.floats(0, 100))
    return Strike(Fault(kind, **arguments), draw(st.integers(1, 50)))


@given(
    offset=st.integers(0, 50),
    limit=st.integers(0, 50),
    total=st.integers(0, 50),
    struck=st.lists(strikes(), max_size=4),
    age=st.floats(-10, 200),
)
@settings(deadline=None)
def test_a_list_is_never_more_than_there_is(
    offset: int, limit: int, total: int, struck: list[Strike], age: float
) -> None:
    plain = Listing(offset=offset, limit=limit, visible=total)
    listing = distorted(plain, struck, age=age)
    assert 0 <= listing.offset <= offset
    assert 0 <= listing.limit <= limit
    assert 0 <= listing.visible <= total
    assert distorted(plain, [], age=age) == plain
    kinds = {strike.fault.kind for strike in struck}
    if FaultKind.WRONG_COUNT not in kinds:
        assert listing.count_error == 0
    if FaultKind.WRONG_TOTAL not in kinds:
        assert listing.total_error == 0


@pytest.mark.parametrize("kind", LISTING)
def test_every_kind_that_distorts_a_list_does(kind: FaultKind) -> None:
    plain = Listing(offset=2000, limit=100, visible=50)
    strike = Strike(Fault(kind), 1)
    assert distorted(plain, [strike], age=0) != plain
    assert json.dumps(Fault(kind).document()) == json.dumps({"kind": kind.value})
