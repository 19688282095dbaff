"""`run` over 10,000 and 100,000 accounts: what an account costs more where there are more."""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.measuring import Contender, Figure, Sample, Turn, compete
from benchmarks.processes import python, sandbox
from benchmarks.results import Check, Goal, Row, duration, megabytes

SMALL: Final = 10_000
LARGE: Final = 100_000
_SIZES: Final = (1, SMALL, LARGE)
_RUNS: Final = {1: 3, SMALL: 3, LARGE: 1}
"""Runs in one turn: the short ones differ more from each other."""

_PATIENCE: Final = 100.0
_OPTIONS: Final = ("--rate-limit", "0", "--order-seconds", "0", "--key-type", "ed25519")


def measure(seconds: float) -> Sequence[Row]:
    """Run over files of accounts in turns, each run with a sandbox that is new as well."""
    memory: dict[int, list[int]] = {size: [] for size in _SIZES}
    collecting: dict[int, list[float]] = {size: [] for size in _SIZES}
    with tempfile.TemporaryDirectory() as name:
        contenders = [
            Contender(
                _name(size), _turn(Path(name), size, memory[size], collecting[size]), "account"
            )
            for size in _SIZES
        ]
        found = asyncio.run(compete(contenders, seconds=seconds, least=1, warm_up=False))
    figures = {size: found[_name(size)] for size in _SIZES}
    return [
        _row(
            figures,
            {size: statistics.median(found) for size, found in memory.items()},
            {size: statistics.median(found) / size for size, found in collecting.items()},
        )
    ]


def _name(size: int) -> str:
    return f"{size:,} accounts" if size > 1 else "one account, which is what every run takes"


def _turn(directory: Path, size: int, memory: list[int], collecting: list[float]) -> Turn:
    file, report = directory / f"{size}.txt", directory / "report.json"
    source = random.Random(size)
    ids = (uuid.UUID(int=source.getrandbits(128), version=4) for _ in range(size))
    file.write_text("".join(f"{account}\n" for account in ids), encoding="ascii")

    def run() -> Sample:
        with sandbox(directory, *_OPTIONS) as served:
            before = served.cpu()
            command = ("run", str(file), "--env-file", str(served.file))
            python("-m", "benchmarks.command", str(report), *command, timeout=_PATIENCE)
            spent = None if before is None else (served.cpu() or before) - before
        took = json.loads(report.read_bytes())
        memory.append(took["memory"])
        collecting.append(took["collecting"])
        return Sample(count=size, wall=took["wall"], cpu=took["cpu"], server=spent)

    return lambda: Sample.sum([run() for _ in range(_RUNS[size])])


def _row(figures: dict[int, Figure], memory: dict[int, float], collecting: dict[int, float]) -> Row:
    start = figures[1].cpu
    small, large = figures[SMALL].cpu, figures[LARGE].cpu
    small_alone, large_alone = (figures[size].cpu - start / size for size in (SMALL, LARGE))
    per_account = (memory[LARGE] - memory[SMALL]) / (LARGE - SMALL)
    share = figures[LARGE].server_share
    return Row(
        name="`run` over 100,000 accounts",
        checks=[
            Check(
                what="processor time per account",
                measured=duration(large),
                against=f"{duration(small)} at 10,000",
                value=large / small,
                goal=Goal("at most", 1.1),
            ),
            Check(
                what="the same, without what a run of one account takes",
                measured=duration(large_alone),
                against=f"{duration(small_alone)} at 10,000",
                value=large_alone / small_alone,
                goal=Goal("at most", 1.1),
            ),
            Check(
                what="memory per account",
                measured=f"{per_account:,.0f} bytes",
                value=per_account / 1000,
                goal=Goal("below", 1, "kB"),
            ),
        ],
        figures=list(figures.values()),
        notes=[
            (
                f"What a run of one account takes, {duration(start)}, is shared by all accounts of "
                "a run: it hides in the first figure what grows with their number, and is left out "
                "of the second."
            ),
            (
                "Of an account's time the garbage collector has "
                f"{duration(collecting[LARGE])} with 100,000 accounts and "
                f"{duration(collecting[SMALL])} with 10,000: results live to the "
                "end, and the more there are, the longer it takes to look through them."
            ),
            (
                f"At the most {megabytes(memory[LARGE])} of memory with 100,000 accounts, "
                f"{megabytes(memory[SMALL])} with 10,000."
            ),
            _sandbox(share),
        ],
    )


def _sandbox(share: float | None) -> str:
    if share is None:
        return "What the sandbox used meanwhile can't be told on this system."
    return (
        f"The sandbox used {share:.0%} of a core meanwhile: the wall clock shows the two together, "
        "and the processor time the client alone."
    )
