"""Walking and waiting over real sockets: the sandbox, and servers that misbehave."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import aiohttp
import pytest

from tests.stub import EXECUTION, EXECUTION_JSON, Reply, Seen, Stub, answer
from tests.walking.lists import identifier
from upvest_rebalancing.client import RebalancingClient
from upvest_rebalancing.errors import InvalidRequestError, RequestError, ServiceUnavailableError
from upvest_rebalancing.models import ExecutionOutcome, OrderStatus
from upvest_rebalancing.sandbox import Sandbox

ACCOUNTS = [identifier(number, kind=2) for number in range(60)]


class Places(aiohttp.TCPConnector):
    """A connector that shows how many connections are in use."""

    @property
    def in_use(self) -> int:
        return len(self._acquired)


def assert_nothing_is_held(session: aiohttp.ClientSession) -> None:
    assert isinstance(session.connector, Places)
    assert session.connector.in_use == 0
    # What else runs is the server's side, which says so by where its code is from.
    running = {repr(task.get_coro()) for task in asyncio.all_tasks() - {asyncio.current_task()}}
    assert not {name for name in running if "RequestHandler" not in name and "Stub" not in name}


def client_of(sandbox: Sandbox, session: aiohttp.ClientSession | None = None) -> RebalancingClient:
    environ = sandbox.environment()
    return RebalancingClient.from_env(None, environ=environ, session=session)


def row(number: int, status: str = "FILLED") -> dict[str, Any]:
    return {
        "id": str(identifier(number)),
        "created_at": "2022-09-28T09:14:02Z",
        "updated_at": "2022-09-28T09:14:02Z",
        "execution_id": str(EXECUTION),
        "account_id": str(identifier(number, kind=2)),
        "status": status,
    }


def listing(
    rows: Callable[[int, int], list[dict[str, Any]]], total: int
) -> Callable[[Seen], Reply]:
    """Make a stub's way to answer: the execution, or a page of these rows."""

    def choose(seen: Seen) -> Reply:
        parts = urlsplit(seen.target)
        if not parts.path.endswith("/orders"):
            return answer(EXECUTION_JSON | {"accounts": [str(ACCOUNTS[0])]})
        query = parse_qs(parts.query)
        offset, limit = int(query["offset"][0]), int(query["limit"][0])
        data = rows(offset, limit)
        meta = {"offset": offset, "limit": limit, "count": len(data), "total_count": total}
        return answer({"meta": meta, "data": data})

    return choose


async def test_a_list_that_moves_is_walked_to_the_end() -> None:
    async with Sandbox(moves_per_read=10, rate_limit=None) as sandbox, client_of(sandbox) as client:
        execution = await client.trigger(accounts=ACCOUNTS)
        walk = client.orders(execution.id, page_size=10, read_ahead=3)
        found = [order async for order in walk]
        assert len(found) == len({order.id for order in found}) == 60
        assert {order.account_id for order in found} == set(ACCOUNTS)
        assert walk.verdict.complete
        assert walk.verdict.repeats > 0
        assert await walk.total() == 60


async def test_leaving_early_holds_no_task_and_no_connection() -> None:
    async with (
        Sandbox(rate_limit=None) as sandbox,
        aiohttp.ClientSession(connector=Places()) as session,
        client_of(sandbox, session) as client,
    ):
        execution = await client.trigger(accounts=ACCOUNTS)
        async for _ in client.orders(execution.id, page_size=5):
            break
        assert_nothing_is_held(session)
        iterator = aiter(client.orders(execution.id, page_size=5))
        for _ in range(7):
            await anext(iterator)
        assert_nothing_is_held(session)


async def test_a_cancelled_walk_holds_no_connection() -> None:
    first = listing(lambda *_: [row(n) for n in range(10)], 100)
    under_way = asyncio.Event()

    def choose(seen: Seen) -> Reply:
        if "offset=0&" in seen.target:
            return first(seen)
        under_way.set()
        return Reply(then="hang")

    async with (
        Stub(choose) as stub,
        aiohttp.ClientSession(connector=Places()) as session,
        stub.client(session=session) as client,
    ):

        async def consume() -> int:
            return len([order async for order in client.orders(EXECUTION, page_size=10)])

        task = asyncio.create_task(consume())
        await under_way.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert_nothing_is_held(session)


