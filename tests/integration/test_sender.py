"""The retry loop, judged by what a server saw."""

import asyncio
import logging
import pickle

import attrs
import pytest

from tests.stub import (
    ACCOUNT,
    CLOSE,
    EXECUTION,
    EXECUTION_JSON,
    HANG,
    RESET,
    TRIGGERED,
    Reply,
    Stub,
    answer,
    token,
)
from upvest_rebalancing import errors
from upvest_rebalancing.client import RebalancingClient
from upvest_rebalancing.errors import AttemptOutcome, OutcomeUnknownError
from upvest_rebalancing.events import AttemptEvent, AttemptFinished, AttemptStarted
from upvest_rebalancing.protocol.retries import RetryBudget, RetryPolicy

TRUNCATED = attrs.evolve(TRIGGERED, data=TRIGGERED.data[:-5], then="close")


def nonces(stub: Stub) -> list[str]:
    return [seen.headers["signature-input"].split('nonce="')[1].split('"')[0] for seen in stub.seen]


@pytest.mark.parametrize(
    "failure",
    [
        *(answer(b"", status) for status in (429, 500, 502, 503, 504)),
        CLOSE,
        RESET,
        TRUNCATED,
        Reply(b"not http at all\r\n\r\n", "close"),
    ],
    ids=["429", "500", "502", "503", "504", "close", "reset", "truncated", "garbage"],
)
async def test_a_trigger_is_sent_again_with_its_key_and_a_new_signature(failure: Reply) -> None:
    async with Stub([failure, failure, TRIGGERED]) as stub, stub.client() as client:
        triggered = await client.trigger(accounts=[ACCOUNT])
        assert triggered.id == EXECUTION
        assert [seen.headers["idempotency-key"] for seen in stub.seen] == [
            triggered.idempotency_key
        ] * 3
        assert len(set(nonces(stub))) == 3
        assert len({seen.body for seen in stub.seen}) == 1
        assert [attempt.number for attempt in triggered.attempts] == [1, 2, 3]
        assert triggered.attempts[-1].error is None
        assert client.statistics.retries == 2
        assert client.statistics.tokens == 1


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [(CLOSE, OutcomeUnknownError), (RESET, OutcomeUnknownError), (TRUNCATED, OutcomeUnknownError)],
    ids=["close", "reset", "truncated"],
)
async def test_no_complete_answer_is_an_unknown_outcome(
    failure: Reply, outcome: type[errors.RequestError]
) -> None:
    async with Stub([failure]) as stub, stub.client() as client:
        with pytest.raises(outcome) as caught:
            await client.trigger(
                accounts=[ACCOUNT], idempotency_key=str(EXECUTION).replace("7", "1")
            )
        error = caught.value
        assert error.may_have_been_executed
        assert str(error.idempotency_key) in str(error)
        assert error.operation == "trigger"
        assert len(error.attempts) == len(stub.seen) == 3
        assert {a.outcome for a in error.attempts} == {AttemptOutcome.UNKNOWN}
        assert "3 of 3 attempts" in str(error.reason)
        again = pickle.loads(pickle.dumps(error))
        assert again.attempts == error.attempts


async def test_a_server_that_hangs_costs_one_attempt_timeout() -> None:
    async with Stub([HANG, TRIGGERED]) as stub, stub.client(attempt_timeout=1.5) as client:
        triggered = await client.trigger(accounts=[ACCOUNT])
        assert triggered.attempts[0].outcome is AttemptOutcome.UNKNOWN
        assert "in time" in str(triggered.attempts[0].error)


async def test_without_a_token_nothing_was_sent() -> None:
    async with Stub([TRIGGERED]) as stub:
        settings = stub.settings()
    retry = RetryPolicy(max_attempts=2)
    async with RebalancingClient(settings, retry=retry, jitter=lambda _: 0.0) as client:
        with pytest.raises(errors.TokenError, match="no connection") as caught:
            await client.trigger(accounts=[ACCOUNT])
    assert isinstance(caught.value, errors.NotSentError)
    assert not caught.value.may_have_been_executed
    assert caught.value.operation == "trigger"
    assert caught.value.idempotency_key is not None


