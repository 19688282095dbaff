"""What a command writes on: standard output for results, standard error for everything else."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self, TextIO

import attrs
import typer
from rich.console import Console
from rich.text import Text

from upvest_rebalancing.cli.logs import log_to_stderr
from upvest_rebalancing.cli.running import StoppedError
from upvest_rebalancing.cli.statuses import ExitStatus
from upvest_rebalancing.errors import (
    ConfigurationError,
    InvalidRequestError,
    RebalancingError,
    RequestError,
    ScopeError,
    TokenError,
)

_UNBOUNDED = 10_000
_REFUSALS = frozenset({400, 401, 403})


def plain(text: str) -> str:
    """Make control characters visible: what a server says must not steer a terminal.

    Args:
        text: Any text; its line breaks stay.

    Returns:
        The text, with escapes in place of what can't be printed.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in text
    )


def _console(file: TextIO) -> Console:
    # A variable that forces colours must not put escapes into a file, and a line in a file is
    # never folded.
    is_terminal = file.isatty()
    return Console(
        file=file,
        force_terminal=is_terminal,
        width=None if is_terminal else _UNBOUNDED,
        markup=False,
        highlight=False,
        emoji=False,
    )


@attrs.frozen
class Screen:
    """Two consoles that are bound to the process's streams as they are now.

    Attributes:
        out: For results.
        err: For progress, remarks and errors.
    """

    out: Console
    err: Console

    @classmethod
    def open(cls, *, verbose: bool = False) -> Self:
        """Bind to standard output and standard error.

        Args:
            verbose: Whether the package is to log to standard error as well.
        """
        if verbose:
            log_to_stderr()
        return cls(_console(sys.stdout), _console(sys.stderr))

    def result(self, text: str = "") -> None:
        """Write lines of a result."""
        self.out.print(Text(plain(text)), soft_wrap=True)

    def json(self, document: Mapping[str, Any]) -> None:
        """Write a JSON document, the only one of the command."""
        self.out.file.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
        self.out.file.flush()

    def remark(self, text: str, style: str = "") -> None:
        """Write a remark, apart from the results."""
        self.err.print(Text(plain(text), style), soft_wrap=True)

    def error(self, text: str) -> None:
        """Say what went wrong."""
        self.err.print(Text.assemble(("error: ", "bold red"), plain(text)), soft_wrap=True)

    def table(self, rows: Mapping[str, str]) -> None:
        """Write names and what belongs to them, side by side."""
        width = max(map(len, rows))
        for name, value in rows.items():
            line = Text.assemble((f"{name:<{width}}", "bold"), f"  {plain(value)}")
            self.out.print(line, soft_wrap=True)

    @contextmanager
    def reporting(self) -> Iterator[None]:
        """Turn the package's errors into a message and an exit status; no other is touched."""
        try:
            yield
        except (ConfigurationError, InvalidRequestError) as error:
            self.error(str(error))
            raise typer.Exit(ExitStatus.WRONG_INPUT) from None
        except RebalancingError as error:
            self.error(explain(error))
            refused = is_refused(error)
            raise typer.Exit(ExitStatus.WRONG_INPUT if refused else ExitStatus.FAILED) from None
        except KeyboardInterrupt:
            self.remark("interrupted")
            raise typer.Exit(ExitStatus.INTERRUPTED) from None
        except StoppedError as stop:
            self.remark(str(stop))
            raise typer.Exit(stop.status) from None


def is_refused(error: RebalancingError) -> bool:
    """Tell whether an error says that the credentials are wrong, and nothing was sent.

    Args:
        error: The error.
    """
    return isinstance(error, ScopeError) or (
        isinstance(error, TokenError) and error.status in _REFUSALS
    )


def explain(error: RebalancingError) -> str:
    """Say in full what an error knows.

    Args:
        error: The error.

    Returns:
        Its message and, for a failed call, what a support desk asks for.
    """
    lines = [str(error)]
    if isinstance(error, RequestError):
        if error.request_id is not None and error.request_id not in lines[0]:
            lines.append(f"request id: {error.request_id}")
        if error.idempotency_key is not None:
            known = "may have been executed" if error.may_have_been_executed else "was not executed"
            lines.append(f"the call {known}; idempotency key: {error.idempotency_key}")
    return "\n".join(lines)
