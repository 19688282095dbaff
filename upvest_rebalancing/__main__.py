"""The command line: ``upvest-rebalancing`` and ``python -m upvest_rebalancing``."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path

_EXTRA = frozenset({"rich", "typer"})
_MISSING = """\
The command line needs {name}, which is not installed. Install it with

    pip install 'upvest-rebalancing[cli]'
"""


_INTERRUPTED = 130


def main() -> None:
    """Run the command line, and end the process with its exit status."""
    _open_streams()
    try:
        _run()
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    finally:
        _flush()


def _run() -> None:
    try:
        from upvest_rebalancing.cli.app import app  # noqa: PLC0415 - typer may be missing
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name not in _EXTRA:
            raise
        sys.stderr.write(_MISSING.format(name=name))
        sys.exit(2)
    app(prog_name="upvest-rebalancing")


def _open_streams() -> None:
    """Give the process streams that take any text, and none that is missing."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            file = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - lives on
            setattr(sys, name, file)
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _flush() -> None:
    """Drop what a broken or full stream did not take, or the interpreter complains at its end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


if __name__ == "__main__":
    main()