async def test_a_page_that_fails_says_where_to_go_on() -> None:
    rows = [row(n) for n in range(50)]
    serve = listing(lambda at, limit: rows[at : at + limit], 50)
    is_down = True

    def choose(seen: Seen) -> Reply:
        broken = is_down and "offset=30&" in seen.target
        return answer({"status": 503, "type": "x"}, 503) if broken else serve(seen)

    async with Stub(choose) as stub, stub.client() as client:
        found: list[UUID] = []

        async def consume(offset: int) -> None:
            async for order in client.orders(EXECUTION, page_size=10, offset=offset):
                found.append(order.id)  # noqa: PERF401 - what came before the error counts

        with pytest.raises(ServiceUnavailableError, match="can go on at offset 30") as caught:
            await consume(0)
        assert caught.value.resume_offset == 30
        assert len(caught.value.attempts) == 3
        is_down = False
        await consume(caught.value.resume_offset)
        assert found == [identifier(n) for n in range(50)]
        stub._choose = lambda _: answer({"status": 404, "type": "x"}, 404)
        with pytest.raises(RequestError) as other:
            await client.execution(EXECUTION)
        assert other.value.resume_offset is None


@pytest.mark.parametrize("total", [-1, 0, 3, 10**9])
async def test_a_server_that_ignores_the_offset_is_left(total: int) -> None:
    rows = [row(n) for n in range(10)]
    async with Stub(listing(lambda *_: rows, total)) as stub, stub.client() as client:
        walk = client.orders(EXECUTION, page_size=10)
        assert len([order async for order in walk]) == 10
        assert walk.verdict.missing == max(0, total - 10)
        assert len(stub.seen) <= 20


async def test_a_server_that_invents_orders_is_left() -> None:
    numbers = itertools.count()
    serve = listing(lambda *_: [row(next(numbers)) for _ in range(3)], 10)
    async with Stub(serve) as stub, stub.client() as client:
        walk = client.orders(EXECUTION, page_size=10)
        found = [order async for order in walk]
        assert len({order.id for order in found}) == len(found) <= 3000
        assert len(stub.seen) <= 1000


async def test_the_example_of_the_specification_is_read() -> None:
    # Four rows with a repeated id, where the meta says two.
    rows = [row(1), row(2), row(3), row(1)]
    async with Stub(listing(lambda *_: rows, 2)) as stub, stub.client() as client:
        walk = client.orders(EXECUTION)
        assert [order.id async for order in walk] == [identifier(n) for n in (1, 2, 3)]
        # The same rows at every offset, and more than the total: nobody can say what there is.
        assert not walk.verdict.complete


async def test_waiting_follows_orders_to_their_end() -> None:
    async with Sandbox(moves_per_read=30, rate_limit=None) as sandbox, client_of(sandbox) as client:
        execution = await client.trigger(accounts=ACCOUNTS)
        seen: list[ExecutionOutcome] = []
        outcome = await client.wait(execution.id, timeout=60, on_progress=seen.append)
        assert outcome == seen[-1]
        assert outcome.is_final
        assert set(outcome.by_account) == set(ACCOUNTS)
        assert outcome.by_status.total() == 60
        assert outcome.by_cancellation_reason.total() == outcome.by_status[OrderStatus.CANCELLED]
        assert [each.is_final for each in seen] == [False] * (len(seen) - 1) + [True]


async def test_watching_is_an_iterator() -> None:
    async with Sandbox(moves_per_read=60, rate_limit=None) as sandbox, client_of(sandbox) as client:
        execution = await client.trigger(accounts=ACCOUNTS)
        seen = [outcome async for outcome in client.watch(execution.id, timeout=60)]
        assert seen[-1].is_final


async def test_waiting_for_allocations_lets_the_list_settle() -> None:
    async with Sandbox(order_seconds=0, rate_limit=None) as sandbox, client_of(sandbox) as client:
        sandbox.add_allocation(str(EXECUTION), map(str, ACCOUNTS))
        execution = await client.trigger(allocations=[EXECUTION])
        outcome = await client.wait(execution.id, timeout=60)
        assert outcome.is_final
        assert outcome.readings >= 2
        assert len(outcome.orders) == 60


@pytest.mark.parametrize("total", [-1, 0, 1, 2, 10**9])
async def test_waiting_for_accounts_ends_whatever_the_total_says(total: int) -> None:
    serve = listing(lambda at, limit: [row(0)][at : at + limit], total)
    async with Stub(serve) as stub, stub.client() as client:
        outcome = await client.wait(EXECUTION, timeout=60)
        assert outcome.is_final == (total <= 1)
        assert outcome.expected == max(1, total)
        assert outcome.by_status == {"FILLED": 1}
        assert len(stub.seen) <= 30


async def test_arguments_are_checked_before_anything_is_sent() -> None:
    async with Stub([]) as stub, stub.client() as client:
        with pytest.raises(InvalidRequestError, match="read_ahead is 0"):
            client.orders(uuid4(), read_ahead=0)
        with pytest.raises(InvalidRequestError, match="page_size is 0"):
            client.orders(uuid4(), page_size=0)
        for timeout in (-1.0, float("nan")):
            with pytest.raises(InvalidRequestError, match="timeout is"):
                client.watch(uuid4(), timeout=timeout)
        with pytest.raises(InvalidRequestError, match="UUID"):
            client.watch("nonsense")
        assert stub.seen == []
