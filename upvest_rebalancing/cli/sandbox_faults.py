"""The faults of a sandbox on the command line: their notation, and what there is of them."""

from __future__ import annotations

import typer

from upvest_rebalancing.cli.screen import Screen
from upvest_rebalancing.sandbox import Fault, FaultKind


def fault_list() -> str:
    """Return every kind of fault with its line, as a list in Markdown."""
    return "\n".join(f"* **{kind.value}**: {kind.explanation}" for kind in FaultKind)


def show_faults(value: bool) -> None:  # noqa: FBT001 - typer hands the option's value over
    """Write every kind of fault, its parameters with their defaults, and its line; then end.

    Args:
        value: Whether that is asked for.

    Raises:
        typer.Exit: It was.
    """
    if not value:
        return
    screen = Screen.open()
    for kind in FaultKind:
        spec = Fault(kind).spec
        parameters = ",".join(
            name if default is None else f"{name}={default}"
            for name, default in spec.parameters.items()
        )
        screen.result(f"{kind.value}:{parameters}" if parameters else kind.value)
        screen.result(f"    {spec.line}")
    raise typer.Exit


def parse_fault(text: str) -> Fault:
    """Read a fault in its notation.

    Args:
        text: The fault.

    Raises:
        ValueError: It is none; names the option and what would be right.
    """
    try:
        return Fault.parse(text)
    except ValueError as error:
        message = f"--fault {text}: {error}"
        raise ValueError(message) from None
