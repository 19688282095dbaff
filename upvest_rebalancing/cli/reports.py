"""Say what came of a job: as tables for a reader, as one document for a script."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from upvest_rebalancing.bulk.batches import BatchReport, Stage
from upvest_rebalancing.bulk.summary import Summary
from upvest_rebalancing.cli.screen import Screen, one_line, plain


def show_summary(screen: Screen, summary: Summary) -> None:
    """Write the summary table to standard output.

    Args:
        screen: Where to.
        summary: The numbers.
    """
    show_counts(screen, "status", summary.by_status)
    if summary.by_cancellation_reason:
        screen.result()
        show_counts(screen, "cancellation reason", summary.by_cancellation_reason)
    screen.result()
    screen.table(
        {
            "final": f"{summary.final:,} of {summary.accounts:,} accounts",
            "time": f"{summary.seconds:.1f} s",
            "requests": f"{summary.requests:,}",
            "retries": f"{summary.retries:,}",
        }
    )


def show_counts(screen: Screen, name: str, counts: Mapping[str, int]) -> None:
    """Write a table of counts.

    Args:
        screen: Where to.
        name: What is counted.
        counts: The number of accounts for each.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(name, min_width=24)
    table.add_column("accounts", justify="right")
    for value, count in counts.items():
        table.add_row(Text(plain(value)), f"{count:,}")
    screen.out.print(table)


def show_batches(
    screen: Screen,
    reports: Sequence[BatchReport],
    *,
    write: Callable[[str], None] | None = None,
) -> None:
    """Write, batch by batch, what was triggered, what may have been, and what was not.

    Args:
        screen: Where to.
        reports: A report per batch, in the order of the plan.
        write: Takes each line; standard output does where None.
    """
    write = screen.result if write is None else write
    groups = (
        ("triggered", {Stage.DONE, Stage.FOLLOWING, Stage.UNFINISHED}),
        ("outcome unknown, may have been triggered", {Stage.TRIGGERING, Stage.UNKNOWN}),
        ("not executed", {Stage.FAILED}),
        ("not triggered", {Stage.PLANNED}),
    )
    for title, stages in groups:
        chosen = [report for report in reports if report.stage in stages]
        if not chosen:
            continue
        accounts = sum(len(report.batch.accounts) for report in chosen)
        write(
            f"{title}: {number_of(len(chosen), 'batch', 'batches')} with "
            f"{number_of(accounts, 'account', 'accounts')}"
        )
        for report in chosen:
            write(f"  {_line(report)}")
    if any(report.stage in {Stage.TRIGGERING, Stage.UNKNOWN} for report in reports):
        write(
            "To find out what became of a batch whose outcome is unknown, trigger the same "
            "accounts again with its idempotency key, and with no other."
        )


def _line(report: BatchReport) -> str:
    batch = report.batch
    parts = [f"batch {batch.number}"]
    if report.execution_id is not None:
        parts.append(f"execution {report.execution_id}")
    parts += [
        f"idempotency key {batch.idempotency_key}",
        ", ".join(f"{count:,} {status}" for status, count in report.by_status.items()),
    ]
    if report.execution_id is None:
        parts.append(f"accounts {batch.accounts[0]} to {batch.accounts[-1]}")
    if report.error is not None and report.stage is not Stage.PLANNED:
        parts.append(one_line(report.error))
    return "; ".join(parts)


def number_of(count: int, one: str, many: str) -> str:
    """Write a number with its noun.

    Args:
        count: The number.
        one: The noun for one.
        many: The noun for any other number.
    """
    return f"{count:,} {one if count == 1 else many}"


def job_document(
    summary: Summary,
    reports: Iterable[BatchReport],
    *,
    repeated: int,
    output: str | None,
    is_interrupted: bool,
) -> dict[str, Any]:
    """Make the JSON document of a job.

    Args:
        summary: The numbers.
        reports: A report per batch, in the order of the plan.
        repeated: How many lines of the list repeat an account.
        output: The file of results, where one was written.
        is_interrupted: Whether a signal ended the job.

    Returns:
        The document.
    """
    return {
        **summary.as_json(),
        "interrupted": is_interrupted,
        "repeated": repeated,
        "output": output,
        "batches": [
            {
                "number": report.batch.number,
                "stage": report.stage.value,
                "execution_id": None if report.execution_id is None else str(report.execution_id),
                "idempotency_key": report.batch.idempotency_key,
                "accounts": len(report.batch.accounts),
                "by_status": dict(report.by_status),
                "attempts": report.attempts,
                "error": report.error,
            }
            for report in reports
        ],
    }
