"""Answers become models or typed errors, whatever a server sends."""

import contextlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upvest_rebalancing import errors
from upvest_rebalancing.models import CancellationReason, ListOrder, OrderStatus
from upvest_rebalancing.protocol import codec
from upvest_rebalancing.protocol.messages import Response

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ID = "735381ce-8380-4b07-9e42-97e2b6d3643e"
ORDER: dict[str, Any] = {
    "id": "adf706aa-4fac-4e1d-878b-5b225f7b7354",
    "created_at": "2022-09-28T09:14:02Z",
    "updated_at": "2022-09-28T09:14:02.50Z",
    "execution_id": ID,
    "account_id": "100bb408-149c-4e6f-8697-837c2a144a29",
    "portfolio_order_id": "b31723e0-8c8c-4bd0-a962-8bd26c5aee4d",
    "status": "FILLED",
}
META: dict[str, Any] = {
    "count": 1,
    "limit": 10,
    "offset": 0,
    "order": "ASC",
    "sort": "state",
    "total_count": 1,
}


def answer(
    value: object, status: int = 200, content_type: str = "application/json", **headers: str
) -> Response:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    names = {name.replace("_", "-").lower(): text for name, text in headers.items()}
    return Response(status=status, headers={"content-type": content_type, **names}, body=body)


def page(**changes: object) -> Response:
    return answer({"meta": META, "data": [ORDER | changes]})


def test_trigger() -> None:
    triggered = codec.decode_trigger(
        answer({"id": ID, "new": 1}, Upvest_Request_Id="r1"), idempotency_key="k"
    )
    assert triggered.id == UUID(ID)
    assert triggered.idempotency_key == "k"
    assert triggered.request_id == "r1"
    assert triggered.raw == {"id": ID, "new": 1}


@pytest.mark.parametrize("value", [{}, {"id": None}, {"id": "x"}, {"id": 5}, [], "x", None])
def test_a_trigger_without_an_id(value: object) -> None:
    with pytest.raises(errors.InvalidAnswerError, match="HTTP 200, but"):
        codec.decode_trigger(answer(value), idempotency_key="k")


def test_the_specifications_execution() -> None:
    raw = {
        "id": ID,
        "created_at": "2021-07-21T14:10:00.00Z",
        "updated_at": "2021-07-21T14:10:00.000Z",
        "accounts": ["43801b85-bbcf-41c7-8389-b018082a5ec5"],
        "allocations": [],
    }
    execution = codec.decode_execution(answer(raw))
    assert execution.created_at == datetime(2021, 7, 21, 14, 10, tzinfo=UTC)
    assert execution.updated_at.tzinfo is UTC
    assert execution.accounts == (UUID("43801b85-bbcf-41c7-8389-b018082a5ec5"),)
    assert execution.allocations == ()
    assert execution.raw == raw


def test_optional_fields_may_be_missing_or_null() -> None:
    raw = {
        "id": ID,
        "created_at": "2021-07-21T14:10:00Z",
        "updated_at": "2021-07-21T16:10:00+02:00",
    }
    for more in ({}, {"accounts": None, "allocations": None}):
        execution = codec.decode_execution(answer(raw | more))
        assert (execution.accounts, execution.allocations) == (None, None)
        assert execution.updated_at == execution.created_at


def test_the_specifications_page_with_its_wrong_count() -> None:
    rows = [
        ORDER,
        ORDER | {"status": "PROCESSING"},
        ORDER | {"status": "NEW", "portfolio_order_id": None},
        ORDER
        | {
            "status": "CANCELLED",
            "cancellation_reason": "PORTFOLIO_IS_BALANCED",
            "cancellation_details": "Portfolio is balanced, no need to rebalance.",
        },
    ]
    found = codec.decode_page(answer({"meta": META | {"count": 2, "total_count": 2}, "data": rows}))
    assert [order.status for order in found.data] == ["FILLED", "PROCESSING", "NEW", "CANCELLED"]
    assert found.data[2].portfolio_order_id is None
    assert found.data[3].cancellation_reason is CancellationReason.PORTFOLIO_IS_BALANCED
    assert found.meta.count == 2
    assert found.meta.order is ListOrder.ASC


