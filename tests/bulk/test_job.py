from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID, uuid5

import attrs
import pytest

from tests.bulk.strategies import EXECUTION, batch, order, outcome
from upvest_rebalancing.bulk.batches import BatchReport, Stage
from upvest_rebalancing.bulk.job import OUTAGE_PAUSE, BulkJob
from upvest_rebalancing.bulk.plan import Batch
from upvest_rebalancing.bulk.progress import Tally
from upvest_rebalancing.errors import (
    Attempt,
    AttemptOutcome,
    BadRequestError,
    ClientClosedError,
    ForbiddenError,
    InvalidAnswerError,
    InvalidRequestError,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    RequestError,
    ServiceUnavailableError,
    TokenError,
    TooManyRequestsError,
    WaitTimeoutError,
)
from upvest_rebalancing.events import AttemptEvent, AttemptFinished, AttemptStarted
from upvest_rebalancing.models import ExecutionOutcome, OrderStatus, TriggeredExecution

UNKNOWN = Attempt(1, 0, 1, AttemptOutcome.UNKNOWN)
NOT_SENT = Attempt(1, 0, 1, AttemptOutcome.NOT_SENT)
REFUSED = Attempt(2, 1, 1, AttemptOutcome.ANSWERED, status=400)
BUSY = Attempt(1, 0, 1, AttemptOutcome.ANSWERED, status=503)
FINE = Attempt(1, 0, 1, AttemptOutcome.ANSWERED, status=200)

Progress = Callable[[ExecutionOutcome], None] | None


def execution_of(key: str) -> UUID:
    return uuid5(EXECUTION, key)


async def _pass(_: str) -> None:
    await asyncio.sleep(0)


@attrs.define
class Client:
    """Answers as it is told to, key by key, and remembers what it was asked."""

    on_trigger: Callable[[str], Awaitable[None]] = _pass
    on_wait: Callable[[str], Awaitable[None]] = _pass
    orderless: frozenset[UUID] = frozenset()
    unlisted: int = 0
    triggered: list[tuple[str, tuple[UUID, ...]]] = attrs.field(factory=list)
    timeouts: list[float] = attrs.field(factory=list)
    running: int = 0
    most: int = 0

    async def trigger(
        self, *, accounts: Sequence[UUID], idempotency_key: str
    ) -> TriggeredExecution:
        self.running += 1
        self.most = max(self.most, self.running)
        self.triggered.append((idempotency_key, tuple(accounts)))
        try:
            await self.on_trigger(idempotency_key)
        except BaseException:
            self.running -= 1
            raise
        return TriggeredExecution(
            id=execution_of(idempotency_key), idempotency_key=idempotency_key, attempts=(FINE,)
        )

    async def wait(
        self, execution_id: UUID, *, timeout: float, on_progress: Progress
    ) -> ExecutionOutcome:
        self.timeouts.append(timeout)
        key, accounts = next(
            found for found in self.triggered if execution_of(found[0]) == execution_id
        )
        accounts = tuple(one for one in accounts if one not in self.orderless)
        try:
            if on_progress is not None:
                on_progress(self.reading(execution_id, accounts, OrderStatus.PROCESSING))
            await self.on_wait(key)
            final = self.reading(execution_id, accounts, OrderStatus.FILLED)
            final = attrs.evolve(final, expected=final.expected + self.unlisted)
            if on_progress is not None:
                on_progress(final)
            return final
        finally:
            self.running -= 1

    @staticmethod
    def reading(
        execution_id: UUID, accounts: Sequence[UUID], status: OrderStatus
    ) -> ExecutionOutcome:
        orders = [order(one, status, execution_id=execution_id) for one in accounts]
        return outcome(orders, execution_id=execution_id)


@attrs.define
class Clock:
    """A clock that goes on only while somebody waits."""

    now: float = 100.0
    slept: list[float] = attrs.field(factory=list)

    def __call__(self) -> float:
        return self.now

    async def advance(self, _: str) -> None:
        self.now += 1

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


def plan(*sizes: int) -> tuple[Batch, ...]:
    return tuple(batch(size, number) for number, size in enumerate(sizes, start=1))


def raising(**errors: Exception) -> Callable[[str], Awaitable[None]]:
    async def respond(key: str) -> None:
        await asyncio.sleep(0)
        if (error := errors.get(key.replace("-", "_"))) is not None:
            raise error

    return respond


def statuses(job: BulkJob) -> Counter[str]:
    return Counter(result.status for result in job.results())


def stages(job: BulkJob) -> list[Stage]:
    return [report.stage for report in job.reports()]


