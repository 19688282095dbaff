from __future__ import annotations

import asyncio
import csv
import itertools
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.bulk.strategies import account
from tests.cli.support import Served, invoke, until, write_accounts
from upvest_rebalancing.cli.app import app
from upvest_rebalancing.client import RebalancingClient
from upvest_rebalancing.errors import (
    Attempt,
    AttemptOutcome,
    NotSentError,
    OutcomeUnknownError,
)

A, B, C, D, E = (account(number) for number in range(1, 6))
Serve = Callable[..., Served]


@pytest.fixture
def five(tmp_path: Path) -> str:
    return write_accounts(tmp_path / "accounts.csv", (A, B, C, D, E))


def section(out: str, title: str) -> str:
    """Find the lines that stand under a title."""
    lines = out.splitlines()
    (start,) = (n for n, line in enumerate(lines) if line.startswith(f"{title}: "))
    return "\n".join(itertools.takewhile(lambda line: line.startswith("  "), lines[start + 1 :]))


def test_every_account_is_triggered_and_followed_to_the_end(five: str, serve: Serve) -> None:
    served = serve(cancelled_share=0)
    served.sandbox.set_outcome(str(B), "CANCELLED", "ACCOUNT_IS_EMPTY")
    ended = invoke("run", five, "--batch-size", "2", *served.options)
    assert ended.status == 0, ended
    assert served.sandbox.counters().triggers == 3
    lines = [line.split() for line in ended.out.splitlines()]
    assert ["FILLED", "4"] in lines
    assert ["CANCELLED", "1"] in lines
    assert ["ACCOUNT_IS_EMPTY", "1"] in lines
    assert ["final", "5", "of", "5", "accounts"] in lines
    assert {line[0] for line in lines if line} >= {"time", "requests", "retries"}
    assert "5 accounts in 3 batches, against http://127.0.0.1:" in ended.err
    assert "5 of 5 accounts are final after" in ended.err
    assert "\x1b" not in ended.out + ended.err


def test_the_embedded_sandbox_needs_no_credentials(five: str) -> None:
    ended = invoke("run", five, "--sandbox", "--order-seconds", "0", "--seed", "5", "--json")
    assert ended.status == 0, ended
    document = ended.document
    assert document["accounts"] == document["final"] == 5
    assert document["not_final"] == 0
    assert sum(document["by_status"].values()) == 5
    assert document["interrupted"] is False
    assert document["requests"] >= 3
    assert document["output"] is None
    (batch,) = document["batches"]
    assert batch["stage"] == "done"
    assert batch["accounts"] == 5
    assert batch["error"] is None


@pytest.mark.parametrize("name", ["out.csv", "out.jsonl"])
def test_results_are_written_per_account(
    five: str, serve: Serve, tmp_path: Path, name: str
) -> None:
    served = serve(cancelled_share=0)
    served.sandbox.set_outcome(str(C), "CANCELLED", "INVALID_ACCOUNT_TYPE")
    output = tmp_path / name
    ended = invoke("run", five, "--output", str(output), "--json", *served.options)
    assert ended.status == 0, ended
    with output.open(encoding="utf-8", newline="") as file:
        rows: list[dict[str, Any]] = (
            list(csv.DictReader(file))
            if output.suffix == ".csv"
            else [json.loads(line) for line in file]
        )
    assert [row["account_id"] for row in rows] == [str(one) for one in (A, B, C, D, E)]
    assert [row["status"] for row in rows] == ["FILLED", "FILLED", "CANCELLED", "FILLED", "FILLED"]
    assert rows[2]["cancellation_reason"] == "INVALID_ACCOUNT_TYPE"
    assert {row["execution_id"] for row in rows} == {ended.document["batches"][0]["execution_id"]}
    assert {str(row["attempts"]) for row in rows} == {"1"}
    assert not any(row["error"] for row in rows)
    assert ended.document["output"] == str(output)
    assert str(output) in ended.err


def test_a_written_result_is_a_list_of_accounts_again(five: str, tmp_path: Path) -> None:
    output = str(tmp_path / "out.csv")
    first = invoke("run", five, "--sandbox", "--order-seconds", "0", "--output", output)
    second = invoke("run", output, "--sandbox", "--order-seconds", "0", "--json")
    assert (first.status, second.status) == (0, 0)
    assert second.document["accounts"] == 5


