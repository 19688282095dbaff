"""Show how far a job has come: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from upvest_rebalancing.bulk.batches import BatchReport, Stage
from upvest_rebalancing.bulk.plan import Batch
from upvest_rebalancing.bulk.progress import Tally
from upvest_rebalancing.cli.screen import Screen, one_line, plain


class JobProgress:
    """Show a job's progress on standard error, for the length of a ``with`` block.

    Args:
        screen: Where to show it; without a terminal each batch has a line when it is triggered
            and a line when it has ended, so that its key stands somewhere before the report.
        batches: The plan of the job.
    """

    def __init__(self, screen: Screen, batches: Sequence[Batch]) -> None:
        self._screen = screen
        self._stages = dict.fromkeys((batch.number for batch in batches), Stage.PLANNED)
        self._tally = Tally(batches)
        self._counts = Text()
        self._progress = Progress(
            TextColumn("accounts"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=screen.err,
        )
        self._task = self._progress.add_task("accounts", total=self._tally.total)
        self._live = (
            Live(console=screen.err, get_renderable=self._render, refresh_per_second=10)
            if screen.err.is_interactive
            else None
        )
        self._show()

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start(refresh=True)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def add(self, report: BatchReport) -> None:
        """Take in a batch's report.

        Args:
            report: The report.
        """
        self._tally.add(report)
        self._show()
        number = report.batch.number
        if self._live is None and report.stage is not self._stages[number]:
            self._screen.remark(_stage_line(report))
        self._stages[number] = report.stage

    def _show(self) -> None:
        self._progress.update(self._task, completed=self._tally.settled)
        self._counts = Text(plain(counts_line(self._tally.by_status)))

    def _render(self) -> Group:
        # Runs on the display's own thread: it reads finished values, never the tally.
        return Group(self._progress, self._counts)


def _stage_line(report: BatchReport) -> str:
    execution, key = report.execution_id, report.batch.idempotency_key
    parts = [f"batch {report.batch.number} {_WORDS[report.stage]}"]
    if execution is not None:
        parts.append(f"execution {execution}")
    parts.append(f"idempotency key {key}")
    if report.stage not in {Stage.TRIGGERING, Stage.FOLLOWING}:
        parts.append(counts_line(report.by_status).replace("  ", ", "))
    if report.error is not None:
        parts.append(one_line(report.error))
    return "; ".join(parts)


_WORDS: Mapping[Stage, str] = {
    Stage.PLANNED: "is planned",
    Stage.TRIGGERING: "is being triggered",
    Stage.FOLLOWING: "is triggered",
    Stage.DONE: "is final",
    Stage.UNFINISHED: "is not final",
    Stage.FAILED: "was not executed",
    Stage.UNKNOWN: "may have been executed",
}


def counts_line(counts: Mapping[str, int]) -> str:
    """Write counts by status in one line, in the order in which a status came up.

    Args:
        counts: The number of accounts by status.

    Returns:
        The line.
    """
    return "  ".join(f"{status} {count:,}" for status, count in counts.items())
