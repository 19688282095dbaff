"""The rows of the report, by the names with which they are asked for.

A family is a function that takes the seconds that it may use and gives its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, TypeAlias

import attrs

from benchmarks.results import Row
from benchmarks.rows import (
    decoding,
    goodput,
    importing,
    latency,
    rates,
    running,
    signing,
    stalls,
    waiting,
    walking,
)

Measure: TypeAlias = Callable[[float], Sequence[Row]]


@attrs.frozen
class Family:
    """Rows that are measured together.

    Attributes:
        measure: Measures them.
        seconds: What it may use; a few more go into starting and warming up.
    """

    measure: Measure
    seconds: float


FAMILIES: Final[Mapping[str, Family]] = MappingProxyType(
    {
        "signing": Family(signing.measure, 14),
        "rates": Family(rates.measure, 44),
        "stalls": Family(stalls.measure, 16),
        "decoding": Family(decoding.measure, 8),
        "walking": Family(walking.measure, 60),
        "latency": Family(latency.measure, 10),
        "waiting": Family(waiting.measure, 10),
        "running": Family(running.measure, 60),
        "goodput": Family(goodput.measure, 8),
        "importing": Family(importing.measure, 24),
    }
)
"""In the order in which they are measured; together they stay under five minutes."""