def test_unknown_values_and_fields_stay_readable() -> None:
    (order,) = codec.decode_page(
        page(status="FROZEN", cancellation_reason="ACOUNT_IS_EMPTY", raw="r", shiny={"new": True})
    ).data
    assert order.status == "FROZEN"
    assert not order.status.is_documented
    assert not order.status.is_final
    assert order.cancellation_reason == "ACOUNT_IS_EMPTY"
    assert order.raw["shiny"] == {"new": True}
    assert order.raw["raw"] == "r"


def test_a_server_can_not_set_what_is_ours() -> None:
    raw = {"meta": META, "data": [], "attempts": [1], "request_id": "theirs"}
    found = codec.decode_page(answer(raw, Upvest_Request_Id="r1"))
    assert found.attempts == ()
    assert found.request_id == "r1"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"id": "x"}, r"\$\.data\[0\]\.id"),
        ({"status": None}, r"\$\.data\[0\]\.status"),
        ({"status": 5}, r"\$\.data\[0\]\.status"),
        ({"created_at": "yesterday"}, r"\$\.data\[0\]\.created_at"),
        ({"created_at": 5}, "expected datetime"),
        ({"created_at": "0001-01-01T00:00:00+23:59"}, r"\$\.data\[0\]\.created_at"),
        ({"account_id": 7}, "expected UUID"),
        ({"cancellation_details": {}}, "expected str"),
    ],
)
def test_a_fault_is_located(changes: dict[str, object], words: str) -> None:
    with pytest.raises(errors.InvalidAnswerError, match=words):
        codec.decode_page(page(**changes))


@pytest.mark.parametrize(
    "value",
    [
        {"data": []},
        {"meta": META},
        {"meta": None, "data": []},
        {"meta": META | {"total_count": "many"}, "data": []},
        {"meta": META | {"total_count": True}, "data": []},
        {"meta": META, "data": {}},
        {"meta": META, "data": [None]},
        {"meta": META, "data": ["x"]},
        {"meta": META, "data": 5},
        [],
        b"",
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"data": ' + b"1" * 5000 + b"}",
    ],
)
def test_a_body_that_is_no_page(value: object) -> None:
    with pytest.raises(errors.InvalidAnswerError) as caught:
        codec.decode_page(answer(value))
    assert caught.value.status == 200


@pytest.mark.parametrize("kind", ["text/html", "text/plain; charset=utf-8", "application/xml"])
def test_another_content_type_is_no_success(kind: str) -> None:
    with pytest.raises(errors.InvalidAnswerError, match="content type"):
        codec.decode_trigger(answer({"id": ID}, content_type=kind), idempotency_key="k")


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "application/hal+json", ""])
def test_content_types_that_are_json(kind: str) -> None:
    response = answer({"id": ID}, content_type=kind)
    assert codec.decode_trigger(response, idempotency_key="k").id == UUID(ID)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELD = st.sampled_from([*ORDER, "cancellation_reason", "cancellation_details", "meta", "data"])


@settings(deadline=None)
@given(st.dictionaries(FIELD, JSON, max_size=4), JSON)
def test_no_json_breaks_anything(changes: dict[str, Any], meta: object) -> None:
    rows = [ORDER | changes]
    for value in ({"meta": META, "data": rows}, {"meta": meta, "data": rows}, changes, meta):
        for decode in (codec.decode_page, codec.decode_execution):
            with contextlib.suppress(errors.InvalidAnswerError):
                assert decode(answer(value)).raw == value


