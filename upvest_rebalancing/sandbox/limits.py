"""Rate limits: three ways to count requests per second, each told the time."""

from collections import deque
from typing import Final, Literal, Protocol

LimitKind = Literal["fixed", "sliding", "bucket"]


class Limit(Protocol):
    """A limit of one client."""

    def allows(self, now: float) -> bool:
        """Count a request, and tell whether it may pass.

        Args:
            now: The time in seconds.
        """


class FixedWindow:
    """So many requests in each whole second of the clock.

    Args:
        per_second: How many requests a second may have.
    """

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._window = 0
        self._used = 0

    def allows(self, now: float) -> bool:
        """Count a request, and tell whether it may pass.

        Args:
            now: The time in seconds.
        """
        window = int(now // 1)
        if window != self._window:
            self._window, self._used = window, 0
        if self._used >= self._per_second:
            return False
        self._used += 1
        return True


class SlidingWindow:
    """So many requests in any span of one second.

    Args:
        per_second: How many requests a second may have.
    """

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._passed: deque[float] = deque()

    def allows(self, now: float) -> bool:
        """Count a request, and tell whether it may pass.

        Args:
            now: The time in seconds.
        """
        while self._passed and now - self._passed[0] >= 1:
            self._passed.popleft()
        if len(self._passed) >= self._per_second:
            return False
        self._passed.append(now)
        return True


class TokenBucket:
    """So many requests at once, refilled evenly within a second.

    Args:
        per_second: The bucket's size, and what flows into it in a second.
    """

    def __init__(self, per_second: int) -> None:
        self._size = float(per_second)
        self._level = self._size
        self._at: float | None = None

    def allows(self, now: float) -> bool:
        """Count a request, and tell whether it may pass.

        Args:
            now: The time in seconds.
        """
        elapsed = max(0.0, now - self._at) if self._at is not None else 0.0
        self._level = min(self._size, self._level + elapsed * self._size)
        self._at = now
        if self._level < 1:
            return False
        self._level -= 1
        return True


_KINDS: Final[dict[LimitKind, type[FixedWindow | SlidingWindow | TokenBucket]]] = {
    "fixed": FixedWindow,
    "sliding": SlidingWindow,
    "bucket": TokenBucket,
}
_MOST_CLIENTS: Final = 1024


class RateLimits:
    """One limit per client id.

    Args:
        per_second: How many requests a client may make in a second; None for no limit.
        kind: How they are counted.
    """

    def __init__(self, per_second: int | None, kind: LimitKind) -> None:
        self._per_second = per_second
        self._kind = kind
        self._limits: dict[str, Limit] = {}

    def allows(self, client_id: str, now: float) -> bool:
        """Count a client's request, and tell whether it may pass.

        Args:
            client_id: The client, as the request names it.
            now: The time in seconds.
        """
        if self._per_second is None:
            return True
        limit = self._limits.pop(client_id, None) or _KINDS[self._kind](self._per_second)
        # Put back at the end: the one that is dropped is the one that has been silent longest.
        self._limits[client_id] = limit
        if len(self._limits) > _MOST_CLIENTS:
            del self._limits[next(iter(self._limits))]
        return limit.allows(now)
