from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from tests.bulk.strategies import account
from tests.cli.support import Served, invoke
from upvest_rebalancing.client import RebalancingClient
from upvest_rebalancing.errors import Attempt, AttemptOutcome, OutcomeUnknownError

A, B = str(account(1)), str(account(2))
KEY = "ccb07f42-4104-44ad-8e1f-c660bb7b269c"
Serve = Callable[..., Served]


def test_a_trigger_prints_its_id_and_its_key(serve: Serve) -> None:
    served = serve()
    ended = invoke(
        "trigger", "--account", A, "--account", B, "--idempotency-key", KEY, *served.options
    )
    assert ended.status == 0, ended
    execution, key = ended.out.splitlines()
    assert str(UUID(execution.split()[-1])) in execution
    assert key.split() == ["idempotency", "key", KEY]
    assert served.sandbox.counters().triggers == 1


def test_the_same_key_is_the_same_execution(serve: Serve) -> None:
    served = serve()
    args = ("trigger", "--account", A, "--idempotency-key", KEY, "--json", *served.options)
    first, second = invoke(*args), invoke(*args)
    assert first.document["id"] == second.document["id"]
    assert first.document["idempotency_key"] == KEY
    assert first.document["attempts"] == 1
    assert served.sandbox.counters().triggers == 1


def test_every_trigger_has_a_key_of_its_own(serve: Serve) -> None:
    served = serve()
    args = ("trigger", "--account", A, "--json", *served.options)
    keys = {invoke(*args).document["idempotency_key"] for _ in range(3)}
    assert len(keys) == 3


def test_accounts_may_come_from_a_file_and_repeats_are_sent_once(serve: Serve) -> None:
    served = serve()
    args = ("trigger", "--account", A, "--accounts-file", "-", "--json", *served.options)
    ended = invoke(*args, stdin=f"{A}\n{B}\n")
    assert ended.status == 0, ended
    assert "1 repeated; each is sent once" in ended.err
    shown = invoke("execution", ended.document["id"], "--json", *served.options)
    assert shown.document["accounts"] == [A, B]


@pytest.mark.parametrize("form", ["text", "json"])
def test_wait_follows_the_orders(serve: Serve, form: str) -> None:
    served = serve(cancelled_share=0)
    as_json = ["--json"] if form == "json" else []
    ended = invoke("trigger", "--account", A, "--wait", *as_json, *served.options)
    assert ended.status == 0, ended
    if form == "json":
        assert ended.document["final"] is True
        assert ended.document["by_status"] == {"FILLED": 1}
    else:
        assert ["FILLED", "1"] in [line.split() for line in ended.out.splitlines()]


def test_orders_that_are_late_make_the_status_1(serve: Serve) -> None:
    served = serve(order_seconds=10_000)
    args = ("trigger", "--account", A, "--wait", "--timeout", "0.2", "--json", *served.options)
    ended = invoke(*args)
    assert ended.status == 1, ended
    assert ended.document["final"] is False
    assert "not every order was final after 0.2 s" in ended.err


def test_allocations_can_be_triggered(serve: Serve) -> None:
    served = serve()
    served.sandbox.add_allocation(KEY, [A, B])
    ended = invoke("trigger", "--allocation", KEY, "--json", *served.options)
    assert ended.status == 0, ended
    shown = invoke("execution", ended.document["id"], "--json", *served.options)
    assert shown.document["allocations"] == [KEY]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "give either accounts"),
        (["--account", A, "--allocation", B], "give either accounts"),
        (["--account", "nonsense"], "--account is 'nonsense'"),
        (["--allocation", "nonsense"], "--allocation is 'nonsense'"),
        (["--accounts-file", "missing.csv"], "missing.csv"),
        (["--account", A, "--idempotency-key", "nonsense"], "idempotency_key 'nonsense'"),
    ],
)
def test_wrong_input_is_named_and_ends_with_2(serve: Serve, args: list[str], said: str) -> None:
    served = serve()
    ended = invoke("trigger", *args, *served.options)
    assert ended.status == 2, ended
    assert said in ended.err
    assert not served.sandbox.counters().answers


def test_an_unknown_outcome_is_said_with_its_key(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def trigger(self: RebalancingClient, **given: Any) -> Any:
        raise OutcomeUnknownError(
            "cut off",
            attempts=(Attempt(1, 0, 1, AttemptOutcome.UNKNOWN),),
            idempotency_key=given["idempotency_key"],
            request_id="support-knows-this",
        )

    monkeypatch.setattr(RebalancingClient, "trigger", trigger)
    ended = invoke("trigger", "--account", A, "--idempotency-key", KEY, *serve().options)
    assert ended.status == 1, ended
    assert "cut off" in ended.err
    assert f"the call may have been executed; idempotency key: {KEY}" in ended.err
    assert "request id: support-knows-this" in ended.err


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_signal_leaves_the_key_behind(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    async def trigger(self: RebalancingClient, **given: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.Event().wait()

    monkeypatch.setattr(RebalancingClient, "trigger", trigger)
    as_json = ["--json"] if form == "json" else []
    args = ("trigger", "--account", A, "--idempotency-key", KEY, *as_json, *serve().options)
    ended = invoke(*args)
    assert ended.status == 130, ended
    assert "interrupted" in ended.err
    if form == "json":
        assert ended.document["id"] is None
        assert ended.document["idempotency_key"] == KEY
    else:
        assert "unknown: it may have been triggered" in ended.out
        assert KEY in ended.out


def test_a_signal_while_waiting_leaves_the_execution_behind(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = RebalancingClient.wait

    async def wait(self: RebalancingClient, *args: Any, **given: Any) -> Any:
        report = given.pop("on_progress")

        def read(outcome: Any) -> None:
            report(outcome)
            os.kill(os.getpid(), signal.SIGTERM)

        return await original(self, *args, on_progress=read, **given)

    monkeypatch.setattr(RebalancingClient, "wait", wait)
    served = serve(order_seconds=10_000)
    ended = invoke("trigger", "--account", A, "--wait", "--json", *served.options)
    assert ended.status == 143, ended
    assert str(UUID(ended.document["id"])) == ended.document["id"]
    assert ended.document["final"] is False
    assert sum(ended.document["by_status"].values()) == 1


def test_a_failure_while_waiting_leaves_the_execution_behind(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def wait(self: RebalancingClient, *args: Any, **given: Any) -> Any:
        raise OutcomeUnknownError("following broke")

    monkeypatch.setattr(RebalancingClient, "wait", wait)
    ended = invoke("trigger", "--account", A, "--wait", "--json", *serve().options)
    assert ended.status == 1, ended
    assert ended.document["outcome"] == "triggered"
    assert str(UUID(ended.document["id"])) == ended.document["id"]
    assert "following broke" in ended.err


@pytest.mark.parametrize(
    ("outcome", "said"),
    [(AttemptOutcome.UNKNOWN, "unknown"), (AttemptOutcome.NOT_SENT, "not_executed")],
)
def test_a_failed_trigger_has_its_document(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, outcome: AttemptOutcome, said: str
) -> None:
    async def trigger(self: RebalancingClient, **given: Any) -> Any:
        raise OutcomeUnknownError("cut off", attempts=(Attempt(1, 0, 1, outcome),) * 2)

    monkeypatch.setattr(RebalancingClient, "trigger", trigger)
    args = ("trigger", "--account", A, "--idempotency-key", KEY, "--json", *serve().options)
    ended = invoke(*args)
    assert ended.status == 1, ended
    assert ended.document["outcome"] == said
    assert ended.document["attempts"] == 2
    assert ended.document["idempotency_key"] == KEY