def test_accounts_come_from_standard_input_and_repeats_are_sent_once(serve: Serve) -> None:
    served = serve()
    text = f"\ufeff{A}\r\n\r\n{B}\r\n{str(A).upper()}\r\n"
    ended = invoke("run", "-", "--json", *served.options, stdin=text.encode())
    assert ended.status == 0, ended
    assert ended.document["accounts"] == 2
    assert ended.document["repeated"] == 1
    assert "standard input: 1 line repeats an account; each is sent once" in ended.err
    assert f"line 4 repeats line 1 ({A})" in ended.err


def test_many_repeats_are_counted_and_not_all_shown(tmp_path: Path) -> None:
    path = write_accounts(tmp_path / "accounts.csv", [A] * 14)
    ended = invoke("run", path, "--sandbox", "--order-seconds", "0")
    assert ended.status == 0, ended
    assert "13 lines repeat an account; each is sent once" in ended.err
    assert "line 12 repeats line 2" in ended.err
    assert "line 13 repeats" not in ended.err
    assert "and 3 more" in ended.err


def test_a_header_that_is_none_of_ours_is_named(tmp_path: Path) -> None:
    path = tmp_path / "accounts.csv"
    path.write_text(f"Account\n{A}\n")
    ended = invoke("run", str(path), "--sandbox", "--order-seconds", "0")
    assert ended.status == 0, ended
    assert "the first line, 'Account', was taken for a header" in ended.err


def test_nothing_is_sent_while_a_line_is_no_account(serve: Serve, tmp_path: Path) -> None:
    served = serve()
    path = tmp_path / "accounts.csv"
    path.write_bytes(f"account_id\n{A}\nnonsense\n{B}\n\xff\n".encode("latin-1"))
    ended = invoke("run", str(path), *served.options)
    assert ended.status == 2
    assert f"{path}, line 3: 'nonsense' is no UUID" in ended.err
    assert f"{path}, line 5:" in ended.err
    assert "nothing was sent: 2 lines can't be used" in ended.err
    assert ended.out == ""
    assert not served.sandbox.counters().answers


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["missing.csv", "--sandbox"], "missing.csv: No such file"),
        ([".", "--sandbox"], ".: Is a directory"),
        (["accounts.csv", "--batch-size", "0"], "--batch-size"),
        (["accounts.csv", "--concurrency", "0"], "--concurrency"),
        (["accounts.csv", "--timeout", "0"], "--timeout"),
        (["accounts.csv", "--seed", "1"], "add --sandbox"),
        (["accounts.csv", "--sandbox", "--output", "out.txt"], ".csv or .jsonl would be right"),
        (
            ["accounts.csv", "--sandbox", "--output", "accounts.csv"],
            "is the list of accounts itself",
        ),
        (["accounts.csv", "--sandbox", "--seed", str(2**70)], "seed"),
        (["accounts.csv"], "UPVEST_API_CLIENT_ID is missing"),
        (["accounts.csv", "--env-file", "nowhere.env"], "nowhere.env"),
        ([], "ACCOUNTS"),
    ],
)
def test_wrong_input_is_named_and_ends_with_2(five: str, args: list[str], said: str) -> None:
    ended = invoke("run", *args)
    assert ended.status == 2, ended
    assert said in ended.err
    assert ended.out == ""


