"""One token for any number of tasks."""

import asyncio
import time
from uuid import uuid4

import pytest

from tests.stub import ACCOUNT, EXECUTION, EXECUTION_JSON, HANG, Reply, Seen, Stub, answer, token
from upvest_rebalancing import errors
from upvest_rebalancing.authentication import TokenSource
from upvest_rebalancing.client import RebalancingClient
from upvest_rebalancing.protocol.retries import RetryPolicy
from upvest_rebalancing.protocol.tokens import Token
from upvest_rebalancing.sandbox import Sandbox

GOOD = answer(EXECUTION_JSON)


class Fetcher:
    """A fetch that the test lets go on."""

    def __init__(self) -> None:
        self.count = 0
        self.go = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self) -> Token:
        self.count += 1
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return Token(access_token=f"t{self.count}", obtained_at=0.0, lifetime=60.0, scopes=())


async def test_one_fetch_serves_all_that_wait() -> None:
    fetch = Fetcher()
    source = TokenSource(fetch=fetch, clock=lambda: 0.0)
    tasks = [asyncio.create_task(source.get()) for _ in range(100)]
    await asyncio.sleep(0)
    fetch.go.set()
    assert {token.access_token for token in await asyncio.gather(*tasks)} == {"t1"}
    assert fetch.count == 1


async def test_a_failure_reaches_every_waiter_and_is_not_kept() -> None:
    fetch = Fetcher()
    fetch.error = errors.TokenError("no")
    source = TokenSource(fetch=fetch, clock=lambda: 0.0)
    tasks = [asyncio.create_task(source.get()) for _ in range(10)]
    await asyncio.sleep(0)
    fetch.go.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [str(result) for result in results] == ["no"] * 10
    assert fetch.count == 1
    fetch.error = None
    assert (await source.get()).access_token == "t2"


