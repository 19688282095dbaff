from __future__ import annotations

import csv
import json
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bulk.strategies import EXECUTION, batch, order, outcome, uuids
from upvest_rebalancing.bulk import results, writer
from upvest_rebalancing.bulk.results import AccountResult
from upvest_rebalancing.bulk.summary import Summary
from upvest_rebalancing.errors import InvalidRequestError
from upvest_rebalancing.models import OrderStatus

# Files hold no lone surrogates, and CSV readers take no NUL everywhere.
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=30)
account_results = st.lists(
    st.builds(
        AccountResult,
        uuids,
        st.sampled_from(["FILLED", "CANCELLED", "UNKNOWN"]) | texts,
        st.none() | uuids,
        st.none() | uuids,
        st.none() | texts,
        st.none() | texts,
        st.none() | texts,
        st.integers(0, 9),
        st.none() | texts,
    ),
    max_size=20,
)
NAMES = [
    "account_id",
    "status",
    "order_id",
    "execution_id",
    "idempotency_key",
    "cancellation_reason",
    "cancellation_details",
    "attempts",
    "error",
]


def expected(result: AccountResult) -> dict[str, object]:
    return {
        name: str(value) if isinstance(value, UUID) else value
        for name, value in ((name, getattr(result, name)) for name in NAMES)
    }


@given(account_results)
@settings(deadline=None)
def test_jsonl_has_an_object_per_account(
    tmp_path_factory: pytest.TempPathFactory, rows: list[AccountResult]
) -> None:
    path = tmp_path_factory.mktemp("results") / "out.jsonl"
    writer.write_results(path, rows)
    lines = path.read_bytes().decode().split("\n")
    assert lines.pop() == ""
    assert [json.loads(line) for line in lines] == [expected(row) for row in rows]
    assert all(list(json.loads(line)) == NAMES for line in lines)


@given(account_results)
@settings(deadline=None)
def test_csv_has_a_header_and_a_row_per_account(
    tmp_path_factory: pytest.TempPathFactory, rows: list[AccountResult]
) -> None:
    path = tmp_path_factory.mktemp("results") / "out.CSV"
    writer.write_results(path, rows)
    with path.open(encoding="utf-8", newline="") as file:
        header, *written = csv.reader(file)
    assert header == NAMES
    assert written == [
        ["" if value is None else str(value) for value in expected(row).values()] for row in rows
    ]


def test_a_file_of_results_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("what was there")

    def failing() -> object:
        yield AccountResult(UUID(int=1), "FILLED")
        assert path.read_text() == "what was there"
        raise OSError(28, "no space left")

    with pytest.raises(OSError, match="no space left"):
        writer.write_results(path, failing())  # type: ignore[arg-type]
    assert path.read_text() == "what was there"
    assert [file.name for file in tmp_path.iterdir()] == ["out.csv"]


@pytest.mark.parametrize("name", ["out", "out.txt", "out.csv.gz", ".csv"])
def test_only_known_endings_are_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"\.csv or \.jsonl would be right"):
        writer.ResultsFile(tmp_path / name)
    with pytest.raises(InvalidRequestError):
        writer.write_results(tmp_path / name, [])
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_found_before_the_job(
    tmp_path: Path,
) -> None:
    writer.ResultsFile(tmp_path / "fine.jsonl").close()
    (tmp_path / "directory.csv").mkdir()
    with pytest.raises(InvalidRequestError, match="is a directory"):
        writer.ResultsFile(tmp_path / "directory.csv")
    with pytest.raises(InvalidRequestError, match="does not exist"):
        writer.ResultsFile(tmp_path / "nowhere" / "out.csv")
    for place in (tmp_path / f"{'x' * 300}.csv", Path("/proc/out.csv"), tmp_path / "a\0b.csv"):
        with pytest.raises(InvalidRequestError, match="can't be written"):
            writer.ResultsFile(place)
    assert [one.name for one in tmp_path.iterdir()] == ["directory.csv"]


def test_orders_become_results_by_account() -> None:
    planned = batch(4)
    a, b, c, d = planned.accounts
    reading = outcome(
        [
            order(c, OrderStatus.PROCESSING),
            order(b, OrderStatus.CANCELLED, "ACCOUNT_IS_EMPTY", details="no cash"),
            order(a),
            order(UUID(int=9)),
        ]
    )
    first, second, third, fourth = results.ordered(planned, reading, attempts=2, error="too late")
    assert first == AccountResult(a, "FILLED", order(a).id, EXECUTION, "key-1", attempts=2)
    assert second == AccountResult(
        b, "CANCELLED", order(b).id, EXECUTION, "key-1", "ACCOUNT_IS_EMPTY", "no cash", 2
    )
    assert third == AccountResult(
        c, "PROCESSING", order(c).id, EXECUTION, "key-1", attempts=2, error="too late"
    )
    assert fourth == AccountResult(
        d, "TRIGGERED", None, EXECUTION, "key-1", attempts=2, error="too late"
    )
    assert [result.is_final for result in (first, second, third, fourth)] == [
        True,
        True,
        False,
        False,
    ]
    assert results.count_statuses(planned, reading) == {
        "FILLED": 1,
        "CANCELLED": 1,
        "PROCESSING": 1,
        "TRIGGERED": 1,
    }


@pytest.mark.parametrize(
    ("status", "final"),
    [("FILLED", True), ("CANCELLED", True), ("NEW", False), ("UNKNOWN", False), ("LATER", False)],
)
def test_final_statuses_are_those_of_orders(status: str, final: bool) -> None:
    assert results.is_final_status(status) is final


@given(account_results)
@settings(deadline=None)
def test_a_summary_counts_every_account(rows: list[AccountResult]) -> None:
    summary = Summary.of(iter(rows), seconds=1.5, requests=7, retries=2)
    assert summary.accounts == len(rows) == sum(summary.by_status.values())
    assert sum(summary.by_cancellation_reason.values()) == sum(
        row.cancellation_reason is not None for row in rows
    )
    assert summary.is_final == all(row.error is None for row in rows)
    assert list(summary.by_status.values()) == sorted(summary.by_status.values(), reverse=True)
    as_json = summary.as_json()
    assert json.loads(json.dumps(as_json)) == as_json
    assert as_json["final"] + as_json["not_final"] == len(rows)
