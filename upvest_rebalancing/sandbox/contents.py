"""How faults change the JSON of an answer: values, fields more, and fields less."""

import json
from collections.abc import Mapping
from typing import Any, Final

import attrs

from upvest_rebalancing.sandbox.faults import Fault
from upvest_rebalancing.sandbox.kinds import FaultKind
from upvest_rebalancing.sandbox.messages import Answer, compact_json

# JSON has no type that is worth more to a checker.
_Json = dict[str, Any]

_ADDED: Final[Mapping[str, object]] = {
    "added_later": {"of": ["any", 1, None, {"kind": True}]},
    "also_added_later": "text",
}
_OPTIONAL: Final[Mapping[str, frozenset[str]]] = {
    "token": frozenset({"scope"}),
    "execution": frozenset({"accounts", "allocations"}),
    "orders": frozenset({"sort", "order"}),
    "verify_keys": frozenset({"use", "alg"}),
}
_OPTIONAL_OF_ORDERS: Final = frozenset(
    {"portfolio_order_id", "cancellation_reason", "cancellation_details"}
)
_UNKNOWN_KEY: Final[Mapping[str, str]] = {
    "kty": "AKP",
    "alg": "ML-DSA-87",
    "kid": "key-of-an-unknown-type",
    "pub": "AAAA",
}


def with_other_content(answer: Answer, fault: Fault, route: str) -> Answer:
    """Return an answer with another content.

    Args:
        answer: A good answer, whose body is a JSON object.
        fault: One that changes contents.
        route: The request's route.
    """
    content: _Json = json.loads(answer.body)
    if fault.kind is FaultKind.UNKNOWN_FIELDS:
        content = _with_more_fields(content)
    elif fault.kind is FaultKind.MISSING_FIELDS:
        _drop_optional_fields(content, route)
    elif route == "orders":
        for row in content["data"]:
            _make_unknown(row, fault)
    else:
        content["keys"].insert(0, dict(_UNKNOWN_KEY))
    return attrs.evolve(answer, body=compact_json(content))


def _with_more_fields(value: Any) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, dict):
        return {name: _with_more_fields(entry) for name, entry in value.items()} | dict(_ADDED)
    if isinstance(value, list):
        return [_with_more_fields(entry) for entry in value]
    return value


def _drop_optional_fields(content: _Json, route: str) -> None:
    objects = [content]
    if route == "orders":
        objects = [content["meta"]]
        for row in content["data"]:
            _drop(row, _OPTIONAL_OF_ORDERS)
    elif route == "verify_keys":
        objects = content["keys"]
    for each in objects:
        _drop(each, _OPTIONAL[route])


def _drop(content: _Json, names: frozenset[str]) -> None:
    for name in names & content.keys():
        del content[name]


def _make_unknown(row: _Json, fault: Fault) -> None:
    # By the order's id, so that an order stays as it is from one read to the next.
    if int(row["id"].replace("-", ""), 16) % fault.value:
        return
    if "cancellation_reason" in row:
        row["cancellation_reason"] = fault.reason
    if row["status"] == fault.replaces:
        row["status"] = fault.status
