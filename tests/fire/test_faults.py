"""A thousand triggers under every fault: nothing lost, nothing twice, nothing stuck.

Judged by the sandbox's counters, not by the client's word.
"""

import asyncio
import gc
from uuid import uuid4

import aiohttp
import attrs
import pytest

from tests.fire.scale import SCALE
from upvest_rebalancing import errors
from upvest_rebalancing.client import RebalancingClient
from upvest_rebalancing.errors import AttemptOutcome
from upvest_rebalancing.models import TriggeredExecution
from upvest_rebalancing.protocol.retries import RetryBudget, RetryPolicy
from upvest_rebalancing.sandbox import Fault, FaultKind, Sandbox

TRIGGERS, TASKS = 1000 * SCALE, 50
NEVER: tuple[type[errors.RequestError], ...] = ()


@attrs.frozen
class Ordeal:
    """A fault on triggers, and how a call may end under it.

    Attributes:
        fault: The fault.
        ends: The errors that a call may end in; empty where every call must succeed.
    """

    fault: Fault
    ends: tuple[type[errors.RequestError], ...] = NEVER

    def __str__(self) -> str:
        parts = [self.fault.kind.value, str(self.fault.value), str(self.fault.retry_after)]
        return "-".join(part for part in parts if part not in {"0", "None"})


def error(value: int, after_work: bool = False, **more: object) -> Ordeal:
    kind = FaultKind.ERROR_AFTER_WORK if after_work else FaultKind.ERROR
    # A client that meets 429 and 503 slows down as a whole, so that they are counted, not drawn.
    often = {"count": 25} if value in {429, 503} else {"probability": 0.3}
    return Ordeal(Fault(kind, route="trigger", value=value, **(often | more)))  # type: ignore[arg-type]


def fault(kind: FaultKind, *ends: type[errors.RequestError], **more: object) -> Ordeal:
    values = {"probability": 0.3} | more
    return Ordeal(Fault(kind, route="trigger", **values), ends)  # type: ignore[arg-type]


ORDEALS = [
    *(error(value, after) for value in (429, 500, 502, 503, 504) for after in (False, True)),
    *(error(429, retry_after=text) for text in ("0.1", "date", "nonsense", "-1", "inf")),
    *(error(value) for value in (400, 403, 404, 409, 422)),
    fault(FaultKind.HTML_ERROR),
    fault(FaultKind.HTML_ERROR, errors.InvalidAnswerError, value=200),
    fault(FaultKind.EMPTY_ERROR),
    fault(FaultKind.EMPTY_ERROR, errors.InvalidAnswerError, value=200),
    fault(FaultKind.REDIRECT, errors.RedirectError),
    fault(FaultKind.RESET),
    fault(FaultKind.RESET_AFTER_WORK),
    fault(FaultKind.DISCONNECT),
    fault(FaultKind.DISCONNECT_AFTER_WORK),
    fault(FaultKind.HANG, count=20),
    fault(FaultKind.HANG_AFTER_WORK, count=20),
    fault(FaultKind.TRUNCATED),
    fault(FaultKind.TRUNCATED_CHUNKS),
    fault(FaultKind.SLOW, seconds=0.05, value=5),
    fault(FaultKind.WRONG_CONTENT_TYPE, errors.InvalidAnswerError),
    fault(FaultKind.CUT_JSON, errors.InvalidAnswerError),
    fault(FaultKind.GZIP),
    fault(FaultKind.GZIP_BOMB, errors.AnswerTooLargeError, value=2**20, count=20),
    fault(FaultKind.UNKNOWN_FIELDS),
    Ordeal(Fault(FaultKind.REVOKE_TOKENS, every=400)),
    Ordeal(Fault(FaultKind.SHORT_TOKEN, seconds=1.0)),
    *(
        Ordeal(Fault(kind, route="token", count=3, value=value))
        for kind, value in ((FaultKind.ERROR, 503), (FaultKind.HTML_ERROR, 502))
    ),
    *(
        Ordeal(Fault(kind, route="token", count=3))
        for kind in (FaultKind.RESET, FaultKind.TRUNCATED)
    ),
]


def ends(ordeal: Ordeal) -> tuple[type[errors.RequestError], ...]:
    fault = ordeal.fault
    is_final = fault.kind is FaultKind.ERROR and 400 <= fault.value < 500 and fault.value != 429
    return (errors.error_class(fault.value),) if is_final else ordeal.ends


@pytest.mark.parametrize("ordeal", ORDEALS, ids=str)
async def test_every_trigger_is_done_exactly_once(ordeal: Ordeal) -> None:
    results: list[TriggeredExecution | errors.RequestError] = []
    async with (
        Sandbox(
            key_type="ed25519", rate_limit=None, order_seconds=0, faults=(ordeal.fault,)
        ) as sandbox,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=TASKS)) as session,
        RebalancingClient.from_env(
            None,
            environ=sandbox.environment(),
            session=session,
            attempt_timeout=3.0,
            concurrency=TASKS,
            max_answer_bytes=2**18,
            retry=RetryPolicy(max_attempts=30, base=0.001, cap=0.05),
            retry_budget=RetryBudget(capacity=10_000),
        ) as client,
    ):
        left = iter(range(TRIGGERS))

        async def work() -> None:
            for _ in left:
                try:
                    results.append(await client.trigger(accounts=[uuid4()]))
                except errors.RequestError as error:
                    results.append(error)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(TASKS):
                tasks.create_task(work())
        counters = sandbox.counters()
        connector = session.connector
        assert connector is not None
        assert not connector._acquired
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert not [task for task in others if task.get_name() == "upvest token"]

    assert len(results) == TRIGGERS
    done = {r.idempotency_key for r in results if isinstance(r, TriggeredExecution)}
    failed = [r for r in results if isinstance(r, errors.RequestError)]
    maybe = {e.idempotency_key for e in failed if e.may_have_been_executed}
    assert {type(error) for error in failed} <= set(ends(ordeal)), failed[:1]
    assert bool(failed) == bool(ends(ordeal))
    # Every key is a trigger of its own, and none was done twice or under another key.
    assert len({r.idempotency_key for r in results}) == TRIGGERS
    assert len(done) <= counters.triggers <= len(done | maybe)
    assert counters.idempotency_keys <= TRIGGERS
    assert len({r.id for r in results if isinstance(r, TriggeredExecution)}) == len(done)
    for failure in failed:
        assert failure.attempts
        assert failure.attempts[-1].outcome is AttemptOutcome.ANSWERED
    gc.collect()


async def test_a_server_that_refuses_all_is_not_flooded() -> None:
    """An outage is not amplified: the budget keeps retries to a burst and a share."""
    refuse = Fault(FaultKind.ERROR, route="trigger", value=500)
    async with (
        Sandbox(key_type="ed25519", rate_limit=None, faults=(refuse,)) as sandbox,
        RebalancingClient.from_env(
            None,
            environ=sandbox.environment(),
            retry=RetryPolicy(max_attempts=5, base=0.001, cap=0.001),
            retry_budget=RetryBudget(capacity=100),
        ) as client,
    ):
        results = await asyncio.gather(
            *(client.trigger(accounts=[uuid4()]) for _ in range(500)), return_exceptions=True
        )
        assert {type(result) for result in results} == {errors.InternalServerError}
        assert client.statistics.retries == 100
        assert sandbox.counters().triggers == 0
