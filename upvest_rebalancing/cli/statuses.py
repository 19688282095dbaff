"""The exit statuses of the commands."""

from __future__ import annotations

import enum


class ExitStatus(enum.IntEnum):
    """What a command's exit status says."""

    DONE = 0
    """Done, and everything is final."""
    FAILED = 1
    """Something failed, is not known, or is not final."""
    WRONG_INPUT = 2
    """The input or the configuration is wrong; nothing was sent."""
    INTERRUPTED = 130
    """Ended with SIGINT, that is Ctrl-C."""
    TERMINATED = 143
    """Ended with SIGTERM."""
