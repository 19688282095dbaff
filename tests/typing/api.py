"""A user's code, checked by mypy and never run: the public API keeps its types."""

from __future__ import annotations

import datetime as dt
import ssl
import uuid
from collections import Counter
from typing import assert_type

import aiohttp

from upvest_rebalancing import (
    Attempt,
    AttemptEvent,
    AttemptFinished,
    AttemptStarted,
    Authentication,
    CancellationReason,
    Execution,
    ExecutionOrder,
    ExecutionOutcome,
    NotFoundError,
    OrderStatus,
    OutcomeUnknownError,
    Page,
    RebalancingClient,
    RequestError,
    RetryPolicy,
    Settings,
    Statistics,
    TriggeredExecution,
    UnauthorizedError,
    WaitTimeoutError,
    WalkVerdict,
)
from upvest_rebalancing.sandbox import Sandbox


def on_attempt(event: AttemptEvent) -> None:
    match event:
        case AttemptStarted():
            assert_type(event.idempotency_key, str | None)
        case AttemptFinished():
            assert_type(event.attempt, Attempt)


async def calls(session: aiohttp.ClientSession, context: ssl.SSLContext) -> None:
    settings = Settings.from_env(".env", scopes=["portfolios:admin"], private_key=b"")
    async with RebalancingClient(
        settings,
        session=session,
        retry=RetryPolicy(max_attempts=3, deadline=10.0),
        attempt_timeout=5.0,
        concurrency=10,
        requests_per_second=None,
        on_attempt=on_attempt,
        ssl=context,
        proxy="http://127.0.0.1:3128",
        trust_env=True,
    ) as client:
        assert_type(client, RebalancingClient)
        triggered = await client.trigger(accounts=["43801b85-bbcf-41c7-8389-b018082a5ec5"])
        assert_type(triggered, TriggeredExecution)
        await client.trigger(
            allocations=(uuid.uuid4() for _ in range(2)), idempotency_key=uuid.uuid4()
        )
        execution = await client.execution(triggered.id)
        assert_type(execution, Execution)
        assert_type(execution.accounts, tuple[uuid.UUID, ...] | None)
        walk = client.orders(
            execution.id, page_size=100, start_date=dt.date(2022, 10, 14), end_date="2022-10-15"
        )
        async for order in walk:
            assert_type(order, ExecutionOrder)
            assert_type(order.status, OrderStatus)
            assert_type(order.cancellation_reason, CancellationReason | None)
            assert_type(order.updated_at, dt.datetime)
        async for page in walk.pages():
            assert_type(page, Page)
        assert_type(await walk.total(), int)
        assert_type(walk.verdict, WalkVerdict)
        outcome = await client.wait(execution.id, timeout=600, on_progress=progress)
        assert_type(outcome, ExecutionOutcome)
        assert_type(outcome.by_status, Counter[OrderStatus])
        assert_type(outcome.by_account, dict[uuid.UUID, ExecutionOrder])
        assert_type(await client.authenticate(), Authentication)
        assert_type(client.statistics, Statistics)


def progress(outcome: ExecutionOutcome) -> None:
    assert_type(outcome.is_final, bool)


async def failures(client: RebalancingClient) -> None:
    try:
        await client.wait(uuid.uuid4())
    except NotFoundError as error:
        assert_type(error.status, int)
        assert_type(error.detail, str | None)
        assert_type(error.attempts, tuple[Attempt, ...])
    except UnauthorizedError as error:
        assert_type(error.retry_after, float | None)
    except OutcomeUnknownError as error:
        assert_type(error.idempotency_key, str | None)
    except RequestError as error:
        assert_type(error.may_have_been_executed, bool)
    except WaitTimeoutError as error:
        print(error.outcome)


async def in_tests() -> None:
    async with Sandbox(order_seconds=0, seed=7) as sandbox:
        assert_type(sandbox, Sandbox)
        assert_type(sandbox.url, str)
        async with RebalancingClient.from_env(None, environ=sandbox.environment()) as client:
            await client.trigger(accounts=[uuid.uuid4()])


async def mistakes(client: RebalancingClient) -> None:
    await client.trigger(accounts=[5])  # type: ignore[list-item]
    await client.trigger([uuid.uuid4()])  # type: ignore[call-arg]
    client.orders(uuid.uuid4(), page_size="ten")  # type: ignore[arg-type]
    RebalancingClient.from_env(retries=5)  # type: ignore[call-arg]
