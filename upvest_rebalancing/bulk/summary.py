"""Count what came of a job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Self

import attrs

from upvest_rebalancing.bulk.results import AccountResult


@attrs.frozen(kw_only=True)
class Summary:
    """What came of a job, in numbers.

    Attributes:
        accounts: Accounts in all.
        final: Accounts whose order will not change any more.
        by_status: Accounts by status.
        by_cancellation_reason: Accounts with a cancelled order, by its reason.
        seconds: Seconds that the job took.
        requests: Requests that were sent, retries included.
        retries: How many of them were retries.
    """

    accounts: int
    final: int
    by_status: Mapping[str, int]
    by_cancellation_reason: Mapping[str, int]
    seconds: float
    requests: int
    retries: int

    @classmethod
    def of(
        cls, results: Iterable[AccountResult], *, seconds: float, requests: int, retries: int
    ) -> Self:
        """Count results.

        Args:
            results: A result per account.
            seconds: Seconds that the job took.
            requests: Requests that were sent, retries included.
            retries: How many of them were retries.

        Returns:
            The numbers; what there is most of comes first, and equals go by name.
        """
        statuses: Counter[str] = Counter()
        reasons: Counter[str] = Counter()
        final = 0
        for result in results:
            statuses[result.status] += 1
            final += result.is_final
            if result.cancellation_reason is not None:
                reasons[result.cancellation_reason] += 1
        return cls(
            accounts=statuses.total(),
            final=final,
            by_status=_sorted(statuses),
            by_cancellation_reason=_sorted(reasons),
            seconds=seconds,
            requests=requests,
            retries=retries,
        )

    @property
    def is_final(self) -> bool:
        """Tell whether every account has an order that will not change any more."""
        return self.final == self.accounts

    def as_json(self) -> dict[str, Any]:
        """Give the numbers as a JSON object; ``not_final`` is what is left of ``final``."""
        return {
            "accounts": self.accounts,
            "final": self.final,
            "not_final": self.accounts - self.final,
            "by_status": dict(self.by_status),
            "by_cancellation_reason": dict(self.by_cancellation_reason),
            "seconds": round(self.seconds, 3),
            "requests": self.requests,
            "retries": self.retries,
        }


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
