"""Count the requests of the last second, so that none ever holds more than the limit."""

from __future__ import annotations

import math
from collections import deque

import attrs


@attrs.define(eq=False, repr=False)
class Window:
    """When the latest requests went, and when there is room for one more.

    Times are seconds on a clock that never goes back.

    Attributes:
        count: Requests that no span of time holds more of; infinity for no limit.
        seconds: The length of that span.
    """

    count: float = math.inf
    seconds: float = 1.0
    _gone: deque[float] = attrs.field(factory=deque, init=False)

    def limit(self, per_second: float, margin: float) -> None:
        """Set a limit; what went before it was known counts as well.

        Args:
            per_second: Requests per second. A fraction of one is taken as one in so many seconds.
            margin: Seconds that are added to every second.
        """
        self.count = per_second if per_second == math.inf else max(1, int(per_second))
        self.seconds = (1 + margin) * max(1.0, 1 / per_second)

    @property
    def rate(self) -> float:
        """The requests per second that fill it evenly."""
        return self.count / self.seconds

    def opens_at(self) -> float:
        """Say when the next request may go; in the past where that is now."""
        gone = self._gone
        if len(gone) < self.count:
            return -math.inf
        return gone[-int(self.count)] + self.seconds

    def take(self, now: float) -> None:
        """Count a request that goes now."""
        gone = self._gone
        gone.append(now)
        while gone[0] + self.seconds <= now:
            gone.popleft()

    def give_back(self, at: float) -> None:
        """Count a request no more that was to go at a time, and did not."""
        if at in self._gone:
            self._gone.remove(at)