async def test_connections_that_are_refused_were_never_sent() -> None:
    # Closed connections are not pooled, so that the next call needs a new one.
    last = attrs.evolve(answer(EXECUTION_JSON, connection="close"), then="close")
    granted = {"access_token": "t", "expires_in": 1799}
    first = attrs.evolve(answer(granted, connection="close"), then="close")
    async with Stub([last], [first]) as stub, stub.client() as client:
        await client.execution(EXECUTION)
        stub._server.close()
        await stub._server.wait_closed()
        with pytest.raises(errors.RequestError) as caught:
            await client.trigger(accounts=[ACCOUNT])
        error = caught.value
        assert type(error) is errors.NotSentError
        assert "no connection" in str(error)
        assert not error.may_have_been_executed
        assert {a.outcome for a in error.attempts} == {AttemptOutcome.NOT_SENT}


async def test_an_earlier_attempt_may_have_been_executed_although_the_last_was_refused() -> None:
    replies = [CLOSE, answer({"type": "bad_request"}, 400)]
    async with Stub(replies) as stub, stub.client() as client:
        with pytest.raises(errors.BadRequestError) as caught:
            await client.trigger(accounts=[ACCOUNT])
        assert caught.value.may_have_been_executed


@pytest.mark.parametrize("status", sorted(errors.STATUS_ERRORS))
async def test_every_documented_status_has_its_class(status: int) -> None:
    problem = {"type": "t", "status": status, "detail": "d", "request_id": "r"}
    async with Stub([answer(problem, status)]) as stub, stub.client() as client:
        with pytest.raises(errors.STATUS_ERRORS[status]) as caught:
            await client.execution(EXECUTION)
        assert type(caught.value) is errors.STATUS_ERRORS[status]
        assert caught.value.status == status
        assert caught.value.request_id == "r"
        assert caught.value.path.endswith(str(EXECUTION))
        retried = {429, 500, 502, 503, 504}
        assert len(caught.value.attempts) == (3 if status in retried else 1 + (status == 401))


async def test_retry_after_is_a_floor() -> None:
    replies = [answer(b"", 503, retry_after="0.2"), TRIGGERED]
    async with Stub(replies) as stub, stub.client() as client:
        triggered = await client.trigger(accounts=[ACCOUNT])
    first, second = triggered.attempts
    assert first.retry_after == 0.2
    assert first.wait == 0.2
    assert second.started - (first.started + first.duration) >= 0.19


async def test_retry_after_beyond_the_limit_is_an_error() -> None:
    replies = [answer(b"", 429, retry_after="3600"), TRIGGERED]
    async with Stub(replies) as stub, stub.client() as client:
        with pytest.raises(errors.TooManyRequestsError) as caught:
            await client.trigger(accounts=[ACCOUNT])
        assert "3600 s" in str(caught.value.reason)
        assert caught.value.retry_after == 3600
        assert len(stub.seen) == 1


async def test_the_budget_ends_retries_for_the_whole_client() -> None:
    budget = RetryBudget(capacity=3, refund=0.0)
    retry = RetryPolicy(max_attempts=3)
    async with (
        Stub([answer(b"", 500)]) as stub,
        stub.client(retry_budget=budget, retry=retry) as client,
    ):
        reasons = []
        for expected in (3, 2, 1, 1):
            with pytest.raises(errors.InternalServerError) as caught:
                await client.execution(EXECUTION)
            assert len(caught.value.attempts) == expected
            reasons.append(str(caught.value.reason))
        assert "budget" in reasons[-1]


async def test_the_deadline_ends_an_attempt() -> None:
    retry = RetryPolicy(max_attempts=100, deadline=2.0)
    async with Stub([HANG]) as stub, stub.client(retry=retry) as client:
        with pytest.raises(errors.OutcomeUnknownError) as caught:
            await client.trigger(accounts=[ACCOUNT])
        assert len(caught.value.attempts) == 1
        assert "deadline" in str(caught.value.reason)


async def test_the_deadline_ends_the_wait_for_a_token() -> None:
    retry = RetryPolicy(max_attempts=2, deadline=2.0)
    async with Stub([TRIGGERED], tokens=[HANG]) as stub, stub.client(retry=retry) as client:
        with pytest.raises(errors.NotSentError) as caught:
            await client.trigger(accounts=[ACCOUNT])
        assert not caught.value.may_have_been_executed
        assert not stub.seen


async def test_the_deadline_ends_the_wait_for_a_place() -> None:
    retry = RetryPolicy(max_attempts=2, deadline=2.0)
    async with Stub([HANG]) as stub, stub.client(concurrency=1, retry=retry) as client:
        results = await asyncio.gather(
            *(client.trigger(accounts=[ACCOUNT]) for _ in range(2)), return_exceptions=True
        )
        assert len(stub.seen) == 1
    kinds = {type(result) for result in results}
    assert kinds == {errors.OutcomeUnknownError, errors.DeadlineExceededError}


