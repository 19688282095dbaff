"""Learn from the server's ``Date`` how far this machine's clock is from it.

A signature says when it was made and for how long it is valid, by the signer's clock; on a machine
whose clock is minutes off, every one of them is refused. An answer's ``Date`` names the second in
which the server wrote it, and that moment lies between sending and receiving: each answer gives an
interval for the difference, and intervals of several answers narrow it down.

Pure: all times are arguments.
"""

from __future__ import annotations

from typing import Final

import attrs

TOLERATED: Final = 1.0
"""Seconds that the clocks may be apart before signatures are corrected."""

EXPLAINS: Final = 2.0
"""Seconds that an estimate must have moved since a signature was made to explain its refusal."""

DOUBTS: Final = 3
"""Answers in a row that must contradict what is known, and agree, before they are believed."""

FARTHEST: Final = 7 * 86_400.0
"""Seconds beyond which a ``Date`` is nonsense rather than a sign of a clock that is off."""

_DATE_RESOLUTION: Final = 1.0


@attrs.define(eq=False, repr=False)
class ServerClock:
    """Keep the best estimate of the server's time.

    A clock that jumps, here or there, shows in an interval that does not meet the ones before it.
    One such answer may come from a single server of many whose clock is off; they are forgotten
    when several agree, or when the answer refuses the signature.

    Attributes:
        jumps: How often the clocks have been found newly apart: at the start, or after a jump.
    """

    jumps: int = attrs.field(default=0, init=False)
    _low: float | None = attrs.field(default=None, init=False)
    _high: float | None = attrs.field(default=None, init=False)
    _other: tuple[float, float] = attrs.field(default=(0.0, 0.0), init=False)
    _doubts: int = attrs.field(default=0, init=False)

    def observe(
        self, *, date: float, sent: float, received: float, is_refused: bool = False
    ) -> bool:
        """Take an answer's ``Date``.

        Args:
            date: The ``Date``, in seconds since 1970.
            sent: When the request was sent, by this machine's clock, in seconds since 1970.
            received: When the answer was there, by the same clock.
            is_refused: True where the answer refuses the request: then it is believed at once.

        Returns:
            True where this shows, for the first time or anew, that the clocks are apart.
        """
        low, high = date - received, date + _DATE_RESOLUTION - sent
        if (
            self._low is not None
            and self._high is not None
            and low <= self._low <= self._high <= high
        ):
            # Nearly every answer: it says nothing that is not known better.
            self._doubts = 0
            return False
        if max(abs(low), abs(high)) > FARTHEST:
            return False
        before = self.correction
        if self._low is None or self._high is None:
            self._low, self._high = low, high
        elif low <= self._high and high >= self._low:
            self._low, self._high = max(low, self._low), min(high, self._high)
            self._doubts = 0
        elif self._is_believed(low, high, is_refused=is_refused):
            self._low, self._high = low, high
            self._doubts = 0
        is_news = abs(self.correction - before) >= EXPLAINS and self.correction != 0
        self.jumps += is_news
        return is_news

    def _is_believed(self, low: float, high: float, *, is_refused: bool) -> bool:
        """Tell whether an interval that contradicts what is known takes its place."""
        agrees = self._doubts > 0 and low <= self._other[1] and high >= self._other[0]
        self._doubts = self._doubts + 1 if agrees else 1
        self._other = (low, high)
        return is_refused or self._doubts >= DOUBTS

    @property
    def skew(self) -> float | None:
        """Seconds that the server's clock is ahead of this machine's; None while unknown."""
        if self._low is None or self._high is None:
            return None
        return (self._low + self._high) / 2

    @property
    def correction(self) -> float:
        """Seconds to add to this machine's time before signing; 0 while the clocks may agree."""
        if self._low is None or self._high is None:
            return 0.0
        if self._high >= -TOLERATED and self._low <= TOLERATED:
            return 0.0
        return (self._low + self._high) / 2

    def explains(self, correction: float) -> bool:
        """Tell whether a signature made with this correction was refused for its time, perhaps."""
        return abs(self.correction - correction) >= EXPLAINS