async def test_a_waiter_that_is_cancelled_does_not_take_the_token_from_others() -> None:
    fetch = Fetcher()
    source = TokenSource(fetch=fetch, clock=lambda: 0.0)
    first, second = (asyncio.create_task(source.get()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    fetch.go.set()
    assert (await second).access_token == "t1"


async def test_a_failure_that_nobody_waits_for_makes_no_noise() -> None:
    fetch = Fetcher()
    fetch.error = errors.TokenError("no")
    source = TokenSource(fetch=fetch, clock=lambda: 0.0)
    task = asyncio.create_task(source.get())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    fetch.go.set()
    await source.close()


async def test_tokens_are_renewed_when_their_time_comes() -> None:
    now = 0.0
    fetch = Fetcher()
    fetch.go.set()
    source = TokenSource(fetch=fetch, clock=lambda: now)
    await source.get()
    now = 44.9
    assert (await source.get()).access_token == "t1"
    now = 45.0
    assert (await source.get()).access_token == "t2"


async def test_only_the_token_that_was_refused_is_dropped() -> None:
    fetch = Fetcher()
    fetch.go.set()
    source = TokenSource(fetch=fetch, clock=lambda: 0.0)
    first = await source.get()
    source.reject(first)
    second = await source.get()
    source.reject(first)
    assert await source.get() is second
    assert fetch.count == 2


async def test_closing_in_mid_fetch_is_an_error_of_ours_not_a_cancellation() -> None:
    fetch = Fetcher()
    source = TokenSource(fetch=fetch, clock=lambda: 0.0)
    task = asyncio.create_task(source.get())
    await asyncio.sleep(0)
    await source.close()
    with pytest.raises(errors.ClientClosedError, match="closed in mid-call"):
        await task


async def test_a_refused_token_is_renewed_once_for_all_tasks() -> None:
    good = "Bearer new"

    def reply(seen: Seen) -> Reply:
        return GOOD if seen.headers["authorization"] == good else answer(b"", 401)

    tokens = [token(), token(access_token="new")]
    async with Stub(reply, tokens) as stub, stub.client() as client:
        await asyncio.gather(*(client.execution(EXECUTION) for _ in range(50)))
        assert len(stub.tokens) == 2


async def test_a_401_that_stays_is_an_error_after_one_renewal() -> None:
    async with Stub([answer(b"", 401)]) as stub, stub.client() as client:
        with pytest.raises(errors.UnauthorizedError):
            await client.execution(EXECUTION)
        assert (len(stub.seen), len(stub.tokens)) == (2, 2)


@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_a_refusal_of_the_token_endpoint(status: int) -> None:
    refusal = answer({"error": "invalid_client", "error_description": 'a "quoted"\nword'}, status)
    async with Stub([GOOD], [refusal]) as stub, stub.client() as client:
        with pytest.raises(errors.TokenError, match=f"HTTP {status}") as caught:
            await client.trigger(accounts=[ACCOUNT])
        error = caught.value
        assert (error.status, error.error) == (status, "invalid_client")
        assert error.detail == 'a "quoted"\nword'
        assert error.operation == "trigger"
        assert error.idempotency_key is not None
        assert not error.may_have_been_executed
        assert ("UPVEST_API_CLIENT_SECRET" in str(error)) == (status in {400, 401})
        assert not stub.seen


async def test_the_token_endpoints_passing_failures_are_retried() -> None:
    tokens = [answer(b"", 503), answer(b"", 429), token()]
    async with Stub([GOOD], tokens) as stub, stub.client() as client:
        await client.execution(EXECUTION)
        assert len(stub.tokens) == 3


async def test_narrower_scopes_are_an_error_that_names_them() -> None:
    async with Stub([GOOD], [token(scope="users:read")]) as stub, stub.client() as client:
        with pytest.raises(errors.ScopeError, match="portfolios:admin") as caught:
            await client.execution(EXECUTION)
        assert caught.value.missing == ("portfolios:admin",)
        assert caught.value.attempts


async def test_each_waiter_gets_an_error_of_its_own() -> None:
    async with Stub([GOOD], [answer(b"", 401)]) as stub, stub.client() as client:
        first, second = await asyncio.gather(
            client.execution(EXECUTION), client.trigger(accounts=[ACCOUNT]), return_exceptions=True
        )
        assert isinstance(first, errors.TokenError)
        assert isinstance(second, errors.TokenError)
        assert (first.operation, second.operation) == ("execution", "trigger")
        assert first.idempotency_key is None
        assert len(stub.tokens) == 1


async def test_closing_the_client_in_mid_fetch() -> None:
    async with Stub([GOOD], [HANG]) as stub:
        async with stub.client() as client:
            task = asyncio.create_task(client.execution(EXECUTION))
            await stub.arrived.wait()
        with pytest.raises(errors.ClientClosedError):
            await task


async def test_authenticate_fetches_a_fresh_token_and_measures_the_clock() -> None:
    tokens = [token(60), token(70)]
    async with Stub([GOOD], tokens) as stub, stub.client() as client:
        assert (await client.authenticate()).lifetime == 60
        second = await client.authenticate()
        assert second.lifetime == 70
        assert second.clock_skew is None
        assert second.scopes == ("portfolios:admin",)
        assert client.statistics.tokens == len(stub.tokens) == 2
    async with Sandbox() as sandbox:
        async with RebalancingClient.from_env(None, environ=sandbox.environment()) as client:
            skew = (await client.authenticate()).clock_skew
            assert skew is not None
            assert abs(skew) < 60


async def test_a_hundred_tasks_with_short_lived_tokens() -> None:
    """No call fails, and tokens are fetched about once per lifetime (2 s; here for 10 s)."""
    lifetime, seconds = 2, 10
    async with Sandbox(token_lifetime=lifetime, rate_limit=None) as sandbox:
        environ = sandbox.environment()
        retry = RetryPolicy(max_attempts=10)
        async with RebalancingClient.from_env(None, environ=environ, retry=retry) as client:
            execution = await client.trigger(accounts=[uuid4()])
            began = time.monotonic()
            calls = 0

            async def work() -> None:
                nonlocal calls
                while time.monotonic() - began < seconds:
                    await client.execution(execution.id)
                    calls += 1
                    await asyncio.sleep(0.05)

            async with asyncio.TaskGroup() as tasks:
                for _ in range(100):
                    tasks.create_task(work())
            elapsed = time.monotonic() - began
        tokens = sandbox.counters().tokens
    assert calls >= 100
    # Each is renewed at three quarters of its life.
    assert tokens <= elapsed / (lifetime * 0.75) + 2
    assert tokens >= elapsed / (lifetime * 2)
