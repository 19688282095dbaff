"""Count what does not depend on the machine: instructions of Python's, and bytes allocated."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from types import FrameType, TracebackType
from typing import Any, Self

import upvest_rebalancing

PACKAGE = upvest_rebalancing.__file__.removesuffix("__init__.py")
GENERATED = "<attrs generated methods upvest_rebalancing"
"""How attrs names the methods that it writes for our classes."""


class Instructions:
    """Count the bytecode instructions of this package's own code, for a ``with`` block.

    What the libraries below do is theirs, and changes with their versions.
    """

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> Self:
        # Coverage may be tracing as well, and goes on afterwards.
        self._before = sys.gettrace()
        sys.settrace(self._trace)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        sys.settrace(self._before)

    def _trace(self, frame: FrameType, _event: str, _argument: object) -> Any:
        if not frame.f_code.co_filename.startswith((PACKAGE, GENERATED)):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._count

    def _count(self, _frame: FrameType, event: str, _argument: object) -> Any:
        if event == "opcode":
            self.count += 1
        return self._count


class Allocations:
    """Measure the bytes that a ``with`` block allocates and keeps, and its peak."""

    kept = 0
    peak = 0

    def __enter__(self) -> Self:
        gc.collect()
        tracemalloc.start()
        self._before, _ = tracemalloc.get_traced_memory()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        now, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        self.kept, self.peak = now - self._before, peak - self._before
