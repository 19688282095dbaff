"""The command line: ``upvest-rebalancing`` and ``python -m upvest_rebalancing``."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

_EXTRA = frozenset({"rich", "typer"})
_MISSING = """\
The command line needs {name}, which is not installed. Install it with

    pip install 'upvest-rebalancing[cli]'
"""
_INTERRUPTED = 130


def main() -> None:
    """Run the command line, and end the process with its exit status."""
    try:
        _open_streams()
        _run()
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    finally:
        _flush()
        # CPython remembers a KeyboardInterrupt that went through exec(), which libraries call as
        # they are imported, and with "python -m" ends by the signal, whoever caught it and whatever
        # status was asked for. The next exec() makes it forget.
        exec("")  # noqa: S102


def _run() -> None:
    try:
        with _interrupted_at_once():
            from upvest_rebalancing.cli.app import app  # noqa: PLC0415 - typer may be missing
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name not in _EXTRA:
            raise
        sys.stderr.write(_MISSING.format(name=name))
        sys.exit(2)
    app(prog_name="upvest-rebalancing")


@contextlib.contextmanager
def _interrupted_at_once() -> Iterator[None]:
    """Let Ctrl-C end the process on the spot, while nothing has begun that must be cleaned up.

    Imports would lose some of them: a `KeyboardInterrupt` that is raised in a callback of the
    import system's own is printed there, and the command goes on.
    """
    # Whoever ignores the signal, as nohup does, or has a handler of their own, keeps that.
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(_: int, __: FrameType | None) -> None:
    os._exit(_INTERRUPTED)


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