async def test_every_batch_is_triggered_once_with_its_own_key() -> None:
    client, batches = Client(), plan(3, 3, 1)
    clock = Clock()
    job = BulkJob(batches, timeout=30, clock=clock)
    client.on_wait = clock.advance
    await job.run(client)
    assert sorted(client.triggered) == [(one.idempotency_key, one.accounts) for one in batches]
    assert client.timeouts[0] == 30
    assert stages(job) == [Stage.DONE] * 3
    assert [result.account_id for result in job.results()] == [
        one for planned in batches for one in planned.accounts
    ]
    assert all(result.is_final and result.attempts == 1 for result in job.results())
    assert [report.execution_id for report in job.reports()] == [
        execution_of(one.idempotency_key) for one in batches
    ]
    assert job.seconds == 3.0


async def test_an_empty_plan_is_done_at_once() -> None:
    job = BulkJob(())
    await job.run(Client())
    assert not list(job.results())
    assert job.reports() == ()


@pytest.mark.parametrize("concurrency", [1, 2, 5])
async def test_no_more_batches_run_at_once_than_allowed(concurrency: int) -> None:
    client = Client()
    await BulkJob(plan(*[1] * 12), concurrency=concurrency).run(client)
    assert client.most == concurrency
    assert len(client.triggered) == 12


