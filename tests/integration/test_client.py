"""The client against the sandbox, over real sockets: everything that the specification has."""

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import aiohttp
import pytest

from tests.stub import ACCOUNT, EXECUTION, EXECUTION_JSON, TRIGGERED, Reply, Seen, Stub, answer
from upvest_rebalancing import errors
from upvest_rebalancing.client import RebalancingClient
from upvest_rebalancing.models import CancellationReason, OrderStatus
from upvest_rebalancing.protocol.endpoints import new_idempotency_key
from upvest_rebalancing.sandbox import Sandbox


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(order_seconds=0) as sandbox:
        yield sandbox


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[RebalancingClient]:
    async with RebalancingClient.from_env(None, environ=sandbox.environment()) as client:
        yield client


async def test_from_trigger_to_outcome(client: RebalancingClient) -> None:
    accounts = [uuid4() for _ in range(30)]
    triggered = await client.trigger(accounts=accounts)
    execution = await client.execution(triggered.id)
    assert execution.id == triggered.id
    assert set(execution.accounts or ()) == set(accounts)
    assert execution.request_id is not None
    orders = [order async for order in client.orders(execution.id, page_size=7)]
    assert {order.account_id for order in orders} == set(accounts)
    outcome = await client.wait(execution.id, timeout=60)
    assert outcome.is_final
    assert set(outcome.by_account) == set(accounts)
    assert outcome.by_status.total() == 30


async def test_allocations(sandbox: Sandbox, client: RebalancingClient) -> None:
    allocation, accounts = uuid4(), [uuid4(), uuid4()]
    sandbox.add_allocation(str(allocation), map(str, accounts))
    triggered = await client.trigger(allocations=[str(allocation)])
    execution = await client.execution(str(triggered.id))
    assert execution.allocations == (allocation,)
    orders = [order async for order in client.orders(triggered.id)]
    assert {order.account_id for order in orders} == set(accounts)


@pytest.mark.parametrize("reason", [r for r in CancellationReason if "STATUS" not in r])
async def test_every_reason(
    sandbox: Sandbox, client: RebalancingClient, reason: CancellationReason
) -> None:
    account = uuid4()
    sandbox.set_outcome(str(account), "CANCELLED", reason.value)
    triggered = await client.trigger(accounts=[account])
    (order,) = [order async for order in client.orders(triggered.id)]
    assert order.status is OrderStatus.CANCELLED
    assert order.cancellation_reason is reason
    assert order.cancellation_details


async def test_pages_and_total(client: RebalancingClient) -> None:
    triggered = await client.trigger(accounts=[uuid4() for _ in range(25)])
    walk = client.orders(triggered.id, page_size=10)
    assert await walk.total() == 25
    pages = [page async for page in walk.pages()]
    assert [len(page.data) for page in pages] == [10, 10, 5]
    assert [page.meta.offset for page in pages] == [0, 10, 20]
    assert pages[0].raw["meta"]["total_count"] == 25
    assert walk.verdict.complete


@pytest.mark.parametrize("zone", ["Z", "+00:00"])
async def test_dates_of_every_kind(client: RebalancingClient, zone: str) -> None:
    triggered = await client.trigger(accounts=[uuid4() for _ in range(3)])
    now = datetime.now(UTC)
    before, after = now - timedelta(days=2), now + timedelta(days=2)
    for start, end, expected in (
        (before, after, 3),
        (before.date(), after.date(), 3),
        (before.date().isoformat(), f"{after.date()}T00:00:00{zone}", 3),
        (after, None, 0),
        (None, date(2020, 1, 1), 0),
    ):
        walk = client.orders(
            triggered.id, start_date=start, end_date=end, sort="status", order="ASC"
        )
        assert len([order async for order in walk]) == expected
        assert walk.verdict.complete


async def test_the_same_key_is_the_same_execution(
    sandbox: Sandbox, client: RebalancingClient
) -> None:
    key, accounts = new_idempotency_key(), [uuid4()]
    first = await client.trigger(accounts=accounts, idempotency_key=key)
    second = await client.trigger(accounts=accounts, idempotency_key=UUID(key))
    assert first.id == second.id
    assert first.idempotency_key == second.idempotency_key == key
    assert sandbox.counters().triggers == 1
    with pytest.raises(errors.ConflictError) as caught:
        await client.trigger(accounts=[uuid4()], idempotency_key=key)
    assert caught.value.idempotency_key == key


