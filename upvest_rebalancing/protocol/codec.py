"""Turn an answer into a model, or into the typed error that it stands for.

Unknown fields and values pass, optional fields may be missing or null, and everything else that is
not as the specification has it is an `InvalidAnswerError` that says where in the document the fault
is; see `upvest_rebalancing.protocol.structuring`.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Final, TypeAlias, TypeVar

import attrs

from upvest_rebalancing.documents import set_raw
from upvest_rebalancing.errors import (
    AnsweredError,
    AnswerTooLargeError,
    Attempt,
    InvalidAnswerError,
    RedirectError,
    error_class,
)
from upvest_rebalancing.models import Execution, Page, TriggeredExecution
from upvest_rebalancing.protocol.bodies import (
    ExecutionBody,
    NotAsSpecifiedError,
    PageBody,
    TriggerBody,
)
from upvest_rebalancing.protocol.messages import Response
from upvest_rebalancing.protocol.redaction import LONGEST, shown
from upvest_rebalancing.protocol.retries import parse_http_date, parse_retry_after

SHOWN_BODY: Final = 500
"""Characters of a body that an error shows."""

_LONGEST_MEMBER: Final = 1000
_JSON: Final = "application/json"

Attempts: TypeAlias = tuple[Attempt, ...]

_Body = TypeVar("_Body", bound=attrs.AttrsInstance)


def prepare() -> None:
    """Import cattrs and msgspec, and build what reads answers.

    Both are large, and importing this package should not take long; but an event loop should not
    stand still in the midst of the first answers either. So who makes a client calls this.
    """
    import upvest_rebalancing.protocol.structuring  # noqa: F401, PLC0415 - for that reason


def decode_trigger(
    response: Response, attempts: Attempts = (), *, idempotency_key: str
) -> TriggeredExecution:
    """Read the answer to a trigger.

    Args:
        response: The answer.
        attempts: What each attempt of the call did.
        idempotency_key: The key that the trigger carried.

    Raises:
        InvalidAnswerError: The answer can't be read; the execution probably exists.
    """
    found = _structure(response, TriggerBody)
    triggered = TriggeredExecution(
        id=found.id,
        idempotency_key=idempotency_key,
        request_id=_request_id(response, attempts),
        attempts=attempts,
    )
    set_raw(triggered, response.body)
    return triggered


def decode_execution(response: Response, attempts: Attempts = ()) -> Execution:
    """Read an execution.

    Args:
        response: The answer.
        attempts: What each attempt of the call did.

    Raises:
        InvalidAnswerError: The answer can't be read.
    """
    found = _structure(response, ExecutionBody)
    execution = Execution(
        id=found.id,
        created_at=found.created_at,
        updated_at=found.updated_at,
        accounts=found.accounts,
        allocations=found.allocations,
        request_id=_request_id(response, attempts),
        attempts=attempts,
    )
    set_raw(execution, response.body)
    return execution


def decode_page(response: Response, attempts: Attempts = ()) -> Page:
    """Read a page of orders.

    Args:
        response: The answer.
        attempts: What each attempt of the call did.

    Raises:
        InvalidAnswerError: The answer can't be read.
    """
    found = _structure(response, PageBody)
    page = Page(
        meta=found.meta,
        data=found.data,
        request_id=_request_id(response, attempts),
        attempts=attempts,
    )
    set_raw(page, response.body)
    return page


def _request_id(response: Response, attempts: Attempts) -> str | None:
    # The last attempt is the one that brought the answer, and has cleaned its id already.
    return attempts[-1].request_id if attempts else response.request_id


def decode_error(response: Response, now: datetime) -> AnsweredError:
    """Make the error that an answer without success stands for.

    Args:
        response: The answer.
        now: The time; what a ``Retry-After`` date is measured from where the answer has no date.

    Returns:
        The error, to be raised by the caller once it knows the attempts.
    """
    common: dict[str, Any] = {
        "status": response.status,
        "content_type": response.content_type or None,
        "body": body_text(response),
        "request_id": response.request_id,
    }
    if response.too_large:
        text = f"the answer (HTTP {response.status}) is larger than the limit"
        return AnswerTooLargeError(text, **common)
    if 300 <= response.status < 400:  # noqa: PLR2004
        location = response.headers.get("location")
        if location is not None:
            location = shown(location, response.secrets, _LONGEST_MEMBER)
        text = f"HTTP {response.status} redirects to {location!r}; redirects are not followed"
        return RedirectError(text, location=location, **common)
    problem = _problem(response)
    common["request_id"] = response.request_id or problem.get("request_id")
    members = ("type", "title", "detail", "instance")
    common |= {name: problem.get(name) for name in members}
    said = problem.get("detail") or problem.get("title") or problem.get("type")
    cls = error_class(response.status)
    text = f"HTTP {response.status}"
    if said:
        text += f": {said}"
    elif common["body"]:
        text += f", without problem details: {common['body'][:80]!r}"
    return cls(text, **common, retry_after=retry_after(response, now))


def retry_after(response: Response, now: datetime) -> float | None:
    """Read how long an answer asks to wait.

    Args:
        response: The answer.
        now: The time, for answers without a date of their own.

    Returns:
        Seconds, or None.
    """
    measured_from = parse_http_date(response.headers.get("date")) or now
    return parse_retry_after(response.headers.get("retry-after"), measured_from)


def body_text(response: Response) -> str:
    """Give the beginning of a body as text, without credentials."""
    text = response.body[: SHOWN_BODY * 32].decode("utf-8", errors="replace")
    return shown(text, response.secrets, SHOWN_BODY)


def _problem(response: Response) -> dict[str, str]:
    try:
        raw = json.loads(response.body)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(raw, dict):
        return {}
    # The token endpoint may answer in OAuth's words instead (RFC 6749, section 5.2).
    raw = {"type": raw.get("error"), "detail": raw.get("error_description")} | raw
    members = {
        name: raw.get(name) for name in ("type", "title", "detail", "instance", "request_id")
    }
    return {
        name: shown(text, response.secrets, LONGEST if name == "detail" else _LONGEST_MEMBER)
        for name, text in members.items()
        if isinstance(text, str) and text
    }


def _check_content_type(response: Response) -> None:
    if response.headers.get("content-type") == _JSON:
        return
    kind = response.content_type
    if kind and kind != _JSON and not kind.endswith("+json"):
        raise _invalid(response, f"the content type is {kind}, not application/json")


def _structure(response: Response, cls: type[_Body]) -> _Body:
    from upvest_rebalancing.protocol.structuring import structure  # noqa: PLC0415 - see prepare

    _check_content_type(response)
    try:
        return structure(response.body, cls)
    except NotAsSpecifiedError as error:
        raise _invalid(response, str(error)) from None


def _invalid(response: Response, fault: str) -> InvalidAnswerError:
    return InvalidAnswerError(
        f"HTTP {response.status}, but {shown(fault, response.secrets, _LONGEST_MEMBER)}",
        status=response.status,
        content_type=response.content_type or None,
        body=body_text(response),
        request_id=response.request_id,
    )
