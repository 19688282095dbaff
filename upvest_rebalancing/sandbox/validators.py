"""Checks of settings; each says what would be right."""

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import attrs

# Strings, as attrs makes the class generic for type checkers alone.
Field: TypeAlias = "attrs.Attribute[Any]"
Validator: TypeAlias = "Callable[[object, Field, object], None]"


def refuse(attribute: Field, value: object, wanted: str) -> None:
    """Refuse a value.

    Args:
        attribute: The field that it is for.
        value: The value.
        wanted: What would be right.

    Raises:
        ValueError: Always.
    """
    message = f"{attribute.name}={value!r}: must be {wanted}"
    raise ValueError(message)


def whole(low: int, high: int | None, unit: str, *, optional: bool = False) -> Validator:
    """Return a check for a whole number.

    Args:
        low: The lowest that may be.
        high: The highest that may be, None for no bound.
        unit: What is counted.
        optional: Whether None may be as well.
    """
    wanted = f"a whole number {_bounds(low, high)} ({unit})" + (" or None" if optional else "")

    def check(_instance: object, attribute: Field, value: object) -> None:
        if optional and value is None:
            return
        if not isinstance(value, int) or isinstance(value, bool) or not _within(value, low, high):
            refuse(attribute, value, wanted)

    return check


def real(low: float, high: float | None, unit: str) -> Validator:
    """Return a check for a finite number.

    Args:
        low: The lowest that may be.
        high: The highest that may be, None for no bound.
        unit: What is measured.
    """
    wanted = f"a number {_bounds(low, high)} ({unit})"

    def check(_instance: object, attribute: Field, value: object) -> None:
        if (
            not isinstance(value, int | float)
            or isinstance(value, bool)
            or not math.isfinite(value)
            or not _within(value, low, high)
        ):
            refuse(attribute, value, wanted)

    return check


def flag(_instance: object, attribute: Field, value: object) -> None:
    """Check for True or False."""
    if not isinstance(value, bool):
        refuse(attribute, value, "True or False")


def one_of(*choices: str) -> Validator:
    """Return a check for one of some texts.

    Args:
        choices: The texts.
    """

    def check(_instance: object, attribute: Field, value: object) -> None:
        if value not in choices:
            refuse(attribute, value, " or ".join(repr(choice) for choice in choices))

    return check


def _within(value: float, low: float, high: float | None) -> bool:
    return value >= low and (high is None or value <= high)


def _bounds(low: float, high: float | None) -> str:
    return f"from {low:g} to {high:g}" if high is not None else f"of at least {low:g}"
