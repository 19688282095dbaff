"""What was seen is known exactly, whatever the ids are, and in a quarter of a dict's memory."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from unittest.mock import patch

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upvest_rebalancing.protocol import seen
from upvest_rebalancing.protocol.seen import ID_SIZE, Marked, Seen


@attrs.define
class Model:
    """The same by a dict: each id with the pass that saw it last."""

    passes: dict[bytes, int] = attrs.field(factory=dict)
    number: int = 1

    def mark(self, ids: Sequence[bytes]) -> Marked:
        before = dict(self.passes)
        stale = []
        for place, key in enumerate(ids):
            if key in self.passes:
                stale.append(place)
            self.passes[key] = self.number
        gained = {key for key in ids if before.get(key) != self.number}
        return Marked(stale, len(set(ids)), len(gained))


def random_ids(count: int, seed: int = 1) -> list[bytes]:
    chance = random.Random(seed)
    return [chance.randbytes(ID_SIZE) for _ in range(count)]


def pages(ids: Sequence[bytes], size: int = 1000) -> Iterator[Sequence[bytes]]:
    return (ids[start : start + size] for start in range(0, len(ids), size))


# Every window of a text that repeats itself: written one after the other, such ids contain each
# other at places where none begins.
WINDOWS = [
    (pattern * ID_SIZE)[start : start + ID_SIZE]
    for pattern in (b"\0", b"\0\1", b"\0\0\1", b"\1" * 15 + b"\0", bytes(range(17)))
    for start in range(len(pattern))
]
RUNS = [b"\0" * zeros + b"\1" * (ID_SIZE - zeros) for zeros in range(ID_SIZE + 1)]
COUNTED = [number.to_bytes(ID_SIZE, "big") for number in range(40)]
HIGH = [number.to_bytes(ID_SIZE, "little") for number in range(40)]
SAME_NUMBER_HASH = [(7 + number * (2**61 - 1)).to_bytes(ID_SIZE, "big") for number in range(2000)]
POOL = [*WINDOWS, *RUNS, *COUNTED, *HIGH, *SAME_NUMBER_HASH[:40], *random_ids(40)]

HASHES: dict[str, Callable[[bytes], int]] = {
    "as it is": hash,
    # Then the table is one long search, and all of an id's hash that a cell has is the same.
    "all the same": lambda _key: 0,
    "negative": lambda key: -1 - key[-1] % 3,
    "few, with bits above": lambda key: (key[-1] % 2) << 40 | key[0] % 2,
}


@contextmanager
def tiny(hashing: Callable[[bytes], int]) -> Iterator[None]:
    with patch.object(seen, "SMALLEST", 1), patch.object(seen, "hash", hashing, create=True):
        yield


ids_of_a_page = st.lists(st.sampled_from(POOL) | st.binary(min_size=16, max_size=16), max_size=25)


@settings(deadline=None)
@given(
    st.lists(ids_of_a_page | st.none(), max_size=25),
    st.integers(0, 60),
    st.integers(1, 9),
    st.sampled_from(sorted(HASHES)),
)
def test_it_knows_what_a_dict_knows(
    steps: list[list[bytes] | None], expected: int, block: int, hashing: str
) -> None:
    with tiny(HASHES[hashing]):
        store, model = Seen(expected=expected, block=block), Model()
        for ids in steps:
            if ids is None:
                store.begin_pass()
                model.number += 1
            else:
                assert store.mark(ids) == model.mark(ids)
            assert len(store) == len(model.passes)


@pytest.mark.parametrize("expected", [0, 10, 3000, 10**6])
def test_many_passes_over_many_pages_are_told_apart(expected: int) -> None:
    chance = random.Random(2)
    store, model = Seen(expected=expected), Model()
    known = random_ids(3000)
    for _ in range(5):
        for _ in range(8):
            ids = [*chance.choices(known, k=300), *random_ids(50, seed=chance.randrange(10**9))]
            chance.shuffle(ids)
            assert store.mark(ids) == model.mark(ids)
        store.begin_pass()
        model.number += 1
    assert len(store) == len(model.passes)


def test_no_number_of_passes_is_too_many() -> None:
    store = Seen()
    key = bytes(ID_SIZE)
    assert store.mark([key]) == Marked([], 1, 1)
    for _ in range(70_000):
        store.begin_pass()
    assert store.mark([key, key]) == Marked([0, 1], 1, 1)
    assert store.mark([key]) == Marked([0], 1, 0)


def test_what_one_pass_found_is_awaited_by_the_next_one() -> None:
    old, new, newer = random_ids(3)
    store = Seen()
    store.mark([old])
    store.begin_pass()
    assert store.mark([new]) == Marked([], 1, 1)
    assert store.mark([new, old]) == Marked([0, 1], 2, 1)
    store.begin_pass()
    assert store.mark([newer, old, new, old]) == Marked([1, 2, 3], 3, 3)


def test_an_empty_page_brings_nothing() -> None:
    store = Seen()
    assert store.mark([]) == Marked([], 0, 0)
    assert len(store) == 0


def test_ids_that_are_chosen_to_collide_do_not() -> None:
    numbers = [int.from_bytes(key, "big") for key in SAME_NUMBER_HASH]
    assert len({hash(number) for number in numbers}) == 1
    compared = 0
    read = Seen._read

    def counted(self: Seen, number: int) -> bytes:
        nonlocal compared
        compared += 1
        return read(self, number)

    store = Seen()
    with patch.object(Seen, "_read", counted):
        for ids in pages(SAME_NUMBER_HASH, 100):
            assert not store.mark(ids).stale
    assert compared < 20


@pytest.mark.parametrize("expected", [1000, 5000, 20_000])
def test_a_table_that_was_large_enough_is_never_made_anew(expected: int) -> None:
    ids = random_ids(expected)
    store = Seen(expected=expected)
    with patch.object(Seen, "_make_room", autospec=True, side_effect=Seen._make_room) as made:
        for number in range(3):
            for page in pages(ids):
                assert len(store.mark(page).stale) == (len(page) if number else 0)
            store.begin_pass()
        assert made.call_count == 1
        # An order more, here and there, doesn't change that.
        store.mark(random_ids(30, seed=3))
        assert made.call_count == 1


def test_a_table_that_is_made_anew_is_so_a_few_times_only() -> None:
    store = Seen()
    with patch.object(Seen, "_make_room", autospec=True, side_effect=Seen._make_room) as made:
        for page in pages(random_ids(20_000), 100):
            store.mark(page)
    assert made.call_count < 12


def held(make: Callable[[], object]) -> int:
    """Say how many bytes were held at the most while something was made."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        kept = make()
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    del kept
    return most - before


@pytest.mark.parametrize(
    ("expected", "limit"), [(50_000, 34), (0, 42)], ids=["known beforehand", "not known"]
)
def test_an_id_takes_few_bytes(expected: int, limit: int) -> None:
    count = 50_000
    ids = random_ids(count)

    def walk_twice() -> Seen:
        store = Seen(expected=expected)
        for _ in range(2):
            # As for a walk, the ids of a page are made for it and not kept.
            for page in pages(ids):
                store.mark([bytes(bytearray(key)) for key in page])
            store.begin_pass()
        return store

    assert held(walk_twice) < limit * count


def test_a_short_list_takes_next_to_nothing() -> None:
    ids = random_ids(10)

    def walk() -> Seen:
        store = Seen(expected=10)
        store.mark(ids)
        return store

    assert held(walk) < 4000
