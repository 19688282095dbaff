"""The ids that a walk has seen, exactly, in 25 bytes each.

As whole numbers in a dict, a million ids take 92 MB, far more than all else that a walk holds.
Here they are written one after the other, in the order in which they were first seen, into blocks
of bytes, and a table of cells says where each of them is written. A cell also keeps a few bits of
the id's hash, so that hardly an id is looked at which is not the one that is looked for. This is
what Python's own dict does, without an object for each key and each value.

The hash is that of bytes, which Python salts for each process unless it is told not to. A whole
number's is known to everybody: a server could choose ids that all want the same cell, and each of
them would have to be compared with all before it.

Pure: ids go in, what is known of them comes out.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final, NamedTuple

import attrs

ID_SIZE: Final = 16
"""Bytes of an id."""

BLOCK: Final = 1024
"""Ids that are written into one object: enough for its overhead not to count."""

SMALLEST: Final = 64
"""Ids that the smallest table has room for."""

CELLS_PER_ID: Final = 2
"""Cells of a full table for each id: with fewer, the search for an empty one goes far."""

_CELL: Final = "I"
_CELL_BITS: Final = 32


class Marked(NamedTuple):
    """What a page of ids brought.

    Attributes:
        stale: Which of the ids, counted from 0, were known: from a page before, or from a place
            before on this one.
        distinct: How many different ids the page has.
        gained: How many of those the pass had not seen before.
    """

    stale: list[int]
    distinct: int
    gained: int


@attrs.define(eq=False, repr=False)
class Seen:
    """Know which ids were seen, and which of them in the pass that is under way.

    Attributes:
        expected: Ids that there will be, as far as one can tell; may be changed at any time. If
            there are more, the table is made anew now and then, which takes 0.4 s where a million
            are known. If there are fewer, each that does not come costs 8 bytes.
        block: Ids that are written into one object.
    """

    expected: int = 0
    block: int = BLOCK
    _room: int = attrs.field(default=0, init=False)
    # In each cell, the number under which an id is written and, in the low bits, some of its hash;
    # 0 in a cell that is empty.
    _cells: array[int] = attrs.field(factory=lambda: array(_CELL), init=False)
    _hash_bits: int = attrs.field(default=0, init=False)
    _blocks: list[bytes] = attrs.field(factory=list, init=False)
    # What is not enough for a block yet. What is written under the number 0 stands for no id.
    _recent: list[bytes] = attrs.field(factory=lambda: [bytes(ID_SIZE)], init=False)
    # By number, 1 for an id that this pass has still to see; nothing while there was one pass only.
    _awaited: bytearray = attrs.field(factory=bytearray, init=False)

    def __len__(self) -> int:
        return self._written - 1

    @property
    def _written(self) -> int:
        return len(self._blocks) * self.block + len(self._recent)

    def begin_pass(self) -> None:
        """Begin another pass, which has seen none of the ids yet."""
        self._awaited = bytearray(b"\1") * self._written

    def mark(self, ids: Sequence[bytes]) -> Marked:
        """Note that the pass has seen a page of ids.

        Args:
            ids: The ids, of 16 bytes each.

        Returns:
            What of them is new.
        """
        first = self._written
        if first + len(ids) > self._room:
            self._make_room(len(ids))
        # This runs for every order of a walk: so there are local names for everything, and no call
        # of a function of ours before an id seems to be known.
        cells, recent, hash_bits = self._cells, self._recent, self._hash_bits
        size, unit = len(cells), 1 << hash_bits
        mask = unit - 1
        content = first << hash_bits
        before = len(recent)
        awaited = self._awaited
        stale: list[int] = []
        known: list[int] = []
        gained = 0
        for key in ids:
            hashed = hash(key)
            place = hashed % size
            some = hashed & mask
            while cell := cells[place]:
                if cell & mask == some and self._read(number := cell >> hash_bits) == key:
                    stale.append(len(recent) - before + len(stale))
                    if number < first:
                        known.append(number)
                        if awaited and awaited[number]:
                            awaited[number] = 0
                            gained += 1
                    break
                # Downwards, because the place before the first one is -1, which is the last.
                place -= 1
            else:
                cells[place] = content | some
                content += unit
                recent.append(key)
        fresh = len(recent) - before
        if awaited:
            awaited += bytes(fresh)
        self._close_blocks()
        return Marked(stale, fresh + len(set(known)), fresh + gained)

    def _read(self, number: int) -> bytes:
        block, place = divmod(number, self.block)
        if block < len(self._blocks):
            return self._blocks[block][place * ID_SIZE : (place + 1) * ID_SIZE]
        return self._recent[number - len(self._blocks) * self.block]

    def _close_blocks(self) -> None:
        while len(self._recent) >= self.block:
            self._blocks.append(b"".join(self._recent[: self.block]))
            del self._recent[: self.block]

    def _make_room(self, page: int) -> None:
        # For a page more than is expected, since it shows only later that a page has nothing new;
        # and a list that grows a little while it is read is not worth a new table.
        expected = self.expected + max(self.expected // 32, page) + 1
        self._room = max(SMALLEST, expected, self._written + page, 2 * self._room)
        self._hash_bits = _CELL_BITS - self._room.bit_length()
        mask = (1 << self._hash_bits) - 1
        # Odd, so that an id's place says nothing about the low bits of its hash.
        size = self._room * CELLS_PER_ID | 1
        # The old table goes before the new one comes: what it says is written elsewhere as well.
        self._cells = array(_CELL)
        self._cells = cells = array(_CELL, [0]) * size
        for number, key in islice(enumerate(self._all()), 1, None):
            hashed = hash(key)
            place = hashed % size
            while cells[place]:
                place -= 1
            cells[place] = number << self._hash_bits | hashed & mask

    def _all(self) -> Iterator[bytes]:
        for block in self._blocks:
            for start in range(0, len(block), ID_SIZE):
                yield block[start : start + ID_SIZE]
        yield from self._recent
