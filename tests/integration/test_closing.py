"""Closing a client in mid-call: every call still ends, in time, and says what may have happened."""

from __future__ import annotations

import asyncio
import threading

import aiohttp
import attrs
import pytest

from tests.stub import ACCOUNT, EXECUTION, EXECUTION_JSON, RESET, Reply, Seen, Stub, answer
from upvest_rebalancing import errors
from upvest_rebalancing.client import RebalancingClient
from upvest_rebalancing.protocol.keys import SigningKey
from upvest_rebalancing.protocol.retries import RetryPolicy
from upvest_rebalancing.settings import Settings

SLOW = Reply(
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{", "hang"
)


class GatedKey:
    """Signs when it is let."""

    algorithm = "ecdsa-p521-sha512"

    def __init__(self) -> None:
        self.may_sign = threading.Event()
        self.may_sign.set()
        self.is_asked = threading.Event()

    def sign(self, data: bytes) -> bytes:
        self.is_asked.set()
        assert self.may_sign.wait(30)
        return data[:8]


def with_key(stub: Stub, key: SigningKey) -> Settings:
    return attrs.evolve(stub.settings(), private_key=key)


@pytest.mark.parametrize("is_own", [True, False])
async def test_an_attempt_under_way_ends_at_its_deadline_all_the_same(is_own: bool) -> None:
    async with Stub(lambda _: SLOW) as stub, aiohttp.ClientSession() as session:
        client = RebalancingClient(
            stub.settings(),
            session=None if is_own else session,
            attempt_timeout=0.3,
            retry=RetryPolicy(max_attempts=1),
        )
        async with client:
            call = asyncio.create_task(client.trigger(accounts=[ACCOUNT]))
            while not stub.seen:
                await asyncio.sleep(0.001)
        with pytest.raises(errors.OutcomeUnknownError):
            await asyncio.wait_for(call, 30)


async def test_a_client_that_is_opened_again_takes_no_deadline_away() -> None:
    async with Stub(lambda _: SLOW) as stub, aiohttp.ClientSession() as session:
        client = RebalancingClient(
            stub.settings(),
            session=session,
            attempt_timeout=0.3,
            retry=RetryPolicy(max_attempts=1),
        )
        async with client:
            call = asyncio.create_task(client.trigger(accounts=[ACCOUNT]))
            while not stub.seen:
                await asyncio.sleep(0.001)
        async with client:
            with pytest.raises(errors.OutcomeUnknownError):
                await asyncio.wait_for(call, 30)


async def test_whoever_waits_for_a_token_is_told_that_the_client_is_closed() -> None:
    key = GatedKey()
    async with Stub(lambda _: answer(EXECUTION_JSON)) as stub:
        async with RebalancingClient(
            with_key(stub, key), signing_threads=1, jitter=lambda _: 0.0
        ) as client:
            await client.authenticate()
            key.is_asked.clear()
            key.may_sign.clear()
            call = await closed_while_signing(client, key)
            with pytest.raises(errors.ClientClosedError):
                await call
        assert not stub.seen


async def closed_while_signing(client: RebalancingClient, key: GatedKey) -> asyncio.Task[object]:
    """Start a trigger, and close the client while its next signature is being made."""
    call: asyncio.Task[object] = asyncio.create_task(client.trigger(accounts=[ACCOUNT]))
    while not key.is_asked.is_set():
        await asyncio.sleep(0.001)
    await client.close()
    key.may_sign.set()
    return call


async def test_what_was_being_signed_was_not_sent() -> None:
    key = GatedKey()
    async with Stub(lambda _: answer(EXECUTION_JSON)) as stub:
        async with RebalancingClient(
            with_key(stub, key), signing_threads=1, retry=RetryPolicy(max_attempts=1)
        ) as client:
            await client.authenticate()
            key.is_asked.clear()
            key.may_sign.clear()
            call = await closed_while_signing(client, key)
            with pytest.raises(errors.NotSentError) as caught:
                await call
        assert not caught.value.may_have_been_executed
        assert caught.value.idempotency_key is not None
        assert not stub.seen


async def test_what_was_sent_before_is_not_hidden() -> None:
    key = GatedKey()

    def reset(_: Seen) -> Reply:
        key.is_asked.clear()
        key.may_sign.clear()
        return RESET

    async with Stub(reset) as stub:
        async with RebalancingClient(
            with_key(stub, key),
            signing_threads=1,
            jitter=lambda _: 0.0,
            retry=RetryPolicy(max_attempts=2),
        ) as client:
            await client.authenticate()
            key.is_asked.clear()
            call: asyncio.Task[object] = asyncio.create_task(client.trigger(accounts=[ACCOUNT]))
            while not (stub.seen and key.is_asked.is_set()):
                await asyncio.sleep(0.001)
            await client.close()
            key.may_sign.set()
            with pytest.raises(errors.OutcomeUnknownError) as caught:
                await call
        assert caught.value.may_have_been_executed
        assert caught.value.idempotency_key == stub.seen[0].headers["idempotency-key"]
        assert len(stub.seen) == 1


async def test_a_key_that_fails_later_does_not_hide_what_was_sent() -> None:
    class Failing(GatedKey):
        def sign(self, data: bytes) -> bytes:
            if not self.may_sign.is_set():
                raise OverflowError(len(data))
            return data[:8]

    key = Failing()

    def reset(_: Seen) -> Reply:
        key.may_sign.clear()
        return RESET

    async with Stub(reset) as stub:
        async with RebalancingClient(
            with_key(stub, key), signing_threads=0, jitter=lambda _: 0.0
        ) as client:
            with pytest.raises(errors.OutcomeUnknownError) as caught:
                await client.trigger(accounts=[ACCOUNT])
        assert caught.value.may_have_been_executed
        assert isinstance(caught.value.__cause__, OverflowError)


async def test_a_session_that_fails_by_itself_does_not_hide_what_was_sent() -> None:
    async def fail(*_: object) -> None:
        raise OverflowError

    traces = aiohttp.TraceConfig()
    traces.on_request_end.append(fail)
    async with (
        Stub(lambda _: answer(EXECUTION_JSON)) as stub,
        aiohttp.ClientSession(trace_configs=[traces]) as session,
        stub.client() as other,
        stub.client(session=session) as client,
    ):
        client._connection._tokens._token = await other._connection._tokens.get()
        with pytest.raises(errors.OutcomeUnknownError, match="OverflowError") as caught:
            await client.trigger(accounts=[ACCOUNT])
        assert caught.value.may_have_been_executed
        assert caught.value.idempotency_key == stub.seen[0].headers["idempotency-key"]
        assert len(stub.seen) == 1


async def test_a_time_that_is_up_while_signing_is_up_before_anything_was_sent() -> None:
    key = GatedKey()
    async with Stub(lambda _: answer(EXECUTION_JSON)) as stub:
        async with RebalancingClient(
            with_key(stub, key),
            signing_threads=1,
            attempt_timeout=0.2,
            retry=RetryPolicy(max_attempts=1),
        ) as client:
            await client.authenticate()
            key.may_sign.clear()
            with pytest.raises(errors.NotSentError, match="up before it was sent"):
                await client.execution(EXECUTION)
            key.may_sign.set()
        assert not stub.seen


async def test_the_users_session_adds_no_digest_of_its_own() -> None:
    headers = {"content-digest": "sha-512=:AAAA:", "date": "Tue, 24 Nov 2026 00:00:00 GMT"}
    async with (
        Stub(lambda _: answer(EXECUTION_JSON)) as stub,
        aiohttp.ClientSession(headers=headers) as session,
        stub.client(session=session) as client,
    ):
        await client.execution(EXECUTION)
        (seen,) = stub.seen
        assert "content-digest" not in seen.headers
        assert '"date"' in seen.headers["signature-input"]


async def test_an_empty_body_has_no_digest() -> None:
    async with Stub(lambda _: answer({})) as stub, stub.client() as client:
        async with aiohttp.ClientSession(stub.url, middlewares=client.middlewares) as session:
            async with session.post("/elsewhere", data=b"") as response:
                assert response.status == 200
        (seen,) = stub.seen
        assert "content-digest" not in seen.headers
        assert "content-" not in seen.headers["signature-input"]
