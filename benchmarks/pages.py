"""The bytes of the server's answers: an execution, a token, and pages of a list of any length.

A page of a thousand orders has some 300 kB, and a list of a million would have 300 MB; so pages are
made when they are asked for. Rows of one kind have one width, so that the digits at one place of
all rows can be written by one strided copy. That is quick, and the ids are random: no two rows of a
list have one in common.
"""

from __future__ import annotations

import json
import random
from functools import cache
from typing import Final
from uuid import UUID

import attrs

EXECUTIONS: Final = "/portfolios/rebalancings/executions"
TOKEN: Final = "benchmark-access-token"
PAGE_SIZE: Final = 1000

_STEM: Final = "735381ce-8380-4b07-9e42-"
_MOMENT: Final = "2021-07-21T14:10:00.000Z"
# Letters of Latin-1 that no answer has: each marks a place for a digit, one byte wide.
_HEX: Final = "§"
_DIGIT: Final = "¤"
_UUID: Final = f"{_HEX * 8}-{_HEX * 4}-4{_HEX * 3}-8{_HEX * 3}-{_HEX * 12}"
# Digits that are right at every place of a time, tens of minutes and seconds among them.
_DIGITS: Final = bytes(b"012345"[value % 6] for value in range(256))


def execution_id(total: int) -> UUID:
    """Name the execution whose list has so many orders: the number is the id's last group."""
    return UUID(f"{_STEM}{total:012d}")


def total_of(identifier: str) -> int:
    """Read from an execution's id how many orders its list has."""
    return int(identifier[-12:])


def execution(identifier: str) -> bytes:
    """Make the answer to `GET` of an execution: three accounts, as small as they come."""
    accounts = [str(UUID(int=number, version=4)) for number in (1, 2, 3)]
    answer = {"id": identifier, "created_at": _MOMENT, "updated_at": _MOMENT, "accounts": accounts}
    return _compact(answer)


def token() -> bytes:
    """Make the answer to `POST` of the token request."""
    return _compact(
        {
            "access_token": TOKEN,
            "expires_in": 86400,
            "token_type": "bearer",
            "scope": "portfolios:admin",
        }
    )


def page(identifier: str, *, offset: int, limit: int) -> bytes:
    """Make a page of a list that is sorted by status, its first tenth cancelled, the rest filled.

    Args:
        identifier: The execution's id, which says how long the list is.
        offset: Rows of the list before the page.
        limit: Rows of the page at the most.

    Returns:
        The JSON, the same for the same arguments.
    """
    total = total_of(identifier)
    count = max(0, min(limit, total - offset))
    cancelled = max(0, min(count, total // 10 - offset))
    source = random.Random(offset)
    kinds = (("CANCELLED", cancelled), ("FILLED", count - cancelled))
    blocks = [_stencil(identifier, kind).rows(number, source) for kind, number in kinds if number]
    meta = {
        "offset": offset,
        "limit": limit,
        "count": count,
        "total_count": total,
        "sort": "status",
        "order": "ASC",
    }
    return b'{"meta":' + _compact(meta) + b',"data":[' + b",".join(blocks) + b"]}"


@attrs.frozen
class Stencil:
    """A row with places that are to be filled, and where they are.

    Attributes:
        row: The row, with a comma after it.
        hexes: Places of hexadecimal digits.
        digits: Places of decimal digits.
    """

    row: bytes
    hexes: tuple[int, ...]
    digits: tuple[int, ...]

    @classmethod
    def of(cls, row: str) -> Stencil:
        """Find the places in a row."""
        return cls(
            row=row.encode("latin-1"),
            hexes=tuple(at for at, letter in enumerate(row) if letter == _HEX),
            digits=tuple(at for at, letter in enumerate(row) if letter == _DIGIT),
        )

    def rows(self, count: int, source: random.Random) -> bytearray:
        """Make rows, with commas between them."""
        filled = bytearray(self.row * count)
        width = len(self.row)
        hexes = source.randbytes(-(-count * len(self.hexes) // 2)).hex().encode()
        digits = source.randbytes(count * len(self.digits)).translate(_DIGITS)
        for places, letters in ((self.hexes, hexes), (self.digits, digits)):
            for number, at in enumerate(places):
                filled[at::width] = letters[number * count : (number + 1) * count]
        del filled[-1]
        return filled


@cache
def _stencil(identifier: str, status: str) -> Stencil:
    is_filled = status == "FILLED"
    row = {
        "id": _UUID,
        "execution_id": identifier,
        "account_id": _UUID,
        "portfolio_order_id": _UUID if is_filled else None,
        "status": status,
        "created_at": _MOMENT,
        "updated_at": f"2021-07-21T14:{_DIGIT * 2}:{_DIGIT * 2}.{_DIGIT * 3}Z",
    }
    if not is_filled:
        row |= {
            "cancellation_reason": "PORTFOLIO_IS_BALANCED",
            "cancellation_details": "Nothing had to be bought or sold.",
        }
    return Stencil.of(json.dumps(row, separators=(",", ":"), ensure_ascii=False) + ",")


def _compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
