"""Count what a client does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import attrs


@attrs.frozen(kw_only=True)
class Statistics:
    """What a client has done since it was opened.

    Attributes:
        calls: Calls that were begun, token requests included.
        requests: Attempts that were made.
        retries: Attempts beyond the first of their call.
        tokens: Access tokens that were obtained.
        answers: Answers by HTTP status.
    """

    calls: int = 0
    requests: int = 0
    retries: int = 0
    tokens: int = 0
    answers: Mapping[int, int] = attrs.field(factory=dict)


@attrs.define(eq=False, repr=False)
class Counts:
    """The same numbers while they change; see `Statistics`."""

    calls: int = 0
    requests: int = 0
    retries: int = 0
    tokens: int = 0
    answers: Counter[int] = attrs.field(factory=Counter)

    def statistics(self) -> Statistics:
        """Give the numbers as they are now."""
        return Statistics(
            calls=self.calls,
            requests=self.requests,
            retries=self.retries,
            tokens=self.tokens,
            answers=dict(self.answers),
        )