def test_wrong_credentials_are_found_before_the_first_trigger(
    five: str, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve()
    monkeypatch.setenv("UPVEST_API_CLIENT_SECRET", "not-the-secret")
    ended = invoke("run", five, "--batch-size", "1", *served.options)
    assert ended.status == 2, ended
    assert "401" in ended.err
    assert "not-the-secret" not in ended.err
    assert served.answered("trigger") == 0
    assert served.answered("token") == 1


def test_orders_that_are_late_make_the_status_1(five: str, serve: Serve, tmp_path: Path) -> None:
    served = serve(order_seconds=10_000)
    output = tmp_path / "out.csv"
    ended = invoke(
        "run",
        five,
        "--timeout",
        "0.2",
        "--output",
        str(output),
        *served.options,
        "--batch-size",
        "3",
    )
    assert ended.status == 1, ended
    assert "0 of 5 accounts are final" in ended.err
    assert "triggered: 2 batches with 5 accounts" in ended.out
    assert "not final after 0.2 s" in ended.out
    with output.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5
    assert all("not final after 0.2 s" in row["error"] for row in rows)


def test_failed_and_unknown_triggers_are_told_apart(
    five: str, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve()
    original = RebalancingClient.trigger

    async def trigger(self: RebalancingClient, **given: Any) -> Any:
        await asyncio.sleep(0)
        if A in given["accounts"]:
            attempts = (Attempt(1, 0, 1, AttemptOutcome.UNKNOWN),)
            raise OutcomeUnknownError("cut off", attempts=attempts)
        if B in given["accounts"]:
            raise NotSentError("no \x1b[31mconnection")
        return await original(self, **given)

    monkeypatch.setattr(RebalancingClient, "trigger", trigger)
    ended = invoke("run", five, "--batch-size", "1", "--timeout", "4", *served.options)
    assert ended.status == 1, ended
    assert "outcome unknown, may have been triggered: 1 batch with 1 account\n" in ended.out
    assert f"1 UNKNOWN; accounts {A} to {A}; the trigger may have been executed" in ended.out
    assert "not executed: 1 batch with 1 account\n" in ended.out
    assert r"the trigger was not executed: no \x1b[31mconnection" in ended.out
    assert "triggered: 3 batches with 3 accounts\n" in ended.out
    assert "with its idempotency key, and with no other" in ended.out


def test_results_that_cannot_be_written_make_the_status_1(
    five: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    args = ("run", five, "--sandbox", "--order-seconds", "0", "--output", "out.csv", "--json")
    ended = invoke(*args)
    assert ended.status == 1, ended
    assert "could not be written to out.csv: No space left on device" in ended.err
    assert ended.document["output"] is None
    assert ended.document["final"] == 5
    assert [path.name for path in tmp_path.iterdir()] == ["accounts.csv"]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("form", ["text", "json"])
def test_a_signal_in_mid_trigger_leaves_nothing_unsaid(
    five: str,
    serve: Serve,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    number: int,
    status: int,
    form: str,
) -> None:
    served = serve(order_seconds=10_000)
    original = RebalancingClient.trigger
    keys: list[str] = []

    async def trigger(self: RebalancingClient, **given: Any) -> Any:
        keys.append(given["idempotency_key"])
        if len(keys) == 1:
            return await original(self, **given)
        await asyncio.to_thread(until, lambda: served.answered("orders") > 0)
        os.kill(os.getpid(), number)
        return await asyncio.Event().wait()

    monkeypatch.setattr(RebalancingClient, "trigger", trigger)
    output = tmp_path / "out.csv"
    args = ("--batch-size", "2", "--concurrency", "2", "--output", str(output))
    as_json = ["--json"] if form == "json" else []
    ended = invoke("run", five, *args, *as_json, *served.options)
    assert ended.status == status, ended
    assert len(keys) == 2
    with output.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows[2:]] == ["UNKNOWN", "UNKNOWN", "NOT_TRIGGERED"]
    assert keys[1] in rows[2]["error"]
    if form == "json":
        document = ended.document
        assert document["interrupted"] is True
        assert [batch["stage"] for batch in document["batches"]] == [
            "unfinished",
            "unknown",
            "planned",
        ]
        assert [batch["idempotency_key"] for batch in document["batches"]][:2] == keys
        assert document["batches"][0]["execution_id"] == rows[0]["execution_id"]
        return
    triggered = section(ended.out, "triggered")
    assert keys[0] in triggered
    assert rows[0]["execution_id"] in triggered
    assert keys[1] in section(ended.out, "outcome unknown, may have been triggered")
    assert f"accounts {E} to {E}" in section(ended.out, "not triggered")


def test_a_signal_before_the_job_says_that_nothing_was_triggered(
    five: str, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def authenticate(self: RebalancingClient) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.Event().wait()

    monkeypatch.setattr(RebalancingClient, "authenticate", authenticate)
    ended = invoke("run", five, "--batch-size", "2", *serve().options)
    assert ended.status == 130, ended
    assert "not triggered: 3 batches with 5 accounts" in ended.out
    assert "NOT_TRIGGERED" in ended.out
    assert "unknown" not in ended.out


def test_what_is_unexpected_is_raised_after_the_report(
    five: str, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def trigger(self: RebalancingClient, **given: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(RebalancingClient, "trigger", trigger)
    served = serve()
    result = CliRunner().invoke(app, ["run", five, *served.options])
    assert isinstance(result.exception, ExceptionGroup)
    assert "outcome unknown, may have been triggered: 1 batch" in result.stdout


def test_logs_go_to_standard_error_when_asked_for(five: str, serve: Serve) -> None:
    served = serve()
    ended = invoke("run", five, "--json", "-v", *served.options)
    assert ended.status == 0, ended
    assert ended.document["final"] == 5
    assert "upvest_rebalancing: " in ended.err
    secret = served.sandbox.credentials.client_secret
    assert secret not in ended.err
