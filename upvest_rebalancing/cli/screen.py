"""What a command writes on: standard output for results, standard error for everything else."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn, Self, TextIO, cast

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


def one_line(text: str) -> str:
    """Put a text on one line, whatever line breaks it has.

    Args:
        text: Any text.
    """
    return " ".join(text.split())


class Stream:
    """A text stream that takes anything and never raises.

    What its encoding lacks is written as escapes. Where the stream is missing, closed, broken or
    full, the text is dropped, and `lost` says why.

    Args:
        stream: The stream; None where the process has none.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self.encoding: str = getattr(stream, "encoding", None) or "utf-8"
        self.lost: OSError | ValueError | None = None
        """Why something could not be written; None where nothing was lost."""

    def write(self, text: str) -> int:
        """Write a text."""
        try:
            text.encode(self.encoding)
        except UnicodeError:
            text = text.encode(self.encoding, "backslashreplace").decode(self.encoding)
        if self._stream is not None and self.lost is None:
            try:
                self._stream.write(text)
            except (OSError, ValueError) as error:
                self.lost = error
        return len(text)

    def flush(self) -> None:
        """Hand on what was written."""
        if self._stream is not None and self.lost is None:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:
                self.lost = error

    def isatty(self) -> bool:
        """Tell whether it is a terminal."""
        try:
            return self._stream is not None and self._stream.isatty()
        except (OSError, ValueError):
            return False

    def fileno(self) -> int:
        """Give the file's number.

        Raises:
            OSError: There is none.
        """
        if self._stream is None:
            message = "there is no file"
            raise OSError(message)
        return self._stream.fileno()


def _console(file: Stream) -> Console:
    # A variable that forces colours must not put escapes into a file, and a line in a file is
    # never folded.
    is_terminal = file.isatty()
    return Console(
        file=cast("TextIO", file),
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
        stream: What is under `out`.
    """

    out: Console
    err: Console
    stream: Stream

    @classmethod
    def open(cls, *, verbose: bool = False) -> Self:
        """Bind to standard output and standard error.

        Args:
            verbose: Whether the package is to log to standard error as well.
        """
        if verbose:
            log_to_stderr()
        stream = Stream(sys.stdout)
        return cls(_console(stream), _console(Stream(sys.stderr)), stream)

    def result(self, text: str = "") -> None:
        """Write lines of a result."""
        self.out.print(Text(plain(text)), soft_wrap=True)

    def json(self, document: Mapping[str, Any]) -> None:
        """Write a JSON document, the only one of the command."""
        self.stream.write(json_text(document, self.stream.encoding, indent=2) + "\n")
        self.stream.flush()

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

    def end(self, status: ExitStatus) -> NoReturn:
        """End the command; where its result could not be written, it has not succeeded.

        Args:
            status: The exit status of what was done.

        Raises:
            Exit: Always.
        """
        self.stream.flush()
        lost = self.stream.lost
        if lost is None:
            raise typer.Exit(status)
        if not isinstance(lost, BrokenPipeError):
            reason = getattr(lost, "strerror", None) or str(lost)
            self.error(f"standard output can't be written to: {reason}")
        raise typer.Exit(status if status is not ExitStatus.DONE else ExitStatus.FAILED)

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


def json_text(value: object, encoding: str, indent: int | None = None) -> str:
    """Write JSON that survives an encoding: what it lacks becomes JSON's own escapes.

    Args:
        value: The value.
        encoding: The encoding that is to hold the text.
        indent: How far to indent each level.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    try:
        text.encode(encoding)
    except UnicodeError:
        return json.dumps(value, indent=indent)
    return text


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