async def test_what_is_not_there(client: RebalancingClient) -> None:
    with pytest.raises(errors.NotFoundError) as caught:
        await client.execution(uuid4())
    assert caught.value.request_id
    assert caught.value.type
    with pytest.raises(errors.NotFoundError):
        await client.orders(uuid4()).total()


async def test_bad_arguments_send_nothing(sandbox: Sandbox, client: RebalancingClient) -> None:
    with pytest.raises(errors.InvalidRequestError):
        await client.trigger(accounts=[uuid4()], allocations=[uuid4()])
    with pytest.raises(errors.InvalidRequestError, match="version 0 to 5"):
        await client.trigger(
            accounts=[uuid4()], idempotency_key="0195f1c2-7a3b-7def-8123-456789abcdef"
        )
    with pytest.raises(errors.InvalidRequestError, match="page_size is 0"):
        client.orders(EXECUTION, page_size=0)
    with pytest.raises(errors.InvalidRequestError, match="limit is 1001"):
        client.orders(EXECUTION, page_size=1001)
    assert sandbox.counters().tokens == 0


@pytest.mark.parametrize(
    "options",
    [
        {"concurrency": 0},
        {"attempt_timeout": -1},
        {"requests_per_second": 0},
        {"signature_lifetime": 0},
        {"max_answer_bytes": float("nan")},
    ],
)
async def test_bad_options(sandbox: Sandbox, options: dict[str, float]) -> None:
    (name,) = options
    with pytest.raises(errors.InvalidRequestError, match=name):
        RebalancingClient.from_env(None, environ=sandbox.environment(), **options)  # type: ignore[arg-type]


async def test_a_client_that_is_not_open(sandbox: Sandbox) -> None:
    client = RebalancingClient.from_env(None, environ=sandbox.environment())
    for call in (client.execution(uuid4()), client.authenticate()):
        with pytest.raises(errors.ClientClosedError, match="async with"):
            await call
    async with client:
        await client.trigger(accounts=[uuid4()])
    with pytest.raises(errors.ClientClosedError):
        await client.execution(uuid4())


async def test_many_tasks(sandbox: Sandbox, client: RebalancingClient) -> None:
    results = await asyncio.gather(*(client.trigger(accounts=[uuid4()]) for _ in range(200)))
    assert len({result.id for result in results}) == 200
    counters = sandbox.counters()
    assert (counters.triggers, counters.idempotency_keys, counters.tokens) == (200, 200, 1)
    assert client.statistics.calls == 201
    assert client.statistics.answers[200] >= 201


async def test_a_hundred_thousand_accounts_in_one_trigger(
    sandbox: Sandbox, client: RebalancingClient
) -> None:
    accounts = [uuid4() for _ in range(100_000)]
    triggered = await client.trigger(accounts=accounts)
    assert await client.orders(triggered.id).total() == 100_000
    assert sandbox.counters().triggers == 1


async def test_ed25519() -> None:
    async with Sandbox(key_type="ed25519", order_seconds=0) as sandbox:
        async with RebalancingClient.from_env(None, environ=sandbox.environment()) as client:
            await client.trigger(accounts=[uuid4()])
        assert sandbox.counters().triggers == 1


async def test_the_callers_session_is_used_and_stays_open(sandbox: Sandbox) -> None:
    connector = aiohttp.TCPConnector(limit=2)
    async with aiohttp.ClientSession(
        connector=connector, raise_for_status=True, headers={"X-Team": "treasury"}
    ) as session:
        async with RebalancingClient.from_env(
            None, environ=sandbox.environment(), session=session
        ) as client:
            await asyncio.gather(*(client.trigger(accounts=[uuid4()]) for _ in range(20)))
            with pytest.raises(errors.NotFoundError):
                await client.execution(uuid4())
        assert not session.closed
    with pytest.raises(errors.ClientClosedError):
        await client.execution(uuid4())


