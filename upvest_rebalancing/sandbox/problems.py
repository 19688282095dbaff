"""Refusals, as problem documents (RFC 9457) with the types that the specification shows."""

from collections.abc import Mapping
from http import HTTPStatus

from upvest_rebalancing.sandbox.messages import Answer, compact_json

_TYPES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    409: "conflict",
    413: "payload_too_large",
    417: "expectation_failed",
    429: "too_many_requests",
    500: "internal_server_error",
    502: "bad_gateway",
    503: "service_unavailable",
    504: "gateway_timeout",
}


class ProblemError(Exception):
    """Refuse a request.

    Args:
        status: The HTTP status.
        detail: What is wrong with this request, and what would be right.
        type: The problem's type; by default the status's own word, and `error` for a status that
            neither the specification nor the documentation knows.
        headers: Headers that the refusal carries.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        type: str | None = None,  # noqa: A002 - the field's name in RFC 9457
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, detail)
        self.status = status
        self.detail = detail
        self.type = type or _TYPES.get(status, "error")
        self.headers = dict(headers or {})


def phrase_of(status: int) -> str:
    """Return the words that stand for a status; `Error` for one that nobody registered.

    Args:
        status: The HTTP status.
    """
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def problem_answer(problem: ProblemError, *, request_id: str) -> Answer:
    """Return the problem document of a refusal.

    Args:
        problem: The refusal.
        request_id: The UUID that the answer's `upvest-request-id` carries too.
    """
    document = {
        "type": problem.type,
        "status": problem.status,
        "title": phrase_of(problem.status),
        "detail": problem.detail,
        "request_id": request_id,
    }
    return Answer(
        status=problem.status,
        body=compact_json(document),
        headers=problem.headers,
        content_type="application/problem+json",
    )