@settings(deadline=None)
@given(st.binary(), st.integers(300, 599), st.text(max_size=20))
def test_no_bytes_break_an_error(body: bytes, status: int, kind: str) -> None:
    error = codec.decode_error(answer(body, status=status, content_type=kind), NOW)
    assert error.status == status
    assert len(error.body) <= codec.SHOWN_BODY
    assert error.message.startswith(f"HTTP {status}")


def test_a_problem() -> None:
    problem = {
        "type": "https://docs.upvest.co/errors/unauthorised",
        "status": 400,
        "title": "T",
        "detail": "D",
        "instance": "I",
        "request_id": "r2",
        "more": 1,
    }
    error = codec.decode_error(
        answer(problem, 401, "application/problem+json", Retry_After="5"), NOW
    )
    assert isinstance(error, errors.UnauthorizedError)
    assert (error.type, error.title, error.detail, error.instance) == (
        problem["type"],
        "T",
        "D",
        "I",
    )
    assert error.request_id == "r2"
    assert error.retry_after == 5
    assert error.message == "HTTP 401: D"


def test_the_headers_request_id_wins() -> None:
    response = answer({"request_id": "body"}, 404, Upvest_Request_Id="header")
    assert codec.decode_error(response, NOW).request_id == "header"


def test_the_class_follows_the_status_not_the_body() -> None:
    error = codec.decode_error(answer({"status": 503, "type": "method_not_allowed"}, 503), NOW)
    assert type(error) is errors.ServiceUnavailableError
    assert error.type == "method_not_allowed"


@pytest.mark.parametrize("value", [{"type": 5, "detail": None, "title": ["x"]}, [1], "x", None])
def test_a_problem_of_other_types(value: object) -> None:
    error = codec.decode_error(answer(value, 500, "application/problem+json"), NOW)
    assert isinstance(error, errors.InternalServerError)
    assert (error.type, error.title, error.detail) == (None, None, None)


def test_html() -> None:
    error = codec.decode_error(answer(b"<html>Bad gateway</html>", 502, "text/html"), NOW)
    assert isinstance(error, errors.BadGatewayError)
    assert error.content_type == "text/html"
    assert "Bad gateway" in error.message
    assert "Bad gateway" in error.body


def test_an_empty_body() -> None:
    error = codec.decode_error(answer(b"", 504, ""), NOW)
    assert isinstance(error, errors.GatewayTimeoutError)
    assert error.message == "HTTP 504"
    assert error.content_type is None


def test_a_redirect() -> None:
    error = codec.decode_error(answer(b"", 307, Location="https://evil.example/"), NOW)
    assert isinstance(error, errors.RedirectError)
    assert error.location == "https://evil.example/"
    assert "https://evil.example/" in error.message


def test_an_answer_that_is_too_large() -> None:
    response = Response(status=200, body=b"x" * 10, too_large=True)
    assert isinstance(codec.decode_error(response, NOW), errors.AnswerTooLargeError)


def test_retry_after_is_measured_by_the_servers_clock() -> None:
    there = NOW + timedelta(hours=5)
    headers = {
        "Date": there.strftime("%a, %d %b %Y %H:%M:%S GMT"),
        "Retry_After": (there + timedelta(seconds=7)).strftime("%a, %d %b %Y %H:%M:%S GMT"),
    }
    assert codec.retry_after(answer(b"", 503, **headers), NOW) == 7


def test_credentials_in_an_echo_are_taken_out() -> None:
    echo = {"detail": "you sent Authorization: Bearer c2VjcmV0Cg== and signature sig1=:QUJD:"}
    error = codec.decode_error(answer(echo, 400), NOW)
    assert isinstance(error, errors.BadRequestError)
    for text in (error.message, error.detail or "", error.body):
        assert "c2VjcmV0Cg" not in text
        assert "QUJD" not in text
        assert "Bearer …" in text


def test_statuses_are_the_documented_ones() -> None:
    assert OrderStatus("NEW") is OrderStatus.NEW
