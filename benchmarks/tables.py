"""Write the report: as text for the terminal and as the part of the README between two marks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.measuring import Figure
from benchmarks.results import Row, duration, per_second

README: Final = Path(__file__).parent / "README.md"
BEGIN: Final = "<!-- results: written by `python -m benchmarks --write-readme` -->"
END: Final = "<!-- end of results -->"

_BUSY: Final = 0.9


def report(machine: Mapping[str, str], rows: Sequence[Row]) -> str:
    """Write the whole report in Markdown."""
    parts = [
        _table(("machine", ""), machine.items()),
        _goals(rows),
        *(_details(row) for row in rows),
    ]
    return "\n\n".join(parts)


def write_readme(text: str, path: Path = README) -> None:
    """Put a report between the marks of the README.

    Raises:
        ValueError: The marks are not there.
    """
    content = path.read_text(encoding="utf-8")
    before, begin, rest = content.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} has no place for the results between {BEGIN!r} and {END!r}")
    path.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")


def _goals(rows: Iterable[Row]) -> str:
    lines = [
        (
            f"{row.name}: {check.what}" if check.what else row.name,
            check.measured,
            check.against,
            _value(check.value, check.goal.unit),
            str(check.goal),
            "yes" if check.is_reached else "**no**",
        )
        for row in rows
        for check in row.checks
    ]
    return _table(("row", "measured", "limit", "ratio", "goal", "met"), lines)


def _details(row: Row) -> str:
    parts = [f"### {row.name}"]
    if row.figures:
        head = ("contender", "of", "wall", "CPU", "per second", "middle half", "server's core")
        parts.append(_table(head, (_contender(figure) for figure in row.figures)))
    if row.notes:
        parts.append("\n".join(f"- {note}" for note in row.notes))
    return "\n\n".join(parts)


def _contender(figure: Figure) -> tuple[str, ...]:
    share = "-"
    if figure.server_share is not None:
        share = f"{figure.server_share:.0%}"
        if figure.server_share >= _BUSY:
            share += " (the bottleneck)"
    spread = f"{duration(figure.low)} to {duration(figure.high)}"
    return (
        figure.name,
        figure.unit,
        duration(figure.wall),
        duration(figure.cpu),
        per_second(figure.rate),
        f"{spread}, {figure.rounds} rounds" if figure.rounds > 1 else "one round",
        share,
    )


def _value(value: float, unit: str) -> str:
    return f"{value:.2f} {unit}" if value < 100 else f"{value:,.0f} {unit}"


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [list(head), ["---"] * len(head), *(list(line) for line in lines)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)
