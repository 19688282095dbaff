"""Read the list of accounts that a command is given."""

from __future__ import annotations

import io
import sys
from pathlib import Path

from upvest_rebalancing.bulk.accounts import AccountList, parse_accounts
from upvest_rebalancing.cli.reports import number_of
from upvest_rebalancing.cli.screen import Screen
from upvest_rebalancing.errors import InvalidRequestError

STDIN = "-"
_SHOWN = 10


def read_accounts(screen: Screen, source: str) -> AccountList:
    """Read a list of accounts, and say what is remarkable about it.

    Args:
        screen: Gets a remark on every repeat and on a header that was passed over.
        source: The file, or ``-`` for standard input.

    Returns:
        The list, which has no problems.

    Raises:
        InvalidRequestError: The file can't be read, or the list has problems; each is named.
    """
    name = "standard input" if source == STDIN else source
    listed = _read(source)
    if any("\\x00" in problem.message for problem in listed.problems[:2]):
        message = f"{name} is no UTF-8 text (it may be UTF-16); nothing was sent"
        raise InvalidRequestError(message)
    if listed.problems:
        lines = "\n".join(f"{name}, {problem}" for problem in listed.problems)
        count = len(listed.problems)
        message = f"nothing was sent: {number_of(count, 'line', 'lines')} can't be used\n{lines}"
        raise InvalidRequestError(message)
    if listed.header is not None and listed.header.lower() != "account_id":
        screen.remark(f"{name}: the first line, {listed.header!r}, was taken for a header")
    if listed.repeats:
        count = len(listed.repeats)
        lines = number_of(count, "line repeats", "lines repeat")
        screen.remark(f"{name}: {lines} an account; each is sent once")
        for repeat in listed.repeats[:_SHOWN]:
            screen.remark(f"  {repeat}")
        if count > _SHOWN:
            screen.remark(f"  and {count - _SHOWN:,} more")
    return listed


def _read(source: str) -> AccountList:
    # What is no UTF-8 passes as surrogates: it is no UUID either, and is named with its line.
    try:
        if source != STDIN:
            with Path(source).open(encoding="utf-8", errors="surrogateescape") as file:
                return parse_accounts(file)
        if sys.stdin is None:
            message = "standard input is closed; a file of accounts would be right"
            raise InvalidRequestError(message)
        text = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8", errors="surrogateescape")
        try:
            return parse_accounts(text)
        finally:
            text.detach()
    except OSError as error:
        message = f"{source}: {error.strerror}; a readable file of accounts would be right"
        raise InvalidRequestError(message) from None
