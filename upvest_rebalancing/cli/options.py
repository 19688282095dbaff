"""Options that several commands share."""

from __future__ import annotations

import logging
import sys
from typing import Annotated, TypeAlias

import typer

_LOGGER = "upvest_rebalancing"


class _StandardError(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        # Looked up each time: a live display puts itself in place of sys.stderr.
        sys.stderr.write(self.format(record) + "\n")


def log_to_stderr(verbose: bool) -> bool:  # noqa: FBT001 - typer hands the option's value over
    """Log what the package does to standard error.

    Args:
        verbose: Whether to.

    Returns:
        The same.
    """
    logger = logging.getLogger(_LOGGER)
    if verbose and not any(isinstance(handler, _StandardError) for handler in logger.handlers):
        handler = _StandardError()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
    return verbose


Verbose: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--verbose", "-v", callback=log_to_stderr, help="Log every request to standard error."
    ),
]
EnvFile: TypeAlias = Annotated[
    str,
    typer.Option(
        "--env-file",
        metavar="FILE",
        help="A file with UPVEST_API_… variables; the environment wins over it. Only .env may be "
        "missing.",
    ),
]
Json: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Write one JSON document to standard output.")
]
Timeout: TypeAlias = Annotated[
    float,
    typer.Option("--timeout", min=0.001, metavar="SECONDS", help="How long to follow the orders."),
]
