"""The walk reads ahead, in order, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import pickle
from uuid import UUID

import pytest

from tests.walking.lists import MovingList, Reader, order
from upvest_rebalancing.errors import NotSentError, RequestError
from upvest_rebalancing.models import ExecutionOrder, Page
from upvest_rebalancing.walking import READ_AHEAD, OrderWalk


def walk_over(reader: Reader, page_size: int = 10, **more: int) -> OrderWalk:
    return OrderWalk(fetch=reader, read=lambda page: page, page_size=page_size, **more)


def nothing_runs(reader: Reader) -> bool:
    return reader.under_way == 0 and asyncio.all_tasks() == {asyncio.current_task()}


def broken_at(*offsets: int) -> Reader:
    return Reader(
        MovingList.of(100),
        fail=lambda offset: NotSentError("no way there") if offset in offsets else None,
    )


async def test_every_order_comes_once_and_in_order() -> None:
    reader = Reader(MovingList.of(95))
    walk = walk_over(reader)
    assert reader.source.reads == []
    assert [each async for each in walk] == reader.source.rows()
    assert walk.verdict.complete
    assert reader.source.reads == [(offset, 10) for offset in range(0, 100, 10)]
    assert walk.largest_page == 10


@pytest.mark.parametrize("window", [1, 2, 4, 50])
async def test_pages_are_read_ahead_and_no_more_than_the_window_has(window: int) -> None:
    reader = Reader(MovingList.of(95))
    walk = walk_over(reader, read_ahead=window)
    async for _ in walk:
        assert reader.under_way == 0
        ahead = len(reader.source.reads) * 10 - walk.verdict.seen
        assert ahead <= window * 10
    assert reader.most_under_way == min(window, 9)


async def test_pages_are_yielded_in_order_however_they_arrive() -> None:
    async def the_later_the_sooner(offset: int) -> None:
        for _ in range(50 - offset // 10):
            await asyncio.sleep(0)

    reader = Reader(MovingList.of(95), delay=the_later_the_sooner)
    assert [each async for each in walk_over(reader)] == reader.source.rows()
    assert reader.source.reads != sorted(reader.source.reads)


async def test_round_trips_are_those_of_the_window() -> None:
    # A round trip is counted by how often everything that is under way has to be waited for.
    trips = 0

    async def one_trip(_offset: int) -> None:
        nonlocal trips
        if reader.under_way == 1:
            trips += 1
        await asyncio.sleep(0)

    reader = Reader(MovingList.of(999), delay=one_trip)
    async for _ in walk_over(reader, page_size=10).pages():
        pass
    assert len(reader.source.reads) == 100
    assert trips <= 1.3 * 100 / READ_AHEAD


async def test_what_slips_is_found_although_pages_are_read_at_once() -> None:
    source = MovingList.of(60, before_read=lambda source, _: source.advance(10))
    walk = walk_over(Reader(source))
    found = [each.id async for each in walk]
    assert len(found) == 60
    assert set(found) == source.ids
    assert walk.verdict.complete


async def test_an_empty_list_is_one_empty_page() -> None:
    walk = walk_over(Reader(MovingList()))
    assert [page.data async for page in walk.pages()] == [()]
    assert walk.verdict.complete
    assert [each async for each in walk] == []


async def test_pages_have_their_new_orders_only() -> None:
    reader = Reader(MovingList.of(25, ignores_offset=True))
    pages = [page async for page in walk_over(reader).pages()]
    assert [len(page.data) for page in pages] == [10]


async def test_a_page_that_is_all_new_is_handed_on_as_it_came() -> None:
    answers: list[Page] = []

    class Keeping(Reader):
        async def __call__(self, offset: int, limit: int) -> Page:
            answers.append(await super().__call__(offset, limit))
            return answers[-1]

    walk = walk_over(Keeping(MovingList.of(25)), read_ahead=1)
    pages = [page async for page in walk.pages()]
    assert [len(page.data) for page in pages] == [10, 10, 5]
    assert all(page is answer for page, answer in zip(pages, answers, strict=True))


async def test_every_iteration_is_a_walk_of_its_own() -> None:
    walk = walk_over(Reader(MovingList.of(25)), start=5)
    assert walk.verdict.seen == 0
    first = [each async for each in walk]
    assert first == [each async for each in walk]
    assert walk.verdict.seen == len(first) == 20
    assert await walk.total() == 25


async def test_a_total_that_is_negative_is_none() -> None:
    assert await walk_over(Reader(MovingList(total=lambda _: -3))).total() == 0


async def test_a_page_that_fails_says_where_to_go_on() -> None:
    reader = broken_at(60)
    found: list[ExecutionOrder] = []

    async def consume() -> None:
        async for each in walk_over(reader):
            found.append(each)  # noqa: PERF401 - what came before the error counts

    with pytest.raises(NotSentError) as caught:
        await consume()
    assert found == reader.source.rows()[:60]
    assert caught.value.resume_offset == 60
    assert str(caught.value) == (
        "no way there (the walk can go on at offset 60 with the same iterator; a new walk from"
        " there may miss orders that moved)"
    )
    assert pickle.loads(pickle.dumps(caught.value)).resume_offset == 60
    reader.fail = lambda _: None
    rest = [each async for each in walk_over(reader, start=60)]
    assert found + rest == reader.source.rows()


async def test_the_same_iterator_goes_on_after_an_error() -> None:
    reader = broken_at(0, 30)
    walk = aiter(walk_over(reader))
    with pytest.raises(RequestError):
        await anext(walk)
    reader.fail = broken_at(30).fail
    found = [await anext(walk) for _ in range(30)]
    for _ in range(2):
        with pytest.raises(RequestError):
            await anext(walk)
    reader.fail = lambda _: None
    found += [each async for each in walk]
    assert found == reader.source.rows()


async def test_an_error_of_another_kind_comes_as_it_is() -> None:
    reader = Reader(MovingList.of(30), fail=lambda offset: KeyError(offset) if offset else None)
    with pytest.raises(KeyError, match="10"):
        [each async for each in walk_over(reader)]
    assert nothing_runs(reader)


async def test_an_error_that_knows_its_place_keeps_it() -> None:
    known = NotSentError("no way there", resume_offset=7)
    reader = Reader(MovingList.of(30), fail=lambda _: known)
    with pytest.raises(NotSentError, match=r"^no way there$"):
        await anext(aiter(walk_over(reader)))
    assert known.resume_offset == 7


async def test_a_break_leaves_nothing_running() -> None:
    reader = Reader(MovingList.of(100))
    async for each in walk_over(reader):
        if each == reader.source.rows()[35]:
            break
    assert nothing_runs(reader)


async def test_an_error_in_the_body_leaves_nothing_running() -> None:
    reader = Reader(MovingList.of(100))

    async def fail() -> None:
        async for _ in walk_over(reader):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert nothing_runs(reader)


async def test_an_iterator_that_is_kept_or_forgotten_leaves_nothing_running() -> None:
    reader = Reader(MovingList.of(100))
    kept = aiter(walk_over(reader))
    forgotten = aiter(walk_over(reader))
    for _ in range(15):
        await anext(kept)
        await anext(forgotten)
    assert nothing_runs(reader)
    del forgotten
    gc.collect()
    assert nothing_runs(reader)
    assert len([each async for each in kept]) == 85


@pytest.mark.parametrize("times", [1, 3])
async def test_a_cancellation_leaves_nothing_running(times: int) -> None:
    ended = 0

    async def slow_to_end(offset: int) -> None:
        nonlocal ended
        try:
            if offset >= 50:
                await asyncio.Event().wait()
        finally:
            # An answer that is on its way is given up in several steps of the loop.
            for _ in range(5):
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(0)
            ended += 1

    reader = Reader(MovingList.of(100), delay=slow_to_end)
    iterator = aiter(walk_over(reader))
    found: list[UUID] = []

    async def consume() -> None:
        async for each in iterator:
            found.append(each.id)

    task = asyncio.create_task(consume())
    while reader.under_way < 4 or ended < 5:
        await asyncio.sleep(0)
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert nothing_runs(reader)
    # Nothing of what was read is lost, and the iterator can go on.
    reader.delay = lambda _: asyncio.sleep(0)
    found += [each.id async for each in iterator]
    assert found == [each.id for each in reader.source.rows()]


async def test_several_tasks_can_share_an_iterator() -> None:
    reader = Reader(MovingList.of(95))
    iterator = aiter(walk_over(reader))
    found: list[UUID] = []

    async def consume() -> None:
        async for each in iterator:
            found.append(each.id)
            await asyncio.sleep(0)

    await asyncio.gather(*(consume() for _ in range(5)))
    assert sorted(found) == sorted(reader.source.ids)
    assert len(reader.source.reads) == 10


async def test_pages_can_be_shared_as_well() -> None:
    reader = Reader(MovingList.of(95))
    pages = walk_over(reader).pages()
    first, second = await asyncio.gather(anext(pages), anext(pages))
    assert {each.id for each in (*first.data, *second.data)} == {
        order(number).id for number in range(20)
    }


async def test_pages_of_uneven_sizes_are_not_read_far_ahead() -> None:
    source = MovingList.of(300, short_reads=frozenset(range(1, 1000)))
    walk = walk_over(Reader(source))
    assert len([each async for each in walk]) == 300
    assert walk.verdict.complete
    assert len(source.reads) <= 2 * walk.verdict.pages
