"""Measure, print a table, write JSON.

python -m benchmarks                        everything, in under five minutes
python -m benchmarks signing decoding       some of it
python -m benchmarks --write-readme         everything, and the table of the README with it
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks import machine, tables
from benchmarks.results import Row
from benchmarks.rows import FAMILIES

RESULTS: Final = Path(__file__).parent / "results.json"
_ENDINGS: Final = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Carry out what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"what to measure: {', '.join(FAMILIES)}"
    )
    parser.add_argument("--json", type=Path, default=RESULTS, metavar="FILE", help="the results")
    parser.add_argument(
        "--write-readme", action="store_true", help="put the report into benchmarks/README.md"
    )
    parser.add_argument(
        "--scale", type=float, default=1.0, help="multiplies the time that is measured, for a try"
    )
    given = parser.parse_args(arguments)
    unknown = [name for name in given.names if name not in FAMILIES]
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(FAMILIES)}")
    if given.write_readme and (given.names or given.scale < 1):
        parser.error("the README shows a whole run; leave out the names and the scale")

    # httpx and requests look for proxies; nothing here is to leave the machine.
    os.environ["NO_PROXY"] = "127.0.0.1"
    # Ended from outside, it still ends the processes that it has started.
    for number in _ENDINGS:
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    about = machine.describe()
    began = time.perf_counter()
    rows = _measure(given.names or list(FAMILIES), given.scale)
    about["the run took"] = f"{time.perf_counter() - began:.0f} s"

    report = tables.report(about, rows)
    results = {"machine": about, "rows": [row.as_json() for row in rows]}
    given.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    if given.write_readme:
        tables.write_readme(report)
    print(report)


def _measure(names: Sequence[str], scale: float) -> list[Row]:
    rows: list[Row] = []
    for name in names:
        family = FAMILIES[name]
        print(f"{name} …", end="", file=sys.stderr, flush=True)
        began = time.perf_counter()
        rows += family.measure(family.seconds * scale)
        print(f" {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
        gc.collect()
    return rows


if __name__ == "__main__":
    main()
