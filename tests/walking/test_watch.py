"""Waiting: what is asked, when, and how it ends, in a time that only the tests move."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.walking.lists import (
    BY_LIFE,
    EXECUTION,
    NOW,
    TOTALS,
    MovingList,
    Reader,
    changes,
    identifier,
    played,
)
from upvest_rebalancing.errors import NotFoundError, NotSentError, WaitTimeoutError
from upvest_rebalancing.models import Execution, ExecutionOutcome, Page
from upvest_rebalancing.protocol.progress import SETTLING, SETTLING_EMPTY
from upvest_rebalancing.waiting import FIRST_PAUSE, LONGEST_PAUSE, Watch


@attrs.define
class World:
    """A server, a clock, and what goes on while one sleeps."""

    source: MovingList
    accounts: int | None = None
    while_asleep: Callable[[MovingList], None] = lambda _source: None
    time: float = 1000.0
    pauses: list[float] = attrs.field(factory=list)
    retrieved: int = 0

    @property
    def reader(self) -> Reader:
        return Reader(self.source)

    async def execution(self) -> Execution:
        self.retrieved += 1
        named = None if self.accounts is None else range(self.accounts)
        ids = None if named is None else tuple(identifier(n, kind=2) for n in named)
        return Execution(id=EXECUTION, created_at=NOW, updated_at=NOW, accounts=ids)

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.time += seconds
        self.while_asleep(self.source)
        await asyncio.sleep(0)

    def watch(self, timeout: float | None = None, **more: Any) -> Watch:
        values: dict[str, Any] = {
            "execution": self.execution,
            "read": self.reader,
            "timeout": timeout,
            "clock": lambda: self.time,
            "sleep": self.sleep,
            "jitter": lambda longest: longest,
            "page_size": 10,
        }
        return Watch(**(values | more))


async def outcomes(watch: Watch) -> list[ExecutionOutcome]:
    return [outcome async for outcome in watch]


async def test_what_is_final_at_once_is_read_once() -> None:
    world = World(MovingList.of(35, "FILLED"), accounts=35)
    (outcome,) = await outcomes(world.watch())
    assert outcome.is_final
    assert outcome.verdict is not None
    assert outcome.verdict.complete
    assert outcome.by_status == {"FILLED": 35}
    assert outcome.execution_id == EXECUTION
    assert len(world.source.reads) == 4
    assert (world.pauses, world.retrieved) == ([], 1)


async def test_orders_that_do_not_exist_yet_are_waited_for() -> None:
    world = World(MovingList(), accounts=25, while_asleep=lambda source: source.add(5, "FILLED"))
    seen = await outcomes(world.watch())
    assert [len(outcome.orders) for outcome in seen] == [0, 5, 10, 15, 20, 25]
    assert [outcome.is_final for outcome in seen] == [False] * 5 + [True]
    assert {outcome.expected for outcome in seen} == {25}


async def test_without_accounts_the_list_has_to_settle() -> None:
    world = World(MovingList.of(5, "FILLED"))
    outcome = await world.watch().last()
    assert outcome.is_final
    assert world.pauses == [SETTLING]
    assert outcome.elapsed == SETTLING


async def test_without_accounts_and_orders_it_settles_later() -> None:
    world = World(MovingList())
    outcome = await world.watch().last()
    assert outcome.elapsed >= SETTLING_EMPTY
    assert len(outcome.orders) == 0


async def test_orders_that_come_late_are_not_missed() -> None:
    def one_more(source: MovingList) -> None:
        if len(source.orders) < 4:
            source.add(1, "FILLED")

    world = World(MovingList.of(1, "FILLED"), while_asleep=one_more)
    assert len((await world.watch().last()).orders) == 4


async def test_pauses_grow_and_have_jitter() -> None:
    drawn: list[float] = []

    def jitter(longest: float) -> float:
        drawn.append(longest)
        return 0.0

    world = World(MovingList.of(5), accounts=5)
    with pytest.raises(WaitTimeoutError):
        await outcomes(world.watch(timeout=100, jitter=jitter))
    regular = world.pauses[:-8]
    assert regular[0] == FIRST_PAUSE / 2
    assert regular == sorted(regular)
    assert max(world.pauses) == LONGEST_PAUSE / 2
    assert drawn[: len(regular)] == regular
    assert sum(world.pauses) == pytest.approx(100)


async def test_a_timeout_brings_what_is_known() -> None:
    world = World(MovingList.of(5), accounts=7, while_asleep=lambda source: source.advance(1))
    source_of_news: list[ExecutionOutcome] = []
    with pytest.raises(WaitTimeoutError) as caught:
        await world.watch(timeout=3).last(source_of_news.append)
    outcome = caught.value.outcome
    assert outcome.elapsed == pytest.approx(3)
    assert outcome.expected == 7
    assert len(outcome.orders) == 5
    assert outcome.by_status == source_of_news[-1].by_status
    counts = "5 of 7 orders were seen (FILLED: 3, NEW: 2)"
    assert str(caught.value) == f"execution {EXECUTION} was not final within 3 s: {counts}"


async def test_after_a_timeout_the_watch_is_over() -> None:
    watch = World(MovingList.of(5), accounts=5).watch(timeout=1)
    with pytest.raises(WaitTimeoutError):
        await outcomes(watch)
    assert await outcomes(watch) == []


async def test_the_last_look_is_close_to_the_end() -> None:
    world = World(MovingList.of(1), accounts=1)
    world.while_asleep = lambda source: source.advance(1) if world.time > 1059 else None
    outcome = await world.watch(timeout=60).last()
    assert outcome.is_final


@pytest.mark.parametrize("hanging", ["execution", "read"])
async def test_a_request_that_hangs_does_not_outlast_the_timeout(hanging: str) -> None:
    async def hang(*_: object) -> Any:
        await asyncio.Event().wait()

    world = World(MovingList.of(5), accounts=5)
    with pytest.raises(WaitTimeoutError) as caught:
        await anext(world.watch(timeout=0.01, **{hanging: hang}))
    if hanging == "execution":
        assert caught.value.outcome is None
        assert str(caught.value) == "the execution could not be retrieved within 0.01 s"
    else:
        assert len(caught.value.outcome.orders) == 0
        assert "(none)" in str(caught.value)


async def test_a_timeout_of_another_kind_is_not_taken_for_its_own() -> None:
    async def late(offset: int, limit: int) -> Page:
        raise TimeoutError("not ours")

    world = World(MovingList.of(5), accounts=5)
    with pytest.raises(TimeoutError, match="not ours"):
        await anext(world.watch(timeout=100, read=late))


async def test_what_was_read_before_a_timeout_in_the_middle_counts() -> None:
    source = MovingList.of(45)

    async def read(offset: int, limit: int) -> Page:
        if offset >= 50:
            await asyncio.Event().wait()
        return source.read(offset, limit)

    source.total = lambda _: 80
    with pytest.raises(WaitTimeoutError) as caught:
        await anext(World(source, accounts=80).watch(timeout=0.05, read=read))
    assert len(caught.value.outcome.orders) == 45
    assert caught.value.outcome.readings == 0


async def test_a_watch_goes_on_after_an_error() -> None:
    world = World(MovingList.of(25), accounts=25, while_asleep=lambda source: source.advance(25))
    failing = Reader(world.source, fail=lambda offset: NotSentError("no way") if offset else None)
    watch = world.watch(read=failing)
    with pytest.raises(NotSentError) as caught:
        await anext(watch)
    assert caught.value.resume_offset == 10
    failing.fail = lambda _: None
    assert (await watch.last()).is_final
    assert world.retrieved == 1


async def test_an_execution_that_does_not_exist_is_an_error() -> None:
    async def missing() -> Execution:
        raise NotFoundError("there is none", status=404)

    with pytest.raises(NotFoundError):
        await World(MovingList()).watch(execution=missing).last()


async def test_a_watch_that_is_left_has_nothing_running() -> None:
    world = World(MovingList.of(25), accounts=25)
    async for _ in world.watch():
        break
    assert asyncio.all_tasks() == {asyncio.current_task()}


@settings(deadline=None, max_examples=60)
@given(
    count=st.integers(1, 150),
    step=st.integers(4, 40),
    moves=changes("advance"),
    sorting=st.sampled_from([("CANCELLED", "FILLED", "NEW", "PROCESSING"), BY_LIFE]),
    total=st.sampled_from(sorted(TOTALS)),
    flags=st.tuples(st.booleans(), st.booleans()),
)
def test_a_wait_for_accounts_ends_with_every_order_final(
    count: int,
    step: int,
    moves: list[list[tuple[str, int]]],
    sorting: tuple[str, ...],
    total: str,
    flags: tuple[bool, bool],
) -> None:
    source = MovingList.of(
        count,
        before_read=played(moves),
        sorting=sorting,
        total=TOTALS[total],
        clamps_offset=flags[0],
        repeats_a_row=flags[1],
    )
    world = World(source, accounts=count, while_asleep=lambda source: source.advance(step))
    seen = asyncio.run(outcomes(world.watch(timeout=2000)))
    last = seen[-1]
    assert last.is_final == (TOTALS[total](count) <= count)
    assert {each.id for each in last.orders} == source.ids
    assert {each.id: each.status for each in last.orders} == {
        each.id: each.status for each in source.orders.values()
    }
    final: set[UUID] = set()
    for outcome in seen:
        now_final = {each.id for each in outcome.orders if each.status.is_final}
        assert now_final >= final
        final = now_final
        assert outcome.by_status.total() == len(outcome.orders)


def polls(sorting: tuple[str, ...], count: int, looks: int) -> tuple[World, list[Any]]:
    world = World(MovingList.of(count, sorting=sorting), accounts=count)
    world.while_asleep = lambda source: source.advance(2 * count // (looks - 2))
    seen = asyncio.run(outcomes(world.watch(page_size=count // 100)))
    return world, seen


@pytest.mark.parametrize("sorting", [("CANCELLED", "FILLED", "NEW", "PROCESSING"), BY_LIFE])
def test_a_long_wait_makes_a_fraction_of_the_requests(sorting: tuple[str, ...]) -> None:
    world, seen = polls(sorting, count=2000, looks=200)
    assert seen[-1].is_final
    assert len(seen) >= 190
    assert len(world.source.reads) <= 100 * len(seen) / 5


async def test_of_a_long_list_that_is_still_made_only_the_total_is_asked() -> None:
    world = World(MovingList.of(100, "FILLED"), accounts=200)
    watch = world.watch(page_size=1)
    await anext(watch)
    world.source.reads.clear()
    for _ in range(5):
        await anext(watch)
    assert world.source.reads == [(0, 0)] * 5
    world.source.add(100, "FILLED")
    assert (await watch.last()).is_final


async def test_a_long_list_that_is_not_sorted_is_read_whole() -> None:
    class Shuffled(MovingList):
        def _sort(self) -> list[Any]:
            return [each for _, each in sorted(self.orders.items())]

    source = Shuffled.of(100)
    for number in range(0, 100, 2):
        source.move(number, "FILLED")
    world = World(source, accounts=100)
    watch = world.watch(page_size=10)
    await anext(watch)
    source.reads.clear()
    outcome = await anext(watch)
    assert [offset for offset, _ in source.reads] == [*range(0, 101, 10)]
    assert outcome.by_status == {"FILLED": 50, "NEW": 50}
    world.while_asleep = lambda source: source.advance(20)
    assert (await watch.last()).is_final


async def test_a_long_list_of_allocations_is_confirmed_once_it_has_settled() -> None:
    world = World(MovingList.of(100, "FILLED"))
    assert (await world.watch(page_size=1).last()).is_final
    assert world.pauses == [SETTLING]
    assert len(world.source.reads) == 2 * 101


@pytest.mark.parametrize("repeats", [False, True])
async def test_a_total_that_stays_too_high_does_not_keep_allocations_waiting(
    *, repeats: bool
) -> None:
    source = MovingList.of(4, "FILLED", repeats_a_row=repeats, total=lambda count: count + 1)
    outcome = await World(source).watch(timeout=None).last()
    assert not outcome.is_final
    assert 30 <= outcome.elapsed <= 60
    assert outcome.verdict is not None
    assert not outcome.verdict.complete
