"""The most memory that this process has held at a time.

`getrusage` has a mark as well, but a child inherits it: it begins with the memory that the parent
had when it started the child. The mark in `/proc` begins anew with the program.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import Final

_STATUS: Final = Path("/proc/self/status")
_RESET: Final = Path("/proc/self/clear_refs")


def reset() -> int:
    """Set the mark back to the memory that is held now.

    Returns:
        That memory, in bytes; the mark as it is where it can't be set back.
    """
    try:
        _RESET.write_text("5", encoding="ascii")
    except OSError:
        return high_water()
    return _field("VmRSS")


def high_water() -> int:
    """Give the mark, in bytes."""
    if _STATUS.exists():
        return _field("VmHWM")
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else size * 1024


def _field(name: str) -> int:
    for line in _STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(name)
