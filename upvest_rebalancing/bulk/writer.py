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
from typing import TextIO

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


def check_writable(path: Path) -> None:
    """Make sure, before a job starts, that its results can be written in the end.

    Args:
        path: The file to write.

    Raises:
        InvalidRequestError: The name has no known ending, the directory does not exist or can't be
            written to, or a directory stands in the file's place.
    """
    result_format(path)
    directory = path.parent
    if path.is_dir():
        message = f"{path} is a directory; a file would be right"
    elif not directory.is_dir():
        message = f"{path}: the directory {directory} does not exist"
    elif not os.access(directory, os.W_OK | os.X_OK):
        message = f"{path}: the directory {directory} can't be written to"
    else:
        return
    raise InvalidRequestError(message)


def write_results(path: Path, results: Iterable[AccountResult]) -> None:
    """Write a row per result, to a temporary file first that then takes the name.

    A reader of the file, or whoever looks after a crash, finds the old content or the new one and
    never a part.

    Args:
        path: The file; its ending, ``.csv`` or ``.jsonl``, decides on the form.
        results: The results, in the order of the rows.

    Raises:
        InvalidRequestError: The name ends neither in ``.csv`` nor in ``.jsonl``.
        OSError: The file can't be written.
    """
    write = _write_csv if result_format(path) is ResultFormat.CSV else _write_jsonl
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("x", encoding="utf-8", newline="") as file:
            write(file, results)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


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
