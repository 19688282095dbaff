"""Count what does not depend on the machine: instructions of Python's, and bytes allocated."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from types import CodeType, FrameType, TracebackType
from typing import Any, Self

import upvest_rebalancing

PACKAGE = upvest_rebalancing.__file__.removesuffix("__init__.py")
GENERATED = "<attrs generated methods upvest_rebalancing"
"""How attrs names the methods that it writes for our classes."""


def is_ours(code: CodeType) -> bool:
    return code.co_filename.startswith((PACKAGE, GENERATED))


class Instructions:
    """Count the bytecode instructions of this package's own code, for a ``with`` block.

    What the libraries below do is theirs, and changes with their versions.
    """

    def __init__(self) -> None:
        self.count = 0
        self._counting = _Monitoring(self) if sys.version_info >= (3, 12) else _Tracing(self)

    def __enter__(self) -> Self:
        self._counting.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._counting.stop()


class _Tracing:
    """Count by `sys.settrace`, which later versions give events of opcodes by chance only."""

    def __init__(self, instructions: Instructions) -> None:
        self._instructions = instructions

    def start(self) -> None:
        # Coverage may be tracing as well, and goes on afterwards.
        self._before = sys.gettrace()
        sys.settrace(self._trace)

    def stop(self) -> None:
        sys.settrace(self._before)

    def _trace(self, frame: FrameType, _event: str, _argument: object) -> Any:
        if not is_ours(frame.f_code):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._count

    def _count(self, _frame: FrameType, event: str, _argument: object) -> Any:
        self._instructions.count += event == "opcode"
        return self._count


class _Monitoring:
    """Count by `sys.monitoring` (PEP 669)."""

    TOOL = 4  # Neither a debugger's, nor coverage's, a profiler's or an optimizer's.

    def __init__(self, instructions: Instructions) -> None:
        self._instructions = instructions
        self._monitoring: Any = sys.monitoring  # type: ignore[attr-defined,unused-ignore]

    def start(self) -> None:
        monitoring = self._monitoring
        monitoring.use_tool_id(self.TOOL, "costs")
        monitoring.register_callback(self.TOOL, monitoring.events.INSTRUCTION, self._count)
        monitoring.restart_events()
        monitoring.set_events(self.TOOL, monitoring.events.INSTRUCTION)

    def stop(self) -> None:
        monitoring = self._monitoring
        monitoring.set_events(self.TOOL, 0)
        monitoring.register_callback(self.TOOL, monitoring.events.INSTRUCTION, None)
        monitoring.free_tool_id(self.TOOL)

    def _count(self, code: CodeType, _offset: int) -> Any:
        if not is_ours(code):
            return self._monitoring.DISABLE
        self._instructions.count += 1
        return None


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
