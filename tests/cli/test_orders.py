from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from uuid import UUID, uuid4

import attrs
import pytest

from tests.bulk.strategies import account, order
from tests.cli.support import Served, invoke
from upvest_rebalancing.cli.order_rows import FIELDS, OrderFormat, order_writer
from upvest_rebalancing.models import OrderStatus, WalkVerdict
from upvest_rebalancing.walking import OrderWalk

ACCOUNTS = [account(number) for number in range(1, 31)]
Serve = Callable[..., Served]


@pytest.fixture
def served(serve: Serve) -> Served:
    served = serve(cancelled_share=0)
    served.sandbox.set_outcome(str(ACCOUNTS[0]), "CANCELLED", "ACCOUNT_IS_EMPTY")
    return served


@pytest.fixture
def execution(served: Served) -> str:
    lines = "\n".join(map(str, ACCOUNTS))
    args = ("trigger", "--accounts-file", "-", "--wait", "--json", *served.options)
    ended = invoke(*args, stdin=lines)
    assert ended.status == 0, ended
    return str(ended.document["id"])


def test_an_execution_is_shown(served: Served, execution: str) -> None:
    ended = invoke("execution", execution, *served.options)
    assert ended.status == 0, ended
    shown = dict(line.split(maxsplit=1) for line in ended.out.splitlines())
    assert shown["execution"] == execution
    assert shown["accounts"].startswith("30 ")
    assert shown["allocations"] == "none named"
    assert shown.keys() >= {"created", "updated"}


def test_an_execution_that_does_not_exist_makes_the_status_1(served: Served) -> None:
    ended = invoke("execution", str(uuid4()), *served.options)
    assert ended.status == 1, ended
    assert "404" in ended.err
    assert ended.out == ""


@pytest.mark.parametrize("command", ["execution", "orders"])
def test_what_is_no_id_makes_the_status_2(served: Served, command: str) -> None:
    ended = invoke(command, "nonsense", *served.options)
    assert ended.status == 2, ended
    assert "'nonsense'" in ended.err


def test_orders_are_a_table(served: Served, execution: str) -> None:
    ended = invoke("orders", execution, "--page-size", "7", *served.options)
    assert ended.status == 0, ended
    header, *rows = ended.out.splitlines()
    assert header.split() == ["ACCOUNT", "STATUS", "ORDER", "REASON"]
    assert {UUID(row.split()[0]) for row in rows} == set(ACCOUNTS)
    assert len({row.index("  ", 36) for row in rows}) == 1
    assert "complete: 30 of 30 orders" in ended.err
    (cancelled,) = (row for row in rows if "CANCELLED" in row)
    assert "ACCOUNT_IS_EMPTY" in cancelled


def test_orders_are_csv(served: Served, execution: str) -> None:
    ended = invoke("orders", execution, "--format", "csv", *served.options)
    assert ended.status == 0, ended
    rows = list(csv.DictReader(io.StringIO(ended.out, newline="")))
    assert {UUID(row["account_id"]) for row in rows} == set(ACCOUNTS)
    assert tuple(rows[0]) == FIELDS


def test_orders_are_json_lines(served: Served, execution: str) -> None:
    ended = invoke("orders", execution, "--format", "jsonl", *served.options)
    assert ended.status == 0, ended
    rows = [json.loads(line) for line in ended.out.splitlines()]
    assert {UUID(row["account_id"]) for row in rows} == set(ACCOUNTS)
    assert all(tuple(row) == FIELDS for row in rows)
    assert {row["status"] for row in rows} == {"FILLED", "CANCELLED"}


def test_orders_can_be_limited_to_dates(served: Served, execution: str) -> None:
    args = ("orders", execution, "--format", "jsonl", *served.options)
    assert invoke(*args, "--start-date", "2000-01-01").out.count("\n") == 30
    assert invoke(*args, "--end-date", "2000-01-01").out == ""
    assert invoke(*args, "--start-date", "yesterday").status == 2


def test_a_list_that_is_not_complete_makes_the_status_1(
    served: Served, execution: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict = WalkVerdict(
        complete=False, seen=30, expected=31, pages=3, repeats=0, reason="nothing new came"
    )
    monkeypatch.setattr(OrderWalk, "verdict", property(lambda _: verdict))
    ended = invoke("orders", execution, *served.options)
    assert ended.status == 1, ended
    assert "incomplete: 30 of 31 orders in 3 pages; nothing new came" in ended.err
    assert len(ended.out.splitlines()) == 31


@pytest.mark.parametrize(
    ("reason", "details", "shown"),
    [
        (None, None, ""),
        ("ACCOUNT_IS_EMPTY", None, "ACCOUNT_IS_EMPTY"),
        ("ACCOUNT_IS_EMPTY", "no\ncash", "ACCOUNT_IS_EMPTY: no cash"),
        (None, "odd \x1b[31m", r"odd \x1b[31m"),
    ],
)
def test_a_row_is_one_line_whatever_the_server_says(
    reason: str | None, details: str | None, shown: str
) -> None:
    written: list[str] = []
    write = order_writer(OrderFormat.TABLE, written.append)
    write(order(ACCOUNTS[0], OrderStatus.CANCELLED, reason, details=details))
    columns = (str(ACCOUNTS[0]), "CANCELLED ", str(order(ACCOUNTS[0]).id), shown)
    assert written[1] == "  ".join(columns).rstrip() + "\n"


def test_values_that_are_known_are_written() -> None:
    written: list[str] = []
    portfolio_order = account(99)
    one = order(ACCOUNTS[0])
    order_writer(OrderFormat.JSONL, written.append)(
        attrs.evolve(one, portfolio_order_id=portfolio_order)
    )
    assert json.loads(written[0])["portfolio_order_id"] == str(portfolio_order)
