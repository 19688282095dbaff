"""The control endpoints for faults and the clock."""

import json
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from tests.sandbox.conftest import START, Api, Reply, accounts


async def control(api: Api, method: str, path: str, body: Any = b"") -> Reply:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await api.send(method, f"/_sandbox/{path}", {}, content)


async def test_faults_are_injected_listed_and_removed(api: Api) -> None:
    wanted = {"kind": "error", "route": "trigger", "value": 429, "count": 1, "retry_after": "2"}
    reply = await control(api, "POST", "faults", wanted)
    assert reply.json() == {"id": 1, **wanted, "seen": 0, "struck": 0}
    await control(api, "POST", "faults", {"kind": "hang", "probability": 0})
    reply = await api.trigger({"accounts": accounts(1)})
    assert (reply.status, reply.headers["retry-after"]) == (429, "2")
    assert (await api.trigger({"accounts": accounts(1)})).status == 200
    listed = (await control(api, "GET", "faults")).json()["faults"]
    assert listed == [
        {"id": 1, **wanted, "seen": 2, "struck": 1},
        {"id": 2, "kind": "hang", "probability": 0, "seen": 1, "struck": 0},
    ]
    assert (await control(api, "DELETE", "faults")).json() == {"removed": 2}
    assert (await control(api, "GET", "faults")).json() == {"faults": []}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"\xff", "not JSON"),
        ([], "a JSON object"),
        ({}, "kind '': must be one of"),
        ({"kind": "rest"}, "was 'reset' meant"),
        ({"kind": 3}, "kind '3'"),
        ({"kind": "reset", "when": 1}, "reset: 'when'"),
        ({"kind": "reset", "count": "3"}, "count='3': must be a whole number"),
        ({"kind": "error", "value": None}, "value=None: must be a whole number"),
        ({"kind": "error", "retry_after": 3}, "retry_after=3: must be a text"),
        ({"kind": "reset", "route": ["token"]}, "route=['token']"),
        ({"kind": "unknown-enum", "replaces": []}, "replaces=[]"),
    ],
)
async def test_a_fault_that_is_none_is_refused(api: Api, body: Any, words: str) -> None:
    reply = await control(api, "POST", "faults", body)
    assert words in reply.problem(400, "bad_request")
    assert api.sandbox.faults == ()


async def test_the_clock_is_set_while_it_runs(api: Api) -> None:
    reply = await control(api, "POST", "clock", {"skew": -30.5})
    assert reply.json() == {"skew": -30.5}
    reply = await control(api, "GET", "health")
    assert parsedate_to_datetime(reply.headers["date"]).timestamp() == START - 31
    refused = await api.trigger({"accounts": accounts(1)})
    assert "not yet valid" in refused.problem(401, "unauthorized")
    await control(api, "POST", "clock", {"skew": 0})
    assert (await api.trigger({"accounts": accounts(1)})).status == 200


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON"),
        (3, "a JSON object"),
        ({}, '{"skew": SECONDS}'),
        ({"skew": 1, "more": 2}, '{"skew": SECONDS}'),
        ({"skew": "1"}, "clock_skew='1': must be a number"),
        ({"skew": 1e300}, "must be a number from -315360000 to 315360000"),
        (b'{"skew": NaN}', "clock_skew=nan"),
    ],
)
async def test_a_skew_that_is_none_is_refused(api: Api, body: Any, words: str) -> None:
    reply = await control(api, "POST", "clock", body)
    assert words in reply.problem(400, "bad_request")


async def test_a_path_has_its_methods(api: Api) -> None:
    reply = await control(api, "PATCH", "faults")
    assert "takes GET, POST, DELETE" in reply.problem(405, "method_not_allowed")
    assert reply.headers["allow"] == "GET, POST, DELETE"
    assert api.sandbox.counters().requests == {"token": {200: 1}}
