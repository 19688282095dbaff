"""What the benchmark has found out: rows, their figures and goals, and which are reached."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import attrs

from benchmarks.measuring import Figure

TIMES: Final = "\u00d7"
"""The sign of multiplication, which is what a ratio is in."""


@attrs.frozen
class Goal:
    """What a measured value has to be.

    Attributes:
        sense: Whether it has to be small or large.
        value: The border, which is still reached.
        unit: What the value is in; that of a ratio is `TIMES`.
    """

    sense: Literal["at most", "at least", "below"]
    value: float
    unit: str = TIMES

    def is_reached(self, value: float) -> bool:
        """Tell whether a value reaches the goal."""
        if self.sense == "at least":
            return value >= self.value
        return value <= self.value if self.sense == "at most" else value < self.value

    def __str__(self) -> str:
        sign = {"at most": "≤", "at least": "≥", "below": "<"}[self.sense]
        return f"{sign} {self.value:g} {self.unit}"


@attrs.frozen(kw_only=True)
class Check:
    """One goal of a row.

    Attributes:
        what: What is measured, in a few words; empty where the row's name says it.
        measured: What was measured, for a reader.
        against: What it is measured against, for a reader.
        value: The value that the goal is about: a ratio, as a rule.
        goal: The goal.
    """

    what: str = ""
    measured: str
    against: str = "-"
    value: float
    goal: Goal

    @property
    def is_reached(self) -> bool:
        """Whether the goal is reached."""
        return self.goal.is_reached(self.value)


@attrs.frozen(kw_only=True)
class Row:
    """One row of the report.

    Attributes:
        name: What is measured.
        checks: Its goals.
        figures: Its contenders.
        notes: What else was found out, in words that hold measured figures.
    """

    name: str
    checks: Sequence[Check]
    figures: Sequence[Figure] = ()
    notes: Sequence[str] = ()

    def as_json(self) -> dict[str, object]:
        """Give the row as JSON has it."""
        return {
            "name": self.name,
            "checks": [
                {
                    "what": check.what,
                    "measured": check.measured,
                    "against": check.against,
                    "value": check.value,
                    "goal": attrs.asdict(check.goal),
                    "reached": check.is_reached,
                }
                for check in self.checks
            ],
            "contenders": [attrs.asdict(figure) for figure in self.figures],
            "notes": list(self.notes),
        }


def duration(seconds: float) -> str:
    """Write seconds for a reader, in a unit that suits them, to three digits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{_digits(seconds / size)} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def per_second(rate: float) -> str:
    """Write a rate for a reader."""
    return f"{rate:,.0f}/s" if rate >= 100 else f"{_digits(rate)}/s"


def megabytes(size: float) -> str:
    """Write a number of bytes for a reader."""
    return f"{size / 1e6:.1f} MB"


def _digits(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
