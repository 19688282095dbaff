"""The command line: ``upvest-rebalancing`` and ``python -m upvest_rebalancing``."""

from __future__ import annotations

import sys

_EXTRA = frozenset({"rich", "typer"})
_MISSING = """\
The command line needs {name}, which is not installed. Install it with

    pip install 'upvest-rebalancing[cli]'
"""


def main() -> None:
    """Run the command line, and end the process with its exit status."""
    try:
        from upvest_rebalancing.cli.app import app  # noqa: PLC0415 - typer may be missing
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name not in _EXTRA:
            raise
        sys.stderr.write(_MISSING.format(name=name))
        sys.exit(2)
    app(prog_name="upvest-rebalancing")


if __name__ == "__main__":
    main()
