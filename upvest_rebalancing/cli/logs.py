"""Logging for the command line: standard library, to standard error, only when asked for."""

from __future__ import annotations

import logging
import sys

LOGGER = "upvest_rebalancing"


class _StandardError(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        # Looked up each time: a live display puts itself in place of sys.stderr.
        stream = sys.stderr
        try:
            text = self.format(record) + "\n"
            encoding = getattr(stream, "encoding", None) or "utf-8"
            stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        except Exception:  # noqa: BLE001 - whatever it is, it must not end a trigger
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Say nothing: the place for it is the one that fails."""


def log_to_stderr() -> None:
    """Log what the package does, request by request, to standard error."""
    logger = logging.getLogger(LOGGER)
    if not any(isinstance(handler, _StandardError) for handler in logger.handlers):
        handler = _StandardError()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
