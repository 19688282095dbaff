"""The controller: when the next request may go, and what every answer teaches."""

from __future__ import annotations

import math
from collections import deque
from typing import Final, NamedTuple

import attrs

from upvest_rebalancing.protocol.pacing.policy import PacingPolicy
from upvest_rebalancing.protocol.pacing.quotas import quota_per_second
from upvest_rebalancing.protocol.pacing.window import Window

REFUSALS: Final = frozenset({429, 503})
"""By these a server says that it has too much to do (RFC 6585, section 4; RFC 9110, 15.6.4)."""

UNAVAILABLE: Final = 503

FEW: Final = 0.2
"""The share of answers up to which 503s are a server's own trouble rather than too many requests:
everybody holds for a moment, but the rate is not cut, or it would never recover."""

WINDOW: Final = 1.0
"""Seconds over which successes are counted, and in which the rate is cut once."""


class Reservation(NamedTuple):
    """What an admission took, so that it can be given back.

    Attributes:
        interval: Seconds of the pace.
        held_until: When the next request of a hold goes; None outside of one.
        taken_at: When it was to go.
    """

    interval: float = 0.0
    held_until: float | None = None
    taken_at: float = -math.inf


_FREE: Final = Reservation()


@attrs.frozen(eq=False, repr=False, kw_only=True)
class _Curve:
    """The rate by the seconds since a cut: up to the peak, flat there, and on (RFC 9438, 4.2).

    Before the peak the curve is stretched to last `rise` seconds; after it, `growth` is all.
    """

    bottom: float
    peak: float
    rise: float
    growth: float

    def rate(self, age: float) -> float:
        past = age - self.rise
        bend = self.growth if past > 0 else (self.peak - self.bottom) / self.rise**3
        return self.peak + bend * past**3


