"""The job with the real client, over sockets, against a sandbox."""

from __future__ import annotations

import asyncio

import pytest

from tests.bulk.strategies import account
from upvest_rebalancing.bulk.batches import BatchReport, Stage
from upvest_rebalancing.bulk.job import BulkJob
from upvest_rebalancing.bulk.plan import plan_batches
from upvest_rebalancing.bulk.progress import Tally
from upvest_rebalancing.client import RebalancingClient
from upvest_rebalancing.errors import TokenError
from upvest_rebalancing.protocol.endpoints import new_idempotency_key
from upvest_rebalancing.protocol.retries import RetryBudget, RetryPolicy
from upvest_rebalancing.sandbox import Sandbox
from upvest_rebalancing.settings import Settings

ACCOUNTS = [account(number) for number in range(1, 61)]
BATCHES = plan_batches(ACCOUNTS, batch_size=10, new_key=new_idempotency_key)


def client_of(sandbox: Sandbox, **overrides: str) -> RebalancingClient:
    settings = Settings.from_env(None, environ=sandbox.environment() | overrides)
    return RebalancingClient(
        settings,
        requests_per_second=None,
        retry=RetryPolicy(base=0.01, max_attempts=50),
        retry_budget=RetryBudget(capacity=10_000),
    )


async def test_every_account_gets_its_own_order() -> None:
    async with (
        Sandbox(key_type="ed25519", cancelled_share=0, moves_per_read=7) as sandbox,
        client_of(sandbox) as client,
    ):
        sandbox.set_outcome(str(ACCOUNTS[3]), "CANCELLED", "PORTFOLIO_IS_BALANCED")
        tally = Tally(BATCHES)
        job = BulkJob(BATCHES, concurrency=3, on_event=tally.add)
        await job.run(client)
        rows = {row.account_id: row for row in job.results()}
        executions = [report.execution_id for report in job.reports()]
        assert list(rows) == ACCOUNTS
        assert len(set(executions)) == len(BATCHES)
        for report in job.reports():
            assert report.execution_id is not None
            execution = await client.execution(report.execution_id)
            assert set(execution.accounts or ()) == set(report.batch.accounts)
        assert all(row.is_final for row in rows.values())
        assert rows[ACCOUNTS[3]].cancellation_reason == "PORTFOLIO_IS_BALANCED"
        assert tally.by_status == {"FILLED": 59, "CANCELLED": 1}
        assert tally.settled == 60


async def test_a_server_at_its_limit_is_asked_again_and_triggers_each_batch_once() -> None:
    async with (
        Sandbox(
            key_type="ed25519", order_seconds=0, rate_limit=40, rate_limit_kind="bucket"
        ) as sandbox,
        client_of(sandbox) as client,
    ):
        plan = plan_batches(ACCOUNTS, batch_size=1, new_key=new_idempotency_key)
        job = BulkJob(plan, concurrency=60)
        await job.run(client)
        assert all(row.is_final for row in job.results())
        counters = sandbox.counters()
        assert counters.answers[429] > 0
        assert client.statistics.retries >= counters.answers[429]
        assert counters.triggers == counters.idempotency_keys == len(plan)


async def test_credentials_that_are_refused_fail_every_batch_and_trigger_none() -> None:
    async with (
        Sandbox(key_type="ed25519") as sandbox,
        client_of(sandbox, UPVEST_API_CLIENT_SECRET="wrong") as client,
    ):
        with pytest.raises(TokenError):
            await client.authenticate()
        job = BulkJob(BATCHES)
        await job.run(client)
        assert {report.stage for report in job.reports()} == {Stage.FAILED}
        assert {row.status for row in job.results()} == {"FAILED"}
        assert sandbox.counters().triggers == 0


async def test_cancelling_a_job_leaves_no_task_and_knows_every_execution() -> None:
    followed = asyncio.Event()

    def on_event(report: BatchReport) -> None:
        if report.stage is Stage.FOLLOWING and "NEW" in report.by_status:
            followed.set()

    async with (
        Sandbox(key_type="ed25519", order_seconds=10_000) as sandbox,
        client_of(sandbox) as client,
    ):
        before = asyncio.all_tasks()
        job = BulkJob(BATCHES, concurrency=2, on_event=on_event)
        task = asyncio.create_task(job.run(client))
        await followed.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0)
        leftover = {one for one in asyncio.all_tasks() - before if "bulk" in repr(one)}
        assert not leftover
        reports = job.reports()
        known = [report for report in reports if report.execution_id is not None]
        assert known
        assert all(report.stage is Stage.UNFINISHED for report in known)
        assert [report.stage for report in reports[2:]] == [Stage.PLANNED] * 4
        assert sandbox.counters().triggers <= 2
