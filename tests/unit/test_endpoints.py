"""Requests say what the specification says, and refuse what it refuses, before anything is sent."""

import json
import uuid
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upvest_rebalancing.errors import InvalidRequestError
from upvest_rebalancing.protocol import endpoints

CLIENT = "ebabcf4d-61c3-4942-875c-e265a7c2d062"
KEY = "ccb07f42-4104-44ad-8e1f-c660bb7b269c"
A, B = "43801b85-bbcf-41c7-8389-b018082a5ec5", "20151679-c159-4f16-b8a2-267b3d968c6f"
EXECUTION = "735381ce-8380-4b07-9e42-97e2b6d3643e"
HEADERS = {"accept": "application/json", "upvest-api-version": "1", "upvest-client-id": CLIENT}


def orders(**arguments: object) -> str:
    request = endpoints.orders(client_id=CLIENT, execution_id=EXECUTION, **arguments)  # type: ignore[arg-type]
    assert request.headers == HEADERS
    assert request.is_safe
    path, _, query = request.target.partition("?")
    assert path == f"/portfolios/rebalancings/executions/{EXECUTION}/orders"
    return query


def test_trigger_with_accounts() -> None:
    request = endpoints.trigger(
        client_id=CLIENT, idempotency_key=KEY, accounts=(x for x in (A, uuid.UUID(B)))
    )
    assert (request.method, request.target) == ("POST", "/portfolios/rebalancings/executions")
    assert json.loads(request.body) == {"accounts": [A, B]}
    assert request.headers == HEADERS | {"content-type": "application/json", "idempotency-key": KEY}
    assert request.idempotency_key == KEY
    assert not request.is_safe


def test_trigger_with_allocations() -> None:
    request = endpoints.trigger(client_id=CLIENT, idempotency_key=KEY, allocations=[A.upper()])
    assert json.loads(request.body) == {"allocations": [A]}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "neither is given"),
        ({"accounts": [A], "allocations": [B]}, "both are given"),
        ({"accounts": []}, "accounts is empty"),
        ({"allocations": iter(())}, "allocations is empty"),
        ({"accounts": A}, "accounts is a single id"),
        ({"accounts": uuid.UUID(A)}, "accounts is a single id"),
        ({"accounts": [A, "x"]}, r"accounts\[1\] is 'x'"),
        ({"accounts": [A, None]}, r"accounts\[1\] is None"),
        ({"accounts": [5]}, r"accounts\[0\] is 5"),
    ],
)
def test_a_trigger_that_is_refused(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidRequestError, match=words):
        endpoints.trigger(client_id=CLIENT, idempotency_key=KEY, **arguments)  # type: ignore[arg-type]


def test_execution() -> None:
    request = endpoints.execution(client_id=CLIENT, execution_id=uuid.UUID(EXECUTION))
    assert request.target == f"/portfolios/rebalancings/executions/{EXECUTION}"
    assert (request.method, request.body, request.headers) == ("GET", b"", HEADERS)


def test_an_execution_id_can_not_escape_its_path() -> None:
    with pytest.raises(InvalidRequestError, match=r"execution_id is '\.\./\.\.'"):
        endpoints.execution(client_id=CLIENT, execution_id="../..")


def test_every_parameter_of_the_list() -> None:
    query = orders(
        sort="status",
        order="ASC",
        offset=2**31 - 1,
        limit=1000,
        start_date="2022-10-14",
        end_date=date(2022, 10, 15),
    )
    assert query == (
        "sort=status&order=ASC&offset=2147483647&limit=1000"
        "&start_date=2022-10-14&end_date=2022-10-15"
    )
    assert orders() == ""
    assert orders(offset=0, limit=0) == "offset=0&limit=0"


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (datetime(2022, 10, 14, tzinfo=UTC), "2022-10-14T00%3A00%3A00Z"),
        (
            datetime(2022, 10, 14, 2, tzinfo=timezone(timedelta(hours=2))),
            "2022-10-14T00%3A00%3A00Z",
        ),
        (datetime(2022, 10, 14, 0, 0, 0, 5, UTC), "2022-10-14T00%3A00%3A00.000005Z"),
        ("2022-10-14T00:00:00+02:00", "2022-10-14T00%3A00%3A00%2B02%3A00"),
        ("2022-10-14 00:00Z", "2022-10-14%2000%3A00Z"),
    ],
)
def test_dates_are_encoded_whole(value: object, encoded: str) -> None:
    assert orders(start_date=value) == f"start_date={encoded}"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"sort": "id"}, "'status' is the only value"),
        ({"order": "DESC"}, "'ASC' is the only value"),
        ({"offset": -1}, "offset is -1"),
        ({"offset": 2**31}, "offset is 2147483648"),
        ({"offset": True}, "offset is True"),
        ({"limit": 1001}, "limit is 1001; a whole number, 0 to 1000"),
        ({"limit": 1.0}, "limit is 1.0"),
        ({"start_date": "2022-10-14T00:00:00"}, "start_date is"),
        ({"start_date": "20221014"}, "start_date is"),
        ({"start_date": "2022-W41-5"}, "start_date is"),
        ({"start_date": "2022-13-41"}, "start_date is"),
        ({"start_date": "2022-10-15", "end_date": date(2022, 10, 14)}, "lies after"),
        ({"start_date": datetime.max.replace(tzinfo=timezone(-timedelta(hours=2)))}, "start_date"),
        ({"start_date": "14.10.2022"}, "start_date is '14.10.2022'"),
        ({"end_date": "2022-10-14&limit=1"}, "end_date is"),
        ({"end_date": 5}, "end_date is 5"),
        ({"start_date": datetime(2022, 10, 14)}, "no time zone"),  # noqa: DTZ001
    ],
)
def test_a_list_that_is_refused(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidRequestError, match=words):
        orders(**arguments)


@given(st.uuids(version=1) | st.uuids(version=3) | st.uuids(version=4) | st.uuids(version=5))
def test_keys_that_match_the_pattern(key: uuid.UUID) -> None:
    for text in (str(key), str(key).upper(), key.hex):
        assert endpoints.check_idempotency_key(text) == text
    assert endpoints.check_idempotency_key(key) == str(key)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "x",
        KEY[:-1],
        KEY + "0",
        "ccb07f42-4104-74ad-8e1f-c660bb7b269c",
        f"{KEY}\n",
        f"{{{KEY}}}",
    ],
)
def test_keys_that_do_not(key: str) -> None:
    with pytest.raises(InvalidRequestError, match="idempotency_key"):
        endpoints.check_idempotency_key(key)


def test_new_keys_are_random_uuids_of_version_4() -> None:
    keys = {endpoints.new_idempotency_key() for _ in range(100)}
    assert len(keys) == 100
    assert {uuid.UUID(key).version for key in keys} == {4}
    assert all(endpoints.check_idempotency_key(key) == key for key in keys)