async def test_middlewares_on_a_session_of_the_users(sandbox: Sandbox) -> None:
    async with (
        RebalancingClient.from_env(None, environ=sandbox.environment()) as client,
        aiohttp.ClientSession(client.settings.base_url, middlewares=client.middlewares) as session,
    ):
        path = "/portfolios/rebalancings/executions"
        headers = {"idempotency-key": new_idempotency_key()}
        body = {"accounts": [str(uuid4())]}
        async with session.post(path, json=body, headers=headers) as response:
            execution_id = (await response.json())["id"]
        sandbox.revoke_tokens()
        target = f"{path}/{execution_id}/orders"
        parameters = {"start_date": "2020-01-01T00:00:00+02:00", "x": "ä b/ç", "y": ""}
        async with session.get(target, params=parameters) as response:
            assert response.status == 200, await response.text()
            assert (await response.json())["meta"]["total_count"] == 1
        async with session.get("/users/ä b", params={"q": "a:b+c"}) as response:
            # Signed well enough to learn that there is no such path, and not a 401.
            assert response.status == 404

        async def stream() -> AsyncIterator[bytes]:
            yield b'{"accounts": '
            yield f'["{uuid4()}"]}}'.encode()

        headers = {"idempotency-key": new_idempotency_key(), "content-type": "application/json"}
        async with session.post(path, data=stream(), headers=headers) as response:
            assert response.status == 200, await response.text()
        with pytest.raises(errors.InvalidRequestError, match="compressed"):
            await session.post(path, json=body, headers=headers, compress=True)


async def test_middlewares_leave_other_hosts_alone() -> None:
    async with (
        Stub([TRIGGERED]) as stub,
        Stub([answer(EXECUTION_JSON)]) as elsewhere,
        stub.client() as client,
        aiohttp.ClientSession(middlewares=client.middlewares) as session,
    ):
        async with session.get(f"{elsewhere.url}/x") as response:
            assert response.status == 200
        assert not {"authorization", "signature"} & set(elsewhere.seen[0].headers)
        assert not stub.tokens


async def test_a_redirect_takes_no_credentials_along() -> None:
    async with Stub([answer(EXECUTION_JSON)]) as elsewhere:
        redirect = answer(b"", 307, location=f"{elsewhere.url}/stolen")
        async with (
            Stub([redirect]) as stub,
            stub.client() as client,
            aiohttp.ClientSession(middlewares=client.middlewares) as session,
        ):
            async with session.get(f"{stub.url}/x") as response:
                assert response.status == 200
            (seen,) = elsewhere.seen
            assert "authorization" not in seen.headers


async def test_what_is_sent_is_what_the_specification_asks_for() -> None:
    async with Stub([TRIGGERED]) as stub, stub.client() as client:
        await client.trigger(accounts=[ACCOUNT])
        (seen,), (token,) = stub.seen, stub.tokens
    assert seen.headers["accept"] == "application/json"
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["upvest-api-version"] == "1"
    assert seen.headers["upvest-signature-version"] == "15"
    assert seen.headers["authorization"] == "Bearer stub-access-token"
    assert seen.headers["user-agent"].startswith("upvest-rebalancing/")
    assert "authorization" not in token.headers
    assert token.headers["content-type"] == "application/x-www-form-urlencoded"
    covered = seen.headers["signature-input"].split(")")[0]
    for name in ("authorization", "content-digest", "idempotency-key", "upvest-client-id"):
        assert f'"{name}"' in covered


async def test_no_secret_is_shown_anywhere(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    shown: list[str] = []
    signatures: set[str] = set()

    def reply(seen: Seen) -> Reply:
        signatures.add(seen.headers["signature"])
        # The worst of servers: it echoes all that it was sent.
        return answer({"detail": str(seen.headers)}, 400)

    async with (
        Stub(reply) as stub,
        stub.client(on_attempt=lambda e: shown.append(repr(e))) as client,
    ):
        for call in (client.trigger(accounts=[ACCOUNT]), client.execution(EXECUTION)):
            with pytest.raises(errors.BadRequestError) as caught:
                await call
            error = caught.value
            shown += [repr(error), str(error), error.body, str(error.detail), repr(vars(error))]
            shown += traceback.format_exception(error)
        connection = client._connection
        shown += [repr(value) for value in (client, client.settings, client.middlewares)]
        shown += [repr(connection.sender), repr(connection._tokens), repr(connection._signing)]
    out = capsys.readouterr()
    text = "\n".join([*shown, caplog.text, out.out, out.err])
    secrets = {"stub-client-secret", "stub-access-token", "PRIVATE KEY"}
    for secret in secrets | {s.removeprefix("sig1=:").removesuffix(":") for s in signatures}:
        assert secret not in text