@pytest.mark.parametrize(
    "arguments", [{"concurrency": 0}, {"timeout": 0}, {"timeout": float("nan")}]
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(InvalidRequestError, match="would be right"):
        BulkJob((), **arguments)  # type: ignore[arg-type]


async def test_a_failed_trigger_is_told_from_one_with_an_unknown_outcome() -> None:
    client = Client(
        on_trigger=raising(
            key_1=OutcomeUnknownError("cut off", attempts=(UNKNOWN,)),
            key_2=BadRequestError("malformed", attempts=(NOT_SENT, REFUSED)),
            key_3=BadRequestError("malformed", attempts=(UNKNOWN, REFUSED)),
            key_4=ServiceUnavailableError("busy", attempts=(BUSY,)),
            key_5=InvalidRequestError("no UUID"),
            key_6=NotSentError("refused", attempts=(NOT_SENT,)),
        )
    )
    job = BulkJob(plan(1, 1, 1, 1, 1, 1, 1), concurrency=7, timeout=OUTAGE_PAUSE / 2)
    await job.run(client)
    rows = list(job.results())
    assert [row.status for row in rows] == [
        "UNKNOWN",
        "FAILED",
        "UNKNOWN",
        "UNKNOWN",
        "FAILED",
        "FAILED",
        "FILLED",
    ]
    for row, key in zip(rows, ["key-1", None, "key-3", "key-4", None, None, None], strict=True):
        assert row.is_final == (row.status == "FILLED")
        assert key is None or f"(idempotency key {key})" in str(row.error)
    assert [row.attempts for row in rows] == [1, 2, 2, 1, 0, 1, 1]
    assert str(rows[1].error) == "the trigger was not executed: malformed"
    assert str(rows[4].error) == "the trigger was not sent: no UUID"
    assert [report.error for report in job.reports()] == [row.error for row in rows]


async def test_orders_that_are_late_keep_their_last_status() -> None:
    late = batch(2)
    reading = outcome([order(late.accounts[0], OrderStatus.NEW)])
    client = Client(
        on_wait=raising(
            key_1=WaitTimeoutError("1 of 2 orders is missing", outcome=reading),
            key_2=WaitTimeoutError("nothing was read"),
            key_3=NotFoundError("no such execution", status=404),
        )
    )
    job = BulkJob(plan(2, 1, 1), timeout=7)
    await job.run(client)
    rows = list(job.results())
    assert [row.status for row in rows] == ["NEW", "TRIGGERED", "PROCESSING", "PROCESSING"]
    assert [row.error for row in rows] == [
        "not final after 7 s: 1 of 2 orders is missing",
        "not final after 7 s: 1 of 2 orders is missing",
        "not final after 7 s: nothing was read",
        "following the orders failed: no such execution",
    ]
    assert stages(job) == [Stage.UNFINISHED] * 3
    assert all(row.execution_id for row in rows)


@pytest.mark.parametrize(
    "error",
    [
        ServiceUnavailableError("busy", status=503),
        TooManyRequestsError("too many", status=429),
        NotSentError("no connection"),
        OutcomeUnknownError("cut off"),
        TokenError("no connection"),
        TokenError("busy", status=503),
    ],
)
async def test_following_outlasts_an_outage(error: RequestError) -> None:
    outage = iter([error, error])

    async def fail_twice(_: str) -> None:
        for one in outage:
            raise one

    client, clock = Client(on_wait=fail_twice), Clock()
    job = BulkJob(plan(2), timeout=60, clock=clock, sleep=clock.sleep)
    await job.run(client)
    assert stages(job) == [Stage.DONE]
    assert clock.slept == [OUTAGE_PAUSE] * 2
    assert client.timeouts == [60, 60 - OUTAGE_PAUSE, 60 - 2 * OUTAGE_PAUSE]
    assert len(client.triggered) == 1


async def test_an_outage_ends_following_with_the_time_it_has() -> None:
    client, clock = Client(on_wait=raising(key_1=NotSentError("no connection"))), Clock()
    job = BulkJob(plan(2), timeout=3.5 * OUTAGE_PAUSE, clock=clock, sleep=clock.sleep)
    await job.run(client)
    assert clock.slept == [OUTAGE_PAUSE] * 3
    assert stages(job) == [Stage.UNFINISHED]
    assert {row.error for row in job.results()} == {"following the orders failed: no connection"}


@pytest.mark.parametrize(
    "error",
    [
        NotFoundError("no such execution", status=404),
        ForbiddenError("no scope", status=403),
        TokenError("wrong secret", status=401),
        InvalidAnswerError("no JSON", status=200),
    ],
)
async def test_what_does_not_pass_ends_following_at_once(error: RequestError) -> None:
    clock = Clock()
    job = BulkJob(plan(2), clock=clock, sleep=clock.sleep)
    await job.run(Client(on_wait=raising(key_1=error)))
    assert not clock.slept
    assert stages(job) == [Stage.UNFINISHED]


async def test_an_account_without_an_order_is_not_final() -> None:
    planned = plan(3)
    job = BulkJob(planned)
    await job.run(Client(orderless=frozenset(planned[0].accounts[1:2])))
    rows = list(job.results())
    assert [row.status for row in rows] == ["FILLED", "TRIGGERED", "FILLED"]
    assert [row.error for row in rows] == [
        None,
        "the execution has no final order for this account",
        None,
    ]
    assert stages(job) == [Stage.UNFINISHED]


async def test_a_list_that_claims_more_than_it_shows_is_not_final() -> None:
    job = BulkJob(plan(2))
    await job.run(Client(unlisted=1))
    assert stages(job) == [Stage.UNFINISHED]
    (report,) = job.reports()
    assert "does not agree with its own total" in str(report.error)


async def test_cancellation_leaves_no_task_and_forgets_nothing() -> None:
    blocked: asyncio.Queue[str] = asyncio.Queue()

    def blocking(key_that_blocks: str) -> Callable[[str], Awaitable[None]]:
        async def respond(key: str) -> None:
            if key == key_that_blocks:
                blocked.put_nowait(key)
                await asyncio.Event().wait()

        return respond

    client = Client(on_trigger=blocking("key-2"), on_wait=blocking("key-3"))
    job = BulkJob(plan(1, 2, 3, 4), concurrency=2)
    task = asyncio.create_task(job.run(client))
    assert {await blocked.get(), await blocked.get()} == {"key-2", "key-3"}
    others = asyncio.all_tasks() - {asyncio.current_task(), task}
    assert len(others) == 2
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert all(other.done() for other in others)
    assert stages(job) == [Stage.DONE, Stage.UNKNOWN, Stage.UNFINISHED, Stage.PLANNED]
    assert statuses(job) == {"FILLED": 1, "UNKNOWN": 2, "PROCESSING": 3, "NOT_TRIGGERED": 4}
    rows = {row.status: row for row in job.results()}
    assert "it may have been executed (idempotency key key-2)" in str(rows["UNKNOWN"].error)
    assert rows["PROCESSING"].error == "the job ended while the orders were being followed"
    assert rows["NOT_TRIGGERED"].error == "the job ended before the trigger was sent"
    assert [sum(report.by_status.values()) for report in job.reports()] == [1, 2, 3, 4]


async def test_a_job_that_has_not_begun_says_so() -> None:
    job = BulkJob(plan(2))
    assert stages(job) == [Stage.PLANNED]
    assert [(row.status, row.is_final) for row in job.results()] == [("NOT_TRIGGERED", False)] * 2
    assert job.seconds == 0.0


async def test_what_is_no_failed_call_ends_the_job_and_is_not_hidden() -> None:
    client = Client(on_trigger=raising(key_1=ZeroDivisionError("a bug")))
    job = BulkJob(plan(1, 1, 1), concurrency=1)
    with pytest.raises(ExceptionGroup) as caught:
        await job.run(client)
    assert caught.group_contains(ZeroDivisionError)
    assert stages(job) == [Stage.UNKNOWN, Stage.PLANNED, Stage.PLANNED]


async def test_a_tally_always_adds_up() -> None:
    batches = plan(2, 3, 4, 1)
    tally = Tally(batches)
    assert tally.total == 10
    assert tally.by_status == {"NOT_TRIGGERED": 10}
    seen: list[tuple[Stage, dict[str, int], int]] = []

    def on_event(report: BatchReport) -> None:
        tally.add(report)
        assert sum(tally.by_status.values()) == tally.total
        seen.append((report.stage, tally.by_status, tally.settled))

    client = Client(
        on_trigger=raising(key_2=BadRequestError("refused", status=400)),
        on_wait=raising(key_3=WaitTimeoutError("late")),
    )
    await BulkJob(batches, concurrency=1, on_event=on_event).run(client)
    assert [(stage, settled) for stage, _, settled in seen] == [
        (Stage.TRIGGERING, 0),
        (Stage.FOLLOWING, 0),
        (Stage.FOLLOWING, 0),
        (Stage.FOLLOWING, 2),
        (Stage.DONE, 2),
        (Stage.TRIGGERING, 2),
        (Stage.FAILED, 5),
        (Stage.TRIGGERING, 5),
        (Stage.FOLLOWING, 5),
        (Stage.FOLLOWING, 5),
        (Stage.UNFINISHED, 9),
        (Stage.TRIGGERING, 9),
        (Stage.FOLLOWING, 9),
        (Stage.FOLLOWING, 9),
        (Stage.FOLLOWING, 10),
        (Stage.DONE, 10),
    ]
    assert tally.by_status == {"FILLED": 3, "FAILED": 3, "PROCESSING": 4}
    assert tally.settled == tally.total


@pytest.mark.parametrize(
    "error",
    [
        NotSentError("no connection", attempts=(NOT_SENT,)),
        OutcomeUnknownError("cut off", attempts=(UNKNOWN,)),
        ServiceUnavailableError("busy", status=503, attempts=(BUSY,)),
        TooManyRequestsError("too many", status=429),
        TokenError("busy", status=503),
    ],
)
async def test_a_passing_failure_is_tried_again_with_its_own_key(error: RequestError) -> None:
    outage = iter([error, error])

    async def fail_twice(_: str) -> None:
        for one in outage:
            raise one

    client, clock = Client(on_trigger=fail_twice), Clock()
    job = BulkJob(plan(1, 1), concurrency=1, timeout=60, clock=clock, sleep=clock.sleep)
    await job.run(client)
    assert [key for key, _ in client.triggered] == ["key-1"] * 3 + ["key-2"]
    assert clock.slept == [OUTAGE_PAUSE] * 2
    assert stages(job) == [Stage.DONE] * 2


@pytest.mark.parametrize("concurrency", [1, 2])
async def test_an_outage_burns_no_more_than_what_was_begun(concurrency: int) -> None:
    async def down(_: str) -> None:
        await asyncio.sleep(0)
        raise NotSentError("no connection", attempts=(NOT_SENT,))

    clock = Clock()
    job = BulkJob(
        plan(*[1] * 9), concurrency=concurrency, timeout=12, clock=clock, sleep=clock.sleep
    )
    await job.run(Client(on_trigger=down))
    planned = 9 - concurrency
    assert stages(job) == [Stage.FAILED] * concurrency + [Stage.PLANNED] * planned


async def test_a_closed_client_is_not_waited_for() -> None:
    clock = Clock()
    job = BulkJob(plan(1), clock=clock, sleep=clock.sleep)
    await job.run(Client(on_trigger=raising(key_1=ClientClosedError("closed"))))
    assert not clock.slept
    assert stages(job) == [Stage.FAILED]


@pytest.mark.parametrize(
    ("attempts", "stage"),
    [([NOT_SENT], Stage.PLANNED), ([NOT_SENT, UNKNOWN], Stage.UNKNOWN), ([None], Stage.UNKNOWN)],
)
async def test_an_interrupted_batch_knows_its_attempts(
    attempts: list[Attempt | None], stage: Stage
) -> None:
    job = BulkJob(plan(1))
    heard: list[AttemptEvent] = []
    hook = job.hook(heard.append)
    call = {"operation": "trigger", "method": "POST", "target": "/", "idempotency_key": "key-1"}

    async def cut_off(_: str) -> None:
        for number, attempt in enumerate(attempts, start=1):
            hook(AttemptStarted(number=number, **call))
            if attempt is not None:
                hook(AttemptFinished(attempt=attempt, **call))
        raise asyncio.CancelledError

    await job.run(Client(on_trigger=cut_off))
    (report,) = job.reports()
    assert (report.stage, report.attempts) == (stage, len(attempts))
    assert len(heard) == sum(1 if one is None else 2 for one in attempts)
