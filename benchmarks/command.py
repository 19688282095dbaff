"""Run the package's command in this process, and write down what that took.

What is written is the processor time after everything was imported, how much of it the garbage
collector had, and the most memory.

    python -m benchmarks.command REPORT run accounts.txt --env-file sandbox.env
"""

from __future__ import annotations

import atexit
import gc
import json
import sys
import time
from pathlib import Path

from benchmarks import memory
from upvest_rebalancing.__main__ import main as run_command
from upvest_rebalancing.cli import app as _app  # noqa: F401 - imported before anything counts


def main() -> None:
    """Run what follows the report's name on the command line."""
    report = Path(sys.argv.pop(1))
    cpu, wall = time.process_time(), time.perf_counter()
    collecting, since = 0.0, 0.0

    def collect(phase: str, _info: dict[str, int]) -> None:
        nonlocal collecting, since
        if phase == "start":
            since = time.process_time()
        else:
            collecting += time.process_time() - since

    def write() -> None:
        took = {
            "wall": time.perf_counter() - wall,
            "cpu": time.process_time() - cpu,
            "collecting": collecting,
            "memory": memory.high_water(),
        }
        report.write_text(json.dumps(took), encoding="utf-8")

    # The command ends by leaving the interpreter, not by coming back.
    atexit.register(write)
    gc.callbacks.append(collect)
    run_command()


if __name__ == "__main__":
    main()