async def test_a_client_never_sends_more_at_once_than_it_has_places() -> None:
    async with Stub([HANG]) as stub, stub.client(concurrency=3, attempt_timeout=1.5) as client:
        tasks = [asyncio.create_task(client.execution(EXECUTION)) for _ in range(10)]
        while len(stub.seen) < 3:
            await stub.arrived.wait()
            stub.arrived.clear()
        assert len(stub.seen) == 3
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_the_hook_is_told_before_and_after() -> None:
    events: list[AttemptEvent] = []
    replies = [answer(b"", 503), TRIGGERED]
    async with Stub(replies) as stub, stub.client(on_attempt=events.append) as client:
        triggered = await client.trigger(accounts=[ACCOUNT])
    of_trigger = [event for event in events if event.operation == "trigger"]
    assert [type(event) for event in of_trigger] == [AttemptStarted, AttemptFinished] * 2
    assert {event.idempotency_key for event in of_trigger} == {triggered.idempotency_key}
    first, _, third, last = of_trigger
    assert isinstance(first, AttemptStarted)
    assert isinstance(third, AttemptStarted)
    assert isinstance(last, AttemptFinished)
    assert (first.number, third.number) == (1, 2)
    assert last.attempt == triggered.attempts[1]
    assert {event.operation for event in events} == {"trigger", "token"}
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        first.number = 5  # type: ignore[misc]


async def test_a_hook_that_fails_before_keeps_the_trigger_from_being_sent() -> None:
    def refuse(event: AttemptEvent) -> None:
        if event.operation == "trigger":
            raise OSError("the store is full")

    async with Stub([TRIGGERED]) as stub, stub.client(on_attempt=refuse) as client:
        with pytest.raises(OSError, match="the store is full"):
            await client.trigger(accounts=[ACCOUNT])
        assert not stub.seen


async def test_a_hook_that_fails_after_does_not_lose_the_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(event: AttemptEvent) -> None:
        if isinstance(event, AttemptFinished):
            raise RuntimeError("no metric")

    async with Stub([TRIGGERED]) as stub, stub.client(on_attempt=fail) as client:
        assert (await client.trigger(accounts=[ACCOUNT])).id == EXECUTION
    assert "the hook failed" in caplog.text


async def test_a_cancelled_trigger_is_reported_with_its_key() -> None:
    events: list[AttemptEvent] = []
    async with Stub([HANG]) as stub, stub.client(on_attempt=events.append) as client:
        task = asyncio.create_task(client.trigger(accounts=[ACCOUNT]))
        while not stub.seen:
            await stub.arrived.wait()
            stub.arrived.clear()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        last = events[-1]
        assert isinstance(last, AttemptFinished)
        assert last.attempt.outcome is AttemptOutcome.UNKNOWN
        assert last.attempt.error == "cancelled"
        assert last.idempotency_key == stub.seen[0].headers["idempotency-key"]


async def test_an_unreadable_success_is_an_answer_that_may_have_done_its_work() -> None:
    async with Stub([answer(b'{"id": ', 200)]) as stub, stub.client() as client:
        with pytest.raises(errors.InvalidAnswerError) as caught:
            await client.trigger(accounts=[ACCOUNT])
        assert caught.value.may_have_been_executed
        assert caught.value.idempotency_key == stub.seen[0].headers["idempotency-key"]


async def test_attempts_are_logged_without_credentials(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with Stub([TRIGGERED]) as stub, stub.client() as client:
        await client.trigger(accounts=[ACCOUNT])
        signature = stub.seen[0].headers["signature"]
    assert "POST /portfolios/rebalancings/executions attempt 1: HTTP 200" in caplog.text
    for secret in ("stub-access-token", "stub-client-secret", signature):
        assert secret not in caplog.text


async def test_a_token_is_renewed_once_after_a_401() -> None:
    replies = [answer(b"", 401), TRIGGERED]
    tokens = [token(), token(access_token="second")]
    async with Stub(replies, tokens) as stub, stub.client() as client:
        await client.trigger(accounts=[ACCOUNT])
        bearers = [seen.headers["authorization"] for seen in stub.seen]
    assert bearers == ["Bearer stub-access-token", "Bearer second"]
    assert len(stub.tokens) == 2
