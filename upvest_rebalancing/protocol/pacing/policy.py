"""What the controller goes by: every number that may be set."""

from __future__ import annotations

import math
from typing import Any

import attrs


def _positive(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not (value > 0 and math.isfinite(value)):
        raise ValueError(f"{attribute.name} must be a positive, finite number, not {value!r}")


def _fraction(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(f"{attribute.name} must be between 0 and 1, not {value!r}")


@attrs.frozen(eq=False, repr=False, kw_only=True)
class PacingPolicy:
    """How a client spaces its requests, and what it does after a refusal.

    The defaults were found by simulation, for limits from 10 to 2,000 requests per second.

    Attributes:
        tolerance: Seconds of lateness that requests may make up for, all at once.
        blind_tolerance: The same while no limit is known: nothing else bounds then what they make
            up for, and clients that share a limit would take it from each other.
        margin: Seconds by which requests may come closer together at the server than they went.
            As much longer than a second is the time that holds no more than the limit.
        reserve: The share of the limit that the pace leaves to those which make up for lateness.
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

    tolerance: float = attrs.field(default=0.1, validator=_positive)
    blind_tolerance: float = attrs.field(default=0.02, validator=_positive)
    margin: float = attrs.field(default=0.01, validator=_positive)
    reserve: float = attrs.field(default=0.005, validator=_fraction)
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
