"""The quick way and the careful way read the same from the same bytes, or both refuse.

A byte order mark sends a document the careful way: ``json`` takes one, msgspec does not.
"""

from __future__ import annotations

import codecs
import copy
import json
import pickle
from datetime import UTC, datetime
from typing import Any, TypeVar

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upvest_rebalancing.models import ExecutionOrder
from upvest_rebalancing.protocol.bodies import (
    ExecutionBody,
    NotAsSpecifiedError,
    PageBody,
    TriggerBody,
)
from upvest_rebalancing.protocol.structuring import structure

ID = "735381ce-8380-4b07-9e42-97e2b6d3643e"
TIME = "2022-09-28T09:14:02.50Z"
ORDER: dict[str, Any] = {
    "id": ID,
    "execution_id": ID,
    "account_id": ID,
    "portfolio_order_id": ID,
    "status": "FILLED",
    "created_at": TIME,
    "updated_at": TIME,
}
META: dict[str, Any] = {"offset": 0, "limit": 10, "count": 1, "total_count": 1, "order": "ASC"}

Body = TypeVar("Body", bound=attrs.AttrsInstance)


def read(document: bytes, cls: type[Body]) -> tuple[object, ...]:
    try:
        body = structure(document, cls)
    except NotAsSpecifiedError:
        return ("refused",)
    rows = body.data if isinstance(body, PageBody) else ()
    # NaN is not equal to itself, and is written alike.
    return (body, [(repr(row.raw), type(row.created_at)) for row in rows])


def both_ways(document: bytes, cls: type[attrs.AttrsInstance]) -> tuple[object, ...]:
    quickly = read(document, cls)
    assert quickly == read(codecs.BOM_UTF8 + document, cls)
    return quickly


def page(*rows: dict[str, Any], meta: object = META) -> bytes:
    return json.dumps({"meta": meta, "data": rows}).encode()


UUIDS = st.sampled_from(
    [
        ID,
        ID.upper(),
        ID.replace("-", ""),
        "{" + ID + "}",
        f"urn:uuid:{ID}",
        ID[:-1],
        ID + " ",
        ID.replace("-", "", 1),
        "",
    ]
)
FRACTIONS = st.sampled_from(["", ".5", ".50", ".000", ".123456", ".1234567", ".9999999", ".", ",5"])
OFFSETS = st.sampled_from(["Z", "z", "+00:00", "-00:00", "+02:00", "-1130", "", "+24:00", " Z"])
DATES = st.sampled_from(["2022-09-28", "0001-01-01", "9999-12-31", "2022-02-30", "20220928"])
CLOCKS = st.sampled_from(["09:14:02", "24:00:00", "23:59:60", "09:14", "00:00:00"])
TIMES = st.builds("{}{}{}{}{}".format, DATES, st.sampled_from("Tt _"), CLOCKS, FRACTIONS, OFFSETS)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "id": UUIDS | JSON,
        "portfolio_order_id": UUIDS | JSON,
        "status": st.sampled_from(["NEW", "SETTLED", "FROZEN", "new", ""]) | JSON,
        "cancellation_reason": st.sampled_from(["UNKNOWN", "ACOUNT_IS_EMPTY", ""]) | JSON,
        "cancellation_details": JSON,
        "created_at": TIMES | JSON,
        "updated_at": TIMES | JSON,
        "raw": JSON,
        "_raw": JSON,
        "new": JSON,
    },
)


@settings(deadline=None)
@given(st.lists(CHANGES, max_size=3), st.dictionaries(st.sampled_from(list(META)), JSON))
def test_pages(changes: list[dict[str, Any]], meta: dict[str, Any]) -> None:
    both_ways(page(*(ORDER | change for change in changes)), PageBody)
    both_ways(page(*(ORDER | change for change in changes), meta=META | meta), PageBody)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["id", "accounts", "allocations", "created_at"]), JSON))
def test_executions(changes: dict[str, Any]) -> None:
    execution = {"id": ID, "created_at": TIME, "updated_at": TIME, "accounts": [ID]} | changes
    for cls in (ExecutionBody, TriggerBody):
        both_ways(json.dumps(execution).encode(), cls)


