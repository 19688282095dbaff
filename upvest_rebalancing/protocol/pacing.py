"""Find out how fast a client may send, and say when its next request may go.

Pure: the time is an argument, in seconds on a clock that never goes back.

Three things work together, from the fastest to the slowest:

- An even **pace**. The generic cell rate algorithm (GCRA, ITU-T I.371, annex A) spaces requests
  out, lets late ones catch up a little, and never puts more than the limit into any one second.
- A **hold**. After a refusal (429, or 503) nobody goes for a moment. Where the next request is
  refused as well the hold grows, exponentially, and requests go one by one until one passes: that
  finds the end of a server's window at the price of a few requests. ``Retry-After`` (RFC 9110,
  section 10.2.3) is a floor under it.
- A **rate**. A refusal takes it a little below what the server accepted in the last second, once
  per second at the most. From there it follows the curve of CUBIC (RFC 9438): quickly back to where
  the limit was met, slowly past it, then faster and faster. Clients that share a limit and know
  nothing of each other come to equal shares as flows of TCP do: by multiplicative decrease (RFC
  5681) and fast convergence (RFC 9438, section 4.7).

While no limit is known and nothing is refused, nothing is held back.
"""

from __future__ import annotations

import math
import re
from collections import deque
from typing import Any, Final

import attrs

REFUSALS: Final = frozenset({429, 503})
"""By these a server says that it has too much to do (RFC 6585, section 4; RFC 9110, 15.6.4)."""

UNAVAILABLE: Final = 503

FEW: Final = 0.2
"""The share of answers up to which 503s are a server's own trouble rather than too many requests:
everybody holds for a moment, but the rate is not cut, or it would never recover."""

WINDOW: Final = 1.0
"""Seconds over which successes are counted, and in which the rate is cut once."""

_COUNT: Final = re.compile(r"[1-9][0-9]{0,8}")


def _positive(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not (value > 0 and math.isfinite(value)):
        raise ValueError(f"{attribute.name} must be a positive, finite number, not {value!r}")


def _fraction(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(f"{attribute.name} must be between 0 and 1, not {value!r}")


@attrs.frozen(kw_only=True)
class PacingPolicy:
    """How a client spaces its requests, and what it does after a refusal.

    The defaults were found by simulation, for limits from 10 to 2,000 requests per second.

    Attributes:
        tolerance: Seconds of lateness that requests may make up for. What they may go too fast
            for a moment is taken from the rate, so that no second holds more than the limit.
        decrease: What the rate is multiplied with after a refusal. Gentler than TCP's 0.5 or
            0.7: what was accepted is counted here, and not guessed.
        growth: How fast the rate grows past the last limit, in requests per second per second
            cubed: C in RFC 9438, and its value.
        probe_requests: Requests that are sent between two probes at the least, so that those
            which a probe costs stay a small share where the limit is low.
        probe_patience: Seconds that `probe_requests` put a probe off at the most.
        first_hold: Seconds that nobody goes after a first refusal, or the time of one request
            where that is longer.
        hold_growth: What a hold is multiplied with while refusals go on. The larger it is the fewer
            requests are refused, and the longer a hold goes on after the server's window ended.
        longest_hold: Seconds that no hold of our own goes beyond.
        longest_pause: Seconds of a pause that a server asks for; it is not trusted with more.
        memory: Seconds without a refusal after which a limit that was found out is forgotten.
        slowest: Requests per second that no refusal leads far below.

    Raises:
        ValueError: A value is out of its range.
    """

    tolerance: float = attrs.field(default=0.02, validator=_positive)
    decrease: float = attrs.field(default=0.95, validator=_fraction)
    growth: float = attrs.field(default=0.4, validator=_positive)
    probe_requests: float = attrs.field(default=75.0, validator=_positive)
    probe_patience: float = attrs.field(default=6.0, validator=_positive)
    first_hold: float = attrs.field(default=0.05, validator=_positive)
    hold_growth: float = attrs.field(default=1.5, validator=attrs.validators.gt(1.0))
    longest_hold: float = attrs.field(default=20.0, validator=_positive)
    longest_pause: float = attrs.field(default=60.0, validator=_positive)
    memory: float = attrs.field(default=60.0, validator=_positive)
    slowest: float = attrs.field(default=1.0, validator=_positive)


@attrs.frozen
class Reservation:
    """What an admission took, so that it can be given back.

    Attributes:
        interval: Seconds of the pace.
        held_until: When the next request of a hold goes; None outside of one.
    """

    interval: float = 0.0
    held_until: float | None = None


_FREE: Final = Reservation()


@attrs.frozen(kw_only=True)
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


@attrs.define(eq=False, kw_only=True)
class Pacing:
    """Say when the next request may go, and learn from every answer.

    Attributes:
        limit: Requests that no second may hold more of; None where nobody said.
        policy: The reactions.
    """

    limit: float | None = None
    policy: PacingPolicy = attrs.field(factory=PacingPolicy)
    _told: float = attrs.field(default=math.inf, init=False)
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

    def rate(self, now: float) -> float:
        """Give the pace in requests per second; infinity where there is none.

        Args:
            now: The time in seconds.
        """
        limit = self._told if self.limit is None else min(self.limit, self._told)
        # A burst of rate x tolerance on top of the rate makes up the limit.
        ceiling = limit / (1 + self.policy.tolerance / WINDOW)
        if self._curve is None or now - self._refused_at > self.policy.memory:
            return ceiling
        return min(ceiling, self._curve.rate(now - self._epoch))

    def delay(self, now: float) -> float:
        """Say in how many seconds the next request may go, as things stand; 0 for at once.

        Args:
            now: The time in seconds.
        """
        at = max(self._held_until, self._asked_until)
        if self.rate(now) < math.inf:
            at = max(at, self._due - self.policy.tolerance)
        return max(0.0, at - now)

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
        rate = self.rate(now)
        if rate == math.inf:
            return _FREE if held_until is None else Reservation(0.0, held_until)
        if now > self._due:
            # Only a rate that is used is tested: the curve waits (RFC 9438, section 5.8).
            self._epoch = min(now, self._epoch + (now - max(self._due, self._epoch)))
            self._due = now
        self._due += 1 / rate
        return Reservation(1 / rate, held_until)

    def give_back(self, reservation: Reservation) -> None:
        """Let the next request go in place of one that was let go and was not sent.

        Args:
            reservation: What `take` returned.
        """
        self._due -= reservation.interval
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
            self._accepted.append(now)
            self._forget(now)
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
        quotas = [math.inf]
        for member in policy.split(","):
            parameters = {
                name.strip(): value.strip()
                for name, _, value in (part.partition("=") for part in member.split(";")[1:])
            }
            quota = parameters.get("q", "")
            if parameters.get("w") == "1" and _COUNT.fullmatch(quota):
                quotas.append(int(quota))
        self._told = min(quotas)

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
