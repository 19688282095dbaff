"""Read a list of accounts: CSV with a header, or plain lines.

The reader is strict because money follows from it: whatever is no UUID is named with its line, and
the caller sends nothing while there is a problem.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from uuid import UUID

import attrs

COLUMN = "account_id"
"""The column that holds the accounts, in any case."""

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
# A mistyped account on the first line must never pass for a header, and every UUID of real life has
# a digit: so a header has none.
_HEADER = re.compile(r"[^\W\d_][^\W\d]*(?:[ .\-][^\W\d]+)*")
_HEXADECIMAL = re.compile(r"[0-9a-f\-]*", re.IGNORECASE | re.ASCII)
_DELIMITERS = (",", ";", "\t")
_SHOWN = 60


@attrs.frozen
class Problem:
    """One line that can't be used.

    Attributes:
        line: Counted from 1, as an editor shows it.
        message: What is wrong with it and what would be right.
    """

    line: int
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}"


@attrs.frozen
class Repeat:
    """One line that repeats an account of an earlier line.

    Attributes:
        line: The line of the repetition, counted from 1.
        first_line: The line on which the account stands first.
        account_id: The account.
    """

    line: int
    first_line: int
    account_id: UUID

    def __str__(self) -> str:
        return f"line {self.line} repeats line {self.first_line} ({self.account_id})"


@attrs.frozen
class AccountList:
    """What a list of accounts holds.

    Attributes:
        accounts: Every account once, in the order of the list.
        repeats: The lines that repeat an account.
        problems: The lines that can't be used; where there are any, nothing may be sent.
        header: The header of the column that was read; None where the list has none.
    """

    accounts: tuple[UUID, ...]
    repeats: tuple[Repeat, ...] = ()
    problems: tuple[Problem, ...] = ()
    header: str | None = None


def parse_accounts(lines: Iterable[str]) -> AccountList:
    """Read accounts from lines of text, one line at a time.

    The first line that is not blank decides on the form. With a cell ``account_id`` (in any case)
    it is a header, and that column counts. A single cell of words without a digit is a header as
    well. Anything else has no header, and each line is an account. Columns are separated by commas,
    semicolons or tabs; cells may be quoted; a byte order mark and blank lines are passed over.

    Args:
        lines: The text by lines, with or without their line ends; an open file will do.

    Returns:
        The accounts, and every repeat and every problem that was found on the way.
    """
    return _Reader().read(lines)


def _shown(text: str) -> str:
    # ascii() keeps control characters and undecodable bytes of a stray file off the terminal.
    return ascii(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")


def _delimiter(line: str) -> str:
    return max(_DELIMITERS, key=line.count)


def _strip_mark(lines: Iterable[str]) -> Iterator[str]:
    for number, line in enumerate(lines):
        yield line.removeprefix("\ufeff") if number == 0 else line


@attrs.define
class _Reader:
    first_lines: dict[UUID, int] = attrs.field(factory=dict)
    repeats: list[Repeat] = attrs.field(factory=list)
    problems: list[Problem] = attrs.field(factory=list)
    header: str | None = None
    column: int | None = None
    width: int = 1

    def read(self, lines: Iterable[str]) -> AccountList:
        source = _strip_mark(lines)
        blank = 0
        for first in source:
            if first.strip():
                self.read_rows(first, source, blank)
                break
            blank += 1
        if not self.first_lines and not self.problems:
            self.problems.append(Problem(blank + 1, "the list holds no account"))
        return AccountList(
            tuple(self.first_lines), tuple(self.repeats), tuple(self.problems), self.header
        )

    def read_rows(self, first: str, rest: Iterable[str], blank: int) -> None:
        def rejoined() -> Iterator[str]:
            yield first
            yield from rest

        rows = csv.reader(
            rejoined(), delimiter=_delimiter(first), skipinitialspace=True, strict=True
        )
        while True:
            # A quoted cell may span lines: the row is named by its first one.
            line = blank + rows.line_num + 1
            try:
                row = [cell.strip() for cell in next(rows)]
            except StopIteration:
                return
            except csv.Error as error:
                self.problems.append(Problem(line, f"is no CSV: {error}"))
                continue
            if not any(row):
                continue
            if self.column is None:
                self.column = self.choose_column(line, row)
                if self.column is None:
                    return
                if self.header is not None:
                    continue
            self.take(line, row, self.column)

    def choose_column(self, line: int, row: list[str]) -> int | None:
        names = [cell.lower() for cell in row]
        if names.count(COLUMN) > 1:
            message = f"the header names {COLUMN} more than once"
        elif COLUMN in names:
            column, self.width = names.index(COLUMN), len(row)
            self.header = row[column]
            return column
        elif len(row) == 1:
            if _HEADER.fullmatch(row[0]) and not _HEXADECIMAL.fullmatch(row[0]):
                self.header = row[0]
            return 0
        else:
            found = _shown(", ".join(row))
            message = f"several columns, and none is named {COLUMN}; found {found}"
        self.problems.append(Problem(line, message))
        return None

    def take(self, line: int, row: list[str], column: int) -> None:
        if len(row) != self.width and any(row[self.width :]):
            message = f"has {len(row)} columns where {self.width} would be right"
        elif len(row) <= column or not row[column]:
            message = f"has no value in the column {COLUMN}"
        elif not _UUID.fullmatch(row[column]):
            message = (
                f"{_shown(row[column])} is no UUID; "
                f"8-4-4-4-12 hexadecimal digits with hyphens would be right"
            )
        else:
            account = UUID(row[column])
            first = self.first_lines.setdefault(account, line)
            if first != line:
                self.repeats.append(Repeat(line, first, account))
            return
        self.problems.append(Problem(line, message))