@attrs.define(eq=False, repr=False, kw_only=True)
class Pacing:
    """Say when the next request may go, and learn from every answer.

    Attributes:
        limit: Requests that no second may hold more of; None where nobody said.
        policy: The reactions.
    """

    limit: float | None = None
    policy: PacingPolicy = attrs.field(factory=PacingPolicy)
    _window: Window = attrs.field(factory=Window, init=False)
    _ceiling: float = attrs.field(default=math.inf, init=False)
    _tolerance: float = attrs.field(default=0.0, init=False)
    _told_by: str | None = attrs.field(default=None, init=False)
    _curve: _Curve | None = attrs.field(default=None, init=False)
    _epoch: float = attrs.field(default=0.0, init=False)
    _due: float = attrs.field(default=-math.inf, init=False)
    _hold: float = attrs.field(default=0.0, init=False)
    _held_until: float = attrs.field(default=-math.inf, init=False)
    _asked_until: float = attrs.field(default=-math.inf, init=False)
    _refused_at: float = attrs.field(default=-math.inf, init=False)
    _cut_at: float = attrs.field(default=-math.inf, init=False)
    _accepted: deque[float] = attrs.field(factory=deque, init=False)
    _refused: deque[float] = attrs.field(factory=deque, init=False)

    def __attrs_post_init__(self) -> None:
        self._limit_to(math.inf)

    def rate(self, now: float) -> float:
        """Give the pace in requests per second; infinity where there is none.

        Args:
            now: The time in seconds.
        """
        if self._curve is None or now - self._refused_at > self.policy.memory:
            return self._ceiling
        return min(self._ceiling, self._curve.rate(now - self._epoch))

    def delay(self, now: float) -> float:
        """Say in how many seconds the next request may go, as things stand; 0 for at once.

        Args:
            now: The time in seconds.
        """
        at = max(self._due, self._window.opens_at(), self._held_until, self._asked_until)
        return at - now if at > now else 0.0

    def take(self, now: float) -> Reservation:
        """Let a request go.

        Args:
            now: The time in seconds, at which `delay` is 0.

        Returns:
            What to give back if the request does not go after all.
        """
        held_until = None
        if self._hold:
            self._held_until = held_until = now + self._hold
        self._window.take(now)
        rate = self.rate(now)
        if rate == math.inf:
            return _FREE if held_until is None else Reservation(0.0, held_until)
        late_from = self._due + self._tolerance
        if now > late_from:
            # Only a rate that is used is tested: the curve waits (RFC 9438, section 5.8).
            self._epoch = min(now, self._epoch + (now - max(late_from, self._epoch)))
            # Who was silent for so long was not late, and has nothing to make up for.
            is_fresh = now - late_from > WINDOW
            self._due = now if is_fresh else now - self._tolerance
        interval = 1 / rate
        self._due += interval
        return Reservation(interval, held_until, now)

    def give_back(self, reservation: Reservation) -> None:
        """Let the next request go in place of one that was let go and was not sent.

        Args:
            reservation: What `take` returned.
        """
        self._due -= reservation.interval
        self._window.give_back(reservation.taken_at)
        if reservation.held_until == self._held_until:
            self._held_until = -math.inf

    def answered(
        self, now: float, status: int, *, sent_at: float, retry_after: float | None = None
    ) -> None:
        """Learn from an answer.

        Args:
            now: The time in seconds.
            status: The answer's status. A server that fails otherwise is not overloaded.
            sent_at: When the request went, in seconds.
            retry_after: Seconds that the server asks to wait.
        """
        if status not in REFUSALS:
            # This is the way of nearly every answer: no more is done on it than must be.
            accepted = self._accepted
            accepted.append(now)
            while accepted[0] <= now - WINDOW:
                accepted.popleft()
            if self._hold and sent_at > self._refused_at:
                self._hold = 0.0
                self._held_until = -math.inf
            return
        self._refused.append(now)
        self._forget(now)
        if retry_after is not None:
            pause = min(retry_after, self.policy.longest_pause)
            self._asked_until = max(self._asked_until, now + pause)
        if sent_at <= self._refused_at:
            return  # It was on its way when the last refusal came: one overload, one reaction.
        if self._hold:
            hold = self._hold * self.policy.hold_growth
        else:
            hold = max(self.policy.first_hold, 1 / self.rate(now))
            is_overload = status != UNAVAILABLE or retry_after is not None or self._many()
            if is_overload and now - self._cut_at >= WINDOW:
                self._cut(now)
        self._hold = min(hold, self.policy.longest_hold)
        self._refused_at = now
        self._held_until = now + self._hold

    def told(self, policy: str) -> None:
        """Take a limit that the server tells, as a further one beside `limit`.

        Args:
            policy: A ``RateLimit-Policy`` header (draft-ietf-httpapi-ratelimit-headers-10), such
                as ``"default";q=300;w=1``. Only quotas per second are taken, the lowest of them.
        """
        if policy == self._told_by:
            return
        self._told_by = policy
        self._limit_to(quota_per_second(policy))

    def _limit_to(self, told: float) -> None:
        limit = told if self.limit is None else min(self.limit, told)
        policy = self.policy
        self._tolerance = policy.tolerance if limit < math.inf else policy.blind_tolerance
        self._window.limit(limit, policy.margin)
        self._ceiling = self._window.rate * (1 - policy.reserve)

    def _many(self) -> bool:
        refused = len(self._refused)
        return refused > FEW * (refused + len(self._accepted))

    def _forget(self, now: float) -> None:
        for answers in (self._accepted, self._refused):
            while answers and answers[0] <= now - WINDOW:
                answers.popleft()

    def _cut(self, now: float) -> None:
        policy, rate = self.policy, self.rate(now)
        reached = min(rate, len(self._accepted) / WINDOW)
        if rate < math.inf:
            # There may be few successes because little was asked for.
            reached = max(reached, rate / 2)
        reached = max(reached, policy.slowest)
        bottom = reached * policy.decrease
        last = self._curve
        shrinks = last is not None and reached < last.peak
        peak = reached * (1 + policy.decrease) / 2 if shrinks else reached
        rise = math.cbrt((peak - bottom) / policy.growth)
        patience = min(policy.probe_requests / peak, policy.probe_patience)
        self._curve = _Curve(
            bottom=bottom, peak=peak, rise=max(rise, patience), growth=policy.growth
        )
        self._epoch = self._cut_at = now
        self._due = max(self._due, now)