@settings(deadline=None)
@given(st.data())
def test_damaged_pages(data: st.DataObject) -> None:
    document = bytearray(
        page(ORDER, ORDER | {"new": "é\\ud83d\\ude00", "more": [1e5, {"a": None}]})
    )
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(document) - 1))
        document[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    both_ways(bytes(document), PageBody)


@pytest.mark.parametrize(
    ("document", "is_refused"),
    [
        (page(ORDER | {"new": "x"}).replace(b'"x"', b'"\xff"'), True),
        (page(ORDER | {"new": "x"}).replace(b'"new"', b'"\xff"'), True),
        (page(ORDER | {"new": "é"}).replace(b"\\u00e9", "é".encode()), False),
        (page(ORDER | {"new": "x"}).replace(b'"x"', b'"\\ud800"'), False),
        (page(ORDER | {"new": "x"}).replace(b'"x"', b"NaN"), False),
        (page(ORDER | {"new": "x"}).replace(b'"x"', b"1e999"), False),
        (page(ORDER).replace(b'"limit": 10', b'"limit": 10.0'), True),
        (page(ORDER).replace(b'"limit": 10', b'"limit": true'), True),
        (page(ORDER) + b"x", True),
        (page(ORDER).decode().encode("utf-16"), False),
    ],
)
def test_what_the_two_libraries_see_differently(document: bytes, is_refused: bool) -> None:
    refused = ("refused",)
    found = read(document, PageBody)
    assert (found == refused) is is_refused
    if not document.startswith(codecs.BOM_UTF16):
        assert found == read(codecs.BOM_UTF8 + document, PageBody)


def test_times_are_in_utc_whichever_offset_they_came_with() -> None:
    (row,) = structure(page(ORDER | {"updated_at": "2022-09-28T11:14:02.5+02:00"}), PageBody).data
    assert row.updated_at == row.created_at == datetime(2022, 9, 28, 9, 14, 2, 500_000, UTC)
    assert row.updated_at.tzinfo is row.created_at.tzinfo is UTC


def order(**changes: object) -> ExecutionOrder:
    (row,) = structure(page(ORDER | changes), PageBody).data
    return row


def test_what_an_order_was_read_from_stays_with_it_alone() -> None:
    rows = structure(page(*(ORDER | {"n": n} for n in range(500))), PageBody).data
    assert [row.raw["n"] for row in rows] == list(range(500))
    # An order that is sent to another process takes its own row along, and not the whole page.
    fresh = order(new={"a": [1]})
    assert len(pickle.dumps(fresh)) < 1500
    for _ in range(2):
        for twin in (pickle.loads(pickle.dumps(fresh)), copy.copy(fresh), copy.deepcopy(fresh)):
            assert twin == fresh
            assert twin.raw == ORDER | {"new": {"a": [1]}}
        # The second time its bytes have been read.
        assert fresh.raw is fresh.raw
    assert attrs.evolve(fresh, cancellation_details="x").raw == {}


def test_a_number_that_python_refuses_does_not_hide_the_rest() -> None:
    document = page(ORDER | {"new": "x"}).replace(b'"x"', b"1" * 5000)
    for row in structure(document, PageBody).data:
        assert row.raw["id"] == ID
        assert row.raw["new"] == float("inf")


def test_a_number_that_python_refuses_is_read_alike_both_ways() -> None:
    huge = "1" * 5000
    document = page(ORDER | {"new": "x", "beside": 2**53 + 1}).replace(b'"x"', huge.encode())
    assert both_ways(document, PageBody) != ("refused",)
    both_ways(document.replace(b'"limit": 10', f'"limit": {huge}'.encode()), PageBody)
    elsewhere = document.replace(TIME.encode(), b"2022-09-28T11:14:02.5+02:00")
    for readable in (document, elsewhere):
        (row,) = structure(readable, PageBody).data
        assert row.raw["beside"] == 2**53 + 1


def test_a_model_without_json_has_an_empty_object() -> None:
    by_hand = attrs.evolve(order())
    assert by_hand.raw == {}
    assert pickle.loads(pickle.dumps(by_hand)) == by_hand
