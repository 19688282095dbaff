"""Keep count of a job while it runs, from the reports that it makes on its way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from upvest_rebalancing.bulk.batches import BatchReport, Stage
from upvest_rebalancing.bulk.plan import Batch
from upvest_rebalancing.bulk.results import NOT_TRIGGERED, is_final_status

_SETTLED = frozenset({Stage.DONE, Stage.UNFINISHED, Stage.FAILED, Stage.UNKNOWN})


class Tally:
    """Count accounts by status over all batches of a running job.

    Args:
        batches: The plan of the job.
    """

    def __init__(self, batches: Sequence[Batch]) -> None:
        self.total = sum(len(batch.accounts) for batch in batches)
        """Accounts in all."""
        self.settled = 0
        """Accounts of which no more news is to come."""
        self._counts = Counter({NOT_TRIGGERED: self.total})
        self._last: dict[int, tuple[Mapping[str, int], int]] = {
            batch.number: ({NOT_TRIGGERED: len(batch.accounts)}, 0) for batch in batches
        }

    def add(self, report: BatchReport) -> None:
        """Take in a batch's report.

        Args:
            report: The report; it replaces the batch's earlier one.
        """
        counts, settled = self._last[report.batch.number]
        self._counts.subtract(counts)
        self.settled -= settled
        now = _settled(report)
        self._counts.update(report.by_status)
        self.settled += now
        self._last[report.batch.number] = (report.by_status, now)

    @property
    def by_status(self) -> dict[str, int]:
        """The number of accounts by status; statuses without any are left out."""
        return {status: count for status, count in self._counts.items() if count}


def _settled(report: BatchReport) -> int:
    if report.stage in _SETTLED:
        return len(report.batch.accounts)
    return sum(count for status, count in report.by_status.items() if is_final_status(status))
