"""Write results to a file that appears whole or not at all."""

from __future__ import annotations

import contextlib
import csv
import enum
import json
import os
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

import attrs

from upvest_rebalancing.bulk.results import AccountResult
from upvest_rebalancing.errors import InvalidRequestError

FIELDS = tuple(field.name for field in attrs.fields(AccountResult))
"""The names of the columns, in their order."""

_LINE_END = "\r\n"


class ResultFormat(enum.StrEnum):
    """The form of a file of results."""

    CSV = "csv"
    """A header, then a row per account; what is not known is empty."""
    JSONL = "jsonl"
    """A JSON object per account and line; what is not known is null."""


def result_format(path: Path) -> ResultFormat:
    """Tell from a file's name which form it is to have.

    Args:
        path: The file.

    Returns:
        The form.

    Raises:
        InvalidRequestError: The name ends neither in ``.csv`` nor in ``.jsonl``.
    """
    try:
        return ResultFormat(path.suffix.lower().removeprefix("."))
    except ValueError:
        message = f"{path}: a name that ends in .csv or .jsonl would be right"
        raise InvalidRequestError(message) from None


class ResultsFile:
    """A file of results that is written to a temporary one beside it, which then takes the name.

    The temporary file is made at once: a place that can't be written to is found before a job
    starts, and not after it. A reader of the file, or whoever looks after a crash, finds the old
    content or the new one and never a part. Close it in any case.

    Args:
        path: The file; its ending, ``.csv`` or ``.jsonl``, decides on the form.

    Raises:
        InvalidRequestError: The name has no known ending, or the file can't be made there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        """The file that is to be written."""
        self._form = result_format(path)
        directory = path.parent
        try:
            if path.is_dir():
                message = f"{path} is a directory; a file would be right"
                raise InvalidRequestError(message)
            if not directory.is_dir():
                message = f"{path}: the directory {directory} does not exist"
                raise InvalidRequestError(message)
            # A name that the file system does not take shows here: the temporary one is short.
            with contextlib.suppress(FileNotFoundError):
                path.lstat()
            self._temporary: Path | None = directory / f".results-{secrets.token_hex(8)}.tmp"
            # What is no text for UTF-8, a lone surrogate from a server, is written as an escape.
            self._file = self._temporary.open(
                "x", encoding="utf-8", errors="backslashreplace", newline=""
            )
        except (OSError, ValueError) as error:
            if isinstance(error, InvalidRequestError):
                raise
            reason = getattr(error, "strerror", None) or str(error)
            message = f"{str(path)!r} can't be written: {reason}; another file would be right"
            raise InvalidRequestError(message) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def write(self, results: Iterable[AccountResult]) -> None:
        """Write a row per result, and give the file its name; once.

        Args:
            results: The results, in the order of the rows.

        Raises:
            OSError: The file can't be written; the one that stood there is as it was.
        """
        if self._temporary is None:
            message = "the file is closed"
            raise ValueError(message)
        write = _write_csv if self._form is ResultFormat.CSV else _write_jsonl
        write(self._file, results)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._temporary.replace(self.path)
        self._temporary = None

    def close(self) -> None:
        """Remove the temporary file, unless it has become the file."""
        # A full disk fails once more on what the buffer still holds.
        with contextlib.suppress(OSError):
            self._file.close()
        if self._temporary is not None:
            with contextlib.suppress(OSError):
                self._temporary.unlink()
            self._temporary = None


def write_results(path: Path, results: Iterable[AccountResult]) -> None:
    """Write a row per result to a file that appears whole or not at all.

    Args:
        path: The file; its ending, ``.csv`` or ``.jsonl``, decides on the form.
        results: The results, in the order of the rows.

    Raises:
        InvalidRequestError: The name has no known ending, or the file can't be made there.
        OSError: The file can't be written.
    """
    with ResultsFile(path) as file:
        file.write(results)


def csv_rows(write: Callable[[str], object]) -> Callable[[Iterable[object]], object]:
    """Make a writer of CSV rows that end in a bare newline.

    Python's own writer, told to end rows so, leaves a carriage return inside a cell unquoted, and
    a reader then takes it for the end of the row.

    Args:
        write: Takes the text of one row.

    Returns:
        A function that takes the cells of one row; None becomes an empty cell.
    """
    return csv.writer(_BareLineEnds(write), lineterminator=_LINE_END).writerow


@attrs.frozen
class _BareLineEnds:
    _write: Callable[[str], object]

    def write(self, row: str) -> None:
        self._write(row.removesuffix(_LINE_END) + "\n")


def _values(result: AccountResult) -> tuple[object, ...]:
    return (
        str(result.account_id),
        result.status,
        result.order_id and str(result.order_id),
        result.execution_id and str(result.execution_id),
        result.idempotency_key,
        result.cancellation_reason,
        result.cancellation_details,
        result.attempts,
        result.error,
    )


def _write_csv(file: TextIO, results: Iterable[AccountResult]) -> None:
    write_row = csv_rows(file.write)
    write_row(FIELDS)
    for result in results:
        write_row(_values(result))


def _write_jsonl(file: TextIO, results: Iterable[AccountResult]) -> None:
    for result in results:
        row = dict(zip(FIELDS, _values(result), strict=True))
        file.write(json.dumps(row, ensure_ascii=False) + "\n")
